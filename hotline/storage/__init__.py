"""Where things are kept: the database, the embedded server, the files."""
