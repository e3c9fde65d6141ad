"""督办函: reminders to many units at once, one letter for each, kept and printed (art. 14(8))."""
