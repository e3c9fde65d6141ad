"""Printing: Chinese fonts, documents as plain blocks, and those blocks as PDF, Word, charts."""
