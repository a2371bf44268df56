"""What several processes counted, each in files of its own: read as one, and kept when they end.

prometheus_client leaves the files of processes that ended where they are, for their counts to go
on counting: one more of each kind with every worker that is replaced, to be read with every look at
the metrics. Here the counts move to one file that stands for all who have gone. Who moves them
keeps others from reading meanwhile, so that nothing is counted twice, or not at all.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from prometheus_client import multiprocess
from prometheus_client.mmap_dict import MmapedDict

from feature_store.file_lock import FileLock
from serving.metrics_folder import VARIABLE

logger = logging.getLogger(__name__)
_SUMMED: Final = ("counter", "histogram")
_LOCK: Final = "lock"
# Who holds the lock needs milliseconds. Where it is held for good, nobody stands still for that.
_TRIES, _PAUSE_SECONDS = 100, 0.01
# Of a file, and of each value beside its name: length, padding, value and time.
_HEAD_BYTES, _VALUE_BYTES = 8, 28


def shared_folder() -> Path | None:
    """Where processes share their metrics; None where there is one alone."""
    name = os.environ.get(VARIABLE)
    return Path(name) if name else None


@contextlib.contextmanager
def as_one(folder: Path) -> Iterator[None]:
    """While the metrics of all processes are read."""
    with _locked(folder, FileLock.try_share):
        yield


def drop_gauges(pid: int) -> None:
    """What a process says of itself no longer holds."""
    if folder := shared_folder():
        multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def gather(pid: int) -> None:
    """Keep what a process that ended has counted, and remove its files."""
    folder = shared_folder()
    if folder is None:
        return
    drop_gauges(pid)
    try:
        with _locked(folder, FileLock.try_take) as is_alone:
            for kind in _SUMMED if is_alone else ():
                _move(folder / f"{kind}_{pid}.db", folder / f"{kind}_gone.db")
    except OSError as error:  # they count where they are, too
        logger.warning("metrics were not gathered", extra={"reason": str(error)})


def _move(source: Path, target: Path) -> None:
    if not source.exists():
        return
    sums = dict(_values(target)) if target.exists() else {}
    for key, value in _values(source):
        sums[key] = sums.get(key, 0.0) + value
    _write(target, sums)
    source.unlink()


def _values(path: Path) -> Iterator[tuple[str, float]]:
    """Values by name; of a file that is damaged, those before the damage."""
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]
            yield key, value
    except (struct.error, RuntimeError, UnicodeDecodeError) as error:
        logger.warning("metrics are damaged", extra={"file": path.name, "reason": str(error)})


def _write(path: Path, values: dict[str, float]) -> None:
    draft = path.with_suffix(".draft")
    size = _HEAD_BYTES + sum(_VALUE_BYTES + len(key.encode()) for key in values)
    with draft.open("wb") as file:
        # A full disk is an error here. Later, when mapped memory is written, it would be a signal.
        os.posix_fallocate(file.fileno(), 0, size)
    written = MmapedDict(str(draft))  # type: ignore[no-untyped-call]
    for key, value in values.items():
        written.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    written.close()  # type: ignore[no-untyped-call]
    draft.replace(path)


@contextlib.contextmanager
def _locked(folder: Path, attempt: Callable[[FileLock], bool]) -> Iterator[bool]:
    """Gives whether the lock was to be had."""
    try:
        lock = FileLock(folder / _LOCK)
    except OSError:  # a disk without any space left
        yield False
        return
    try:
        yield _has_locked(lock, attempt)
    finally:
        lock.close()


def _has_locked(lock: FileLock, attempt: Callable[[FileLock], bool]) -> bool:
    for _ in range(_TRIES):
        if attempt(lock):
            return True
        time.sleep(_PAUSE_SECONDS)
    return False
