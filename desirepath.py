"""Command line: one `desirepath` command whose verbs live beside the code that they drive."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
