"""The rules of the hotline: no I/O, no ORM, no clock of its own (time is a parameter)."""
