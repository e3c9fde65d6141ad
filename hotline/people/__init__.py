"""People, accounts and sign-in: who may enter, as whom, and for how long."""
