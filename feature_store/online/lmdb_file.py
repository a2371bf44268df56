"""Open an LMDB folder so that a damaged file is noticed before liblmdb touches it.

liblmdb trusts its pages: a truncated file ends the process with SIGBUS, a zeroed page with an
assertion. Without fsync, only a power loss or an operating system crash can damage the file, so it
is verified in full (about 4 s per GB) at the first open after a boot, and when it is
shorter than its own header says.

Everybody who has the folder open holds a shared lock; only who is alone checks and replaces.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from dataclasses import dataclass
from pathlib import Path

import lmdb
import lmdb.verify

from feature_store.lmdb_lock import reserve_lock_file
from recommender.errors import StorageError, StorageFullError

_LOG = logging.getLogger(__name__)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_DATA, _STAMP = "data.mdb", "boot_id"
_DAMAGE = (
    lmdb.InvalidError,
    lmdb.CorruptedError,
    lmdb.VersionMismatchError,
    lmdb.PageNotFoundError,
)
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_LITTLE_BYTES = 1 << 20
MAX_READERS = 1_024


@dataclass(slots=True)
class LmdbFile:
    """An open environment.

    Parameters
    ----------
    set_aside
        Where a damaged predecessor was moved to, if there was one.
    """

    environment: lmdb.Environment
    set_aside: Path | None
    _lock: int

    def close(self) -> None:
        """Write everything to disk and let go."""
        self.environment.sync(True)  # noqa: FBT003 - positional in the C signature
        self.environment.close()
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        os.close(self._lock)


def write_lock_path(path: Path) -> Path:
    """Lock file that stands in front of the write lock of the environment in `path`."""
    return path.with_name(f"{path.name}.write-lock")


def open_lmdb(path: Path, map_size_bytes: int, now: int) -> LmdbFile:
    """Open or create the folder `path`.

    A damaged file is moved to ``<path>.damaged-<now>`` and an empty one takes its place.

    Raises
    ------
    StorageError
        The folder cannot be opened, or is damaged while another process has it open.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise storage_error(f"cannot open {path}", error, path.parent) from error
    try:
        return _open_locked(path, map_size_bytes, now, lock)
    except BaseException:
        os.close(lock)
        raise


def storage_error(what: str, error: Exception, path: Path) -> StorageError:
    """Translate an error of LMDB or of the operating system on the folder `path`."""
    code = error.code if isinstance(error, lmdb.Error) else getattr(error, "errno", 0)
    # A write cut short by a full disk reaches us as a mere input/output error.
    cut_short = code == errno.EIO and _is_full(path)
    if isinstance(error, lmdb.DiskError) or code in _NO_SPACE or cut_short:
        return StorageFullError(f"{what}: no space left: {error}")
    return StorageError(f"{what}: {error}")


def _is_full(path: Path) -> bool:
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize < _LITTLE_BYTES or (room.f_files > 0 == room.f_favail)


def _open_locked(path: Path, map_size_bytes: int, now: int, lock: int) -> LmdbFile:
    alone = _lock_exclusively(lock)
    damage = _damage(path) if alone else None
    aside = _set_aside(path, damage, now) if damage else None
    if alone:
        _write_stamp(path)
    fcntl.flock(lock, fcntl.LOCK_SH)
    try:
        reserve_lock_file(path, MAX_READERS)
        environment = lmdb.open(
            os.fspath(path),
            map_size=map_size_bytes,
            sync=False,
            metasync=False,
            max_readers=MAX_READERS,
            max_spare_txns=8,
        )
    except (lmdb.Error, OSError) as error:
        raise storage_error(f"cannot open {path}", error, path.parent) from error
    environment.reader_check()
    return LmdbFile(environment, aside, lock)


def _lock_exclusively(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(lock, fcntl.LOCK_SH)
        return False
    return True


def _damage(path: Path) -> str | None:
    """What is wrong with the data file, None when nothing is."""
    data = path / _DATA
    if not data.exists() or data.stat().st_size == 0:
        return None
    try:
        whole = _stamped(path) and _is_long_enough(path)
        problems = [] if whole else lmdb.verify.verify(os.fspath(path))
    except (*_DAMAGE, lmdb.verify.VerifyError) as error:
        return str(error)
    except lmdb.Error as error:
        raise storage_error(f"cannot open {path}", error, path.parent) from error
    return "; ".join(str(problem) for problem in problems[:3]) or None


def _is_long_enough(path: Path) -> bool:
    # Pages freed in the transaction that allocated them are never written, so a sound file may
    # be shorter too: False only asks for the full verification.
    with lmdb.open(os.fspath(path), readonly=True, create=False, lock=False) as environment:
        pages, size = environment.info()["last_pgno"] + 1, environment.stat()["psize"]
    return (path / _DATA).stat().st_size >= pages * int(size)


def _set_aside(path: Path, damage: str, now: int) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{now}")
    path.rename(aside)
    path.mkdir()
    _LOG.error(
        "online store %s is damaged (%s): moved to %s and started empty; "
        "run `desirepath materialise` to fill it from the tables",
        path,
        damage,
        aside,
    )
    return aside


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else "unknown"


def _stamped(path: Path) -> bool:
    stamp = path / _STAMP
    return stamp.exists() and stamp.read_text() == _boot_id() != "unknown"


def _write_stamp(path: Path) -> None:
    if _stamped(path):
        return
    try:
        (path / _STAMP).write_text(_boot_id())
    except OSError as error:  # without it the next open verifies the file in full, no more
        _LOG.warning("online store %s: the boot cannot be noted: %s", path, error)
