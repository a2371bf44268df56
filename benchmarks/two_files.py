"""Options of the protocols that come as two files."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_files(parser: argparse.ArgumentParser) -> None:
    """Declare the two files."""
    parser.add_argument("--train", type=Path, required=True, help="what may be learnt from")
    parser.add_argument("--test", type=Path, required=True, help="what is asked; never tuned on")
