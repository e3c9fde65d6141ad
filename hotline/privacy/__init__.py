"""Personal data: sealed at rest, masked where it is read, opened for a purpose."""
