"""The product's own command line, run as a process of its own, as people run it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recommender.errors import DataError

ROOT = Path(__file__).resolve().parents[2]


def verb(words: Sequence[object], accepted: Sequence[int] = (0,)) -> dict[str, Any]:
    """Run `desirepath WORDS --json` and give what it printed.

    Raises
    ------
    DataError
        Its exit code is not an accepted one, or it printed no JSON; what it said is quoted.
    """
    command = [sys.executable, "-m", "desirepath", *[f"{word}" for word in words], "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in accepted:
        raise DataError(f"{command[2:]} ended with {done.returncode}: {done.stderr[-2000:]}")
    try:
        return dict(json.loads(done.stdout)) | {"exit_code": done.returncode}
    except ValueError as error:
        raise DataError(f"{command[2:]} printed no JSON: {done.stdout[:300]!r}") from error
