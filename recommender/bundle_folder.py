"""Delivered bundles of one shop, and which of them is in use.

Each is a folder ``<root>/<version>/``; ``current.json`` names the one in use. Publishing copies to
a temporary name, syncs, renames, then replaces the pointer the same way. A crash at any point
leaves the old pointer or the new one, and each names a complete bundle.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from recommender.bundle import load_bundle, sync_folder, write_synced
from recommender.errors import BundleError

POINTER = "current.json"
CHALLENGER_POINTER = "challenger.json"
VERSION = re.compile(r"[0-9a-f]{16}")
KEPT_VERSIONS = 5


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which version is in use, and which were before it, newest first."""

    version: str
    previous: tuple[str, ...] = ()


def read_pointer(root: Path, name: str = POINTER) -> Pointer | None:
    """Pointer of a bundle folder, or None where nothing was delivered. Raises `BundleError`.

    Parameters
    ----------
    name
        `POINTER`, or `CHALLENGER_POINTER` for the bundle that stands beside the one in use.
    """
    try:
        raw = json.loads((root / name).read_bytes())
        pointer = Pointer(raw["version"], tuple(raw["previous"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError(f"{root / name} cannot be read: {error!r}") from error
    for version in (pointer.version, *pointer.previous):
        if not VERSION.fullmatch(str(version)):
            raise BundleError(f"{root / name}: {version!r} is not a version (16 hex digits)")
    return pointer


def current(root: Path) -> Path | None:
    """Folder of the version in use, or None where nothing was delivered."""
    pointer = read_pointer(root)
    return root / pointer.version if pointer else None


def publish(source: Path, root: Path) -> str:
    """Verify a bundle, copy it below `root` and make it the one in use.

    Returns
    -------
    str
        The version that is in use now.

    Raises
    ------
    BundleError
        The bundle fails verification, before or after the copy; the old one stays.
    """
    with _brought_in(source, root) as version:
        pointer = read_pointer(root)
        if pointer is None:
            _point(root, Pointer(version))
        elif pointer.version != version:
            others = tuple(name for name in (pointer.version, *pointer.previous) if name != version)
            _point(root, Pointer(version, others[:KEPT_VERSIONS]))
    return version


def publish_challenger(source: Path, root: Path) -> str:
    """Verify a bundle and copy it beside the one in use, for experiments that compare the two.

    Raises
    ------
    BundleError
        The bundle fails verification, before or after the copy; the old challenger stays.
    """
    with _brought_in(source, root) as version:
        _point(root, Pointer(version), CHALLENGER_POINTER)
    return version


@contextmanager
def _brought_in(source: Path, root: Path) -> Iterator[str]:
    """The version of a bundle, below `root` now, to be pointed at; then the old ones go."""
    version = load_bundle(source).version
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root):
        if not (root / version).is_dir():
            _copy(source, root, version)
        yield version
        _remove_old(root)


def rollback(root: Path) -> str:
    """Make the version before the current one the one in use. Needs no registry.

    Raises
    ------
    BundleError
        There is no earlier version, or none of them verifies.
    """
    with _locked(root):
        pointer = read_pointer(root)
        for depth, version in enumerate(pointer.previous if pointer else ()):
            try:
                load_bundle(root / version)
            except BundleError:
                continue
            _point(root, Pointer(version, pointer.previous[depth + 1 :] if pointer else ()))
            return version
    raise BundleError(f"{root}: no earlier bundle to go back to")


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    if not root.is_dir():
        raise BundleError(f"{root} is not a folder of delivered bundles")
    with (root / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Nobody else publishes now, so what a killed publisher left half-copied can go.
        for leftover in root.glob(".tmp-*"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink()
        yield


def _copy(source: Path, root: Path, version: str) -> None:
    temporary = root / f".tmp-{version}"
    try:
        temporary.mkdir()
        for path in sorted(source.iterdir()):
            write_synced(temporary / path.name, path.read_bytes())
        sync_folder(temporary)
        if load_bundle(temporary).version != version:
            raise BundleError(f"{source} changed while it was copied")
        temporary.rename(root / version)
        sync_folder(root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _point(root: Path, pointer: Pointer, name: str = POINTER) -> None:
    temporary = root / f".tmp-{name}"
    content = {"version": pointer.version, "previous": list(pointer.previous)}
    write_synced(temporary, json.dumps(content).encode())
    temporary.rename(root / name)
    sync_folder(root)


def _remove_old(root: Path) -> None:
    pointers = [read_pointer(root), read_pointer(root, CHALLENGER_POINTER)]
    kept = {version for each in pointers if each for version in (each.version, *each.previous)}
    for path in root.iterdir():
        if VERSION.fullmatch(path.name) and path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
