"""Brings the bundle that an alias names to the folder that the service reads.

The registry is never trusted and never needed by the service: what was downloaded is verified,
then put in place by `recommender.bundle_folder`. Whatever fails, the bundle in use stays.
`roll_back` touches local files only, so it works with the registry down.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

from recommender.bundle import load_bundle, sync_folder, write_synced
from recommender.bundle_folder import publish, read_pointer, rollback
from recommender.errors import BundleError, DesirepathError, RefusedError, StorageError
from training.registry import RegisteredModel

_HELD: Final = "held.json"
_LOCK: Final = ".deliver.lock"
_INCOMING: Final = ".incoming-"
LOCK_SECONDS: Final = 5.0

Outcome = TypeVar("Outcome")


class BundleSource(Protocol):
    """Where delivered bundles come from; `training.registry.Registry` is one."""

    def require(self, name: str) -> RegisteredModel:
        """Version that an alias or number names."""
        ...

    def fetch(self, registered: RegisteredModel, folder: Path) -> Path:
        """Bring its bundle into a folder, unverified."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a delivery or a rollback did.

    Parameters
    ----------
    outcome
        ``delivered``, ``unchanged`` or ``rolled_back``.
    bundle_version
        The bundle in use now.
    previous
        The bundle in use before.
    registered_version
        Version in the registry; None after a rollback.
    """

    outcome: str
    bundle_version: str
    folder: Path
    previous: str | None = None
    registered_version: str | None = None

    @property
    def summary(self) -> dict[str, object]:
        """For the command line."""
        return {
            "outcome": self.outcome,
            "bundle_version": self.bundle_version,
            "previous": self.previous,
            "registered_version": self.registered_version,
            "folder": str(self.folder),
        }


def deliver(source: BundleSource, name: str, root: Path, *, again: bool = False) -> Delivery:
    """Make the bundle that `name` (alias or version) names the one in use below `root`.

    Parameters
    ----------
    again
        Deliver it although it was rolled back here before.

    Raises
    ------
    RegistryError
        The registry is down or hangs.
    BundleError
        What it gave is not a valid bundle, or not the one that it announced.
    RefusedError
        This bundle was rolled back here, and `again` is not set.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root):
        _remove_stale(root)
    registered = source.require(name)
    if (unchanged := _unchanged(registered, root)) is not None:
        return unchanged
    _refuse_held(registered, root, again=again)
    with _incoming(root) as scratch:
        folder = source.fetch(registered, scratch)
        _verify(folder, registered)
        with _locked(root):
            _refuse_held(registered, root, again=again)
            before = _version_in_use(root)
            version = publish(folder, root)
            _hold(root, None)
    return Delivery("delivered", version, root / version, before, registered.version)


def roll_back(root: Path) -> Delivery:
    """Go back to the bundle before the current one, and hold the current one off.

    A delivery running in watch mode would bring the bundle straight back; it is held until the
    alias names another one, or someone delivers it on purpose.

    Raises
    ------
    BundleError
        There is no earlier bundle that verifies.
    """
    if not root.is_dir():
        raise BundleError(f"{root} is not a folder of delivered bundles")
    with _locked(root):
        before = _version_in_use(root)
        version = rollback(root)
        _hold(root, before)
    return Delivery("rolled_back", version, root / version, before)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to look again.

    Parameters
    ----------
    interval_seconds
        After a delivery, or when nothing changed.
    longest_seconds
        Upper bound of the wait after failures, which doubles each time.
    """

    interval_seconds: float = 30.0
    longest_seconds: float = 600.0

    def wait_seconds(self, failures: int) -> float:
        """Seconds until the next look, after so many failures in a row."""
        longest = max(self.longest_seconds, self.interval_seconds)
        return min(self.interval_seconds * 2.0 ** min(failures, 30), longest)


def watch(
    once: Callable[[], Outcome], schedule: Schedule, wait: Callable[[float], bool]
) -> Iterator[Outcome | DesirepathError | OSError]:
    """Do something again and again; a failure is reported and the next try comes later.

    Parameters
    ----------
    wait
        Waits so many seconds; True ends the watch.
    """
    failures = 0
    while True:
        try:
            yield once()
            failures = 0
        except (DesirepathError, OSError) as error:
            failures += 1
            yield error
        if wait(schedule.wait_seconds(failures)):
            return


def _unchanged(registered: RegisteredModel, root: Path) -> Delivery | None:
    version = _version_in_use(root)
    if version != registered.bundle_version:
        return None
    return Delivery("unchanged", version, root / version, version, registered.version)


def _verify(folder: Path, registered: RegisteredModel) -> None:
    version = load_bundle(folder).version
    if version != registered.bundle_version:
        raise BundleError(
            f"registry version {registered.version} announced bundle {registered.bundle_version} "
            f"but gave {version}; nothing was delivered"
        )


def _version_in_use(root: Path) -> str | None:
    pointer = read_pointer(root)
    return pointer.version if pointer else None


def _refuse_held(registered: RegisteredModel, root: Path, *, again: bool) -> None:
    if not again and held(root) == registered.bundle_version:
        raise RefusedError(
            f"bundle {registered.bundle_version} was rolled back here and is held off; move the "
            "alias to another version, or deliver it on purpose with --again"
        )


def held(root: Path) -> str | None:
    """Bundle version that was rolled back here and must not come back by itself."""
    try:
        version = json.loads((root / _HELD).read_bytes())["version"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{root / _HELD} cannot be read: {error!r}; remove it") from error
    return str(version)


def _hold(root: Path, version: str | None) -> None:
    path = root / _HELD
    if version is None:
        path.unlink(missing_ok=True)
        return
    temporary = root / f".tmp-{_HELD}-{os.getpid()}"
    write_synced(temporary, json.dumps({"version": version}).encode())
    temporary.rename(path)
    sync_folder(root)


@contextlib.contextmanager
def _incoming(root: Path) -> Iterator[Path]:
    """A scratch folder beside the bundles, locked while its publisher lives."""
    with contextlib.ExitStack() as stack:
        with _locked(root):
            scratch = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=root))
            stack.callback(shutil.rmtree, scratch, ignore_errors=True)
            stack.enter_context(open_lock(scratch, wait_seconds=0.0))
        yield scratch


def _remove_stale(root: Path) -> None:
    """Remove the scratch folders of publishers that died; the lock of the living tells them."""
    for stale in root.glob(f"{_INCOMING}*"):
        with open_lock(stale, wait_seconds=0.0) as is_free:
            if is_free:
                shutil.rmtree(stale, ignore_errors=True)


@contextlib.contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One publisher at a time; held for local work only, never while the registry is asked."""
    path = root / _LOCK
    if not path.exists():
        path.touch()
    with open_lock(path, wait_seconds=LOCK_SECONDS) as is_mine:
        if not is_mine:
            raise StorageError(f"{path} is held by another delivery for over {LOCK_SECONDS:g} s")
        yield


@contextlib.contextmanager
def open_lock(path: Path, wait_seconds: float) -> Iterator[bool]:
    """Advisory lock on a file or folder; gives whether it was had. A dead process holds none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # removed meanwhile by whoever held it
        yield False
        return
    try:
        yield _try_lock(descriptor, wait_seconds)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, wait_seconds: float) -> bool:
    end = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(0.05)
        else:
            return True
