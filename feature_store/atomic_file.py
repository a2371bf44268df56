"""Files that are either whole or absent: write beside, fsync, rename, fsync the folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from recommender.errors import StorageError, StorageFullError

FULL = (errno.ENOSPC, errno.EDQUOT)


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path`; a reader sees the old bytes or the new ones, also after a power cut.

    Raises `StorageFullError` when no space is left, `StorageError` when the disk refuses otherwise.
    """
    temporary = path.with_name(f"tmp-{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_synced(temporary, data)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path) -> StorageError:
    """The error to raise when the disk refused to write `path`."""
    if error.errno in FULL:
        return StorageFullError(f"{path}: no space left to write it")
    return StorageError(f"{path}: could not be written: {error}")


def sync_folder(folder: Path) -> None:
    """Make renames and removals in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
