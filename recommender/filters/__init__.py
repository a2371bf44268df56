"""Conditions on items and on the question: a small language, read once and asked of many items."""
