"""Room for LMDB's lock file, taken before LMDB maps it into memory.

LMDB makes the file sparse and writes to it through the map: a page that the disk has no room for
then ends the process with SIGBUS. Seen when a service was started on a full disk.
"""

from __future__ import annotations

import os
from pathlib import Path

LOCK_FILE = "lock.mdb"
# One cache line for each reader, and the head of the file; see mdb.c, MDB_reader and MDB_txninfo.
_READER_BYTES, _HEAD_BYTES = 64, 4096


def reserve_lock_file(folder: Path, max_readers: int) -> None:
    """Make the lock file of the environment in `folder` whole, whoever uses it already.

    Raises
    ------
    OSError
        There is no room for it.
    """
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, _HEAD_BYTES + max_readers * _READER_BYTES)
    finally:
        os.close(descriptor)
