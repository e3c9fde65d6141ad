"""Drills: what an operator must be able to do when something breaks, done by a program that proves nothing was lost."""
