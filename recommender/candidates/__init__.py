"""Candidate sources: each turns seeds into scored items, by one idea."""
