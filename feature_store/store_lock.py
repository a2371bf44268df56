"""One writer of the tables at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from feature_store.layout import StoreLayout
from recommender.errors import StorageError


@contextmanager
def store_lock(layout: StoreLayout) -> Iterator[None]:
    """Hold the writer's lock of a store; raises `StorageError` at once when another process has it.

    The kernel frees it when the process ends, however it ends: nothing needs to be cleaned after
    a crash.
    """
    layout.tables.mkdir(parents=True, exist_ok=True)
    path = layout.tables / ".lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StorageError(
            f"{path} is held by another ingest: wait for it to end, then start this one again"
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)
