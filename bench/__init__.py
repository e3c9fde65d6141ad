"""Measures, each a program: `python -m bench.<name>`."""
