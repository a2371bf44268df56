"""One look at an experiment in a process of its own.

``python -m feature_store.experiment_health_job ROOT KEY [PHASE]`` prints the health as JSON. A log
of a day takes seconds to read, and the service must go on answering meanwhile, so it looks this
way. Exit code 3: the log has no answer of it, and the text says so.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from feature_store.experiment_health import experiment_health
from feature_store.layout import StoreLayout
from recommender.errors import DataError

UNKNOWN: Final = 3


def main(words: Sequence[str]) -> int:
    """Look, and print."""
    root, key, *rest = words
    phase = int(rest[0]) if rest else None
    try:
        found = experiment_health(StoreLayout(Path(root)), key, phase)
    except DataError as error:
        sys.stdout.write(str(error))
        return UNKNOWN
    sys.stdout.write(msgspec.json.encode(found).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
