"""The name of a log, among all logs whose events one store may know."""

from __future__ import annotations

import secrets
from pathlib import Path

from feature_store.atomic_file import storage_error, write_atomic
from feature_store.file_lock import exclusive

ID_FILE, START_LOCK = "log.id", "start.lock"


def log_id(log: Path) -> str:
    """Name of a log among those whose events one store knows; made when first asked for.

    Raises `StorageError`; the log's folder must not be copied to where it is written as well.
    """
    path = log / ID_FILE
    try:
        log.mkdir(parents=True, exist_ok=True)
        with exclusive(log / START_LOCK):
            if not path.exists():
                write_atomic(path, secrets.token_hex(8).encode())
            return path.read_text().strip()
    except OSError as error:
        raise storage_error(error, path) from error
