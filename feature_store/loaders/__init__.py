"""Readers of the files that shops and researchers really have, each to canonical interactions."""
