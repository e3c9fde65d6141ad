"""The edge: HTTP and processes."""
