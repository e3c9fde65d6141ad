"""The audit trail: what was read, exported, refused, chained so that nobody can change it unseen."""
