"""The folder in which the workers of one run of the service share their metrics."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus_client looks for the folder, when it is imported and ever after."""
PREFIX: Final = "desirepath-workers-"
_UNCLAIMED: Final = "desirepath-new-"


@contextlib.contextmanager
def metrics_folder() -> Iterator[Path]:
    """A new folder, for as long as the service runs; those of runs that were killed are removed.

    It is locked by this process and by all that it forks, so it is abandoned when it is not locked.
    What cleans temporary folders by their age (systemd-tmpfiles) leaves locked ones alone.
    """
    home = Path(tempfile.gettempdir())
    for folder in home.glob(f"{PREFIX}*"):
        _remove_abandoned(folder)
    unclaimed = Path(tempfile.mkdtemp(prefix=_UNCLAIMED))
    with _opened(unclaimed) as descriptor:
        with contextlib.suppress(OSError):  # a file system without locks: nobody removes it, either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Named only now: another service that starts would take an unlocked one for abandoned.
        folder = unclaimed.rename(home / unclaimed.name.replace(_UNCLAIMED, PREFIX))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    # Others may own it, use it, or remove it as well.
    with contextlib.suppress(OSError), _opened(folder) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
