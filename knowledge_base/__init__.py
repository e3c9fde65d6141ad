"""What is known: articles and their immutable versions (art. 19-24)."""
