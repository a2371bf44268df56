"""Disks that fail on command, and a disk that loses power."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from feature_store.event_log.disk import Disk


class FailingDisk(Disk):
    """Fails the next calls of an operation; everything else is real.

    ``fail("sync", errno.EIO)`` fails one sync; ``part`` bytes of a failing write get through.
    """

    def __init__(self) -> None:
        self._failures: dict[str, list[tuple[int, int]]] = {}
        self.calls: list[str] = []

    def fail(self, operation: str, code: int, times: int = 1, part: int = 0) -> None:
        self._failures.setdefault(operation, []).extend([(code, part)] * times)

    def heal(self) -> None:
        self._failures.clear()

    def create(self, path: Path) -> int:
        self._check("create")
        return super().create(path)

    def write(self, descriptor: int, data: bytes) -> None:
        part = self._part("write")
        if part is not None:
            code, size = part
            super().write(descriptor, data[:size])
            raise OSError(code, os.strerror(code))
        super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._check("sync")
        super().sync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        self._check("truncate")
        super().truncate(descriptor, size)

    def sync_folder(self, folder: Path) -> None:
        self._check("sync_folder")
        super().sync_folder(folder)

    def _part(self, operation: str) -> tuple[int, int] | None:
        self.calls.append(operation)
        failures = self._failures.get(operation)
        return failures.pop(0) if failures else None

    def _check(self, operation: str) -> None:
        failure = self._part(operation)
        if failure is not None:
            raise OSError(failure[0], os.strerror(failure[0]))


class PowerLossDisk(Disk):
    """Keeps account of what would survive if the power went now.

    A file survives once its folder was synced after its creation; of its bytes those that were
    there at its last sync. At operation number `cut_at` the power goes: that operation and all
    later ones fail, and `survivors` gives what is left.
    """

    def __init__(self, cut_at: int | None = None) -> None:
        self.operations = 0
        self._cut_at = cut_at
        self._paths: dict[int, Path] = {}
        self._durable: dict[Path, bytes] = {}
        self._named: set[Path] = set()
        self._written: dict[Path, bytes] = {}

    def cut_now(self) -> None:
        """The power goes before the next operation."""
        self._cut_at = self.operations

    def create(self, path: Path) -> int:
        self._step()
        descriptor = super().create(path)
        self._paths[descriptor] = path
        self._durable[path] = self._written[path] = b""
        return descriptor

    def write(self, descriptor: int, data: bytes) -> None:
        self._step()
        super().write(descriptor, data)
        self._written[self._paths[descriptor]] += data

    def sync(self, descriptor: int) -> None:
        self._step()
        super().sync(descriptor)
        path = self._paths[descriptor]
        self._durable[path] = self._written[path]

    def truncate(self, descriptor: int, size: int) -> None:
        self._step()
        super().truncate(descriptor, size)
        path = self._paths[descriptor]
        self._written[path] = self._written[path][:size]

    def sync_folder(self, folder: Path) -> None:
        self._step()
        super().sync_folder(folder)
        self._named.update(path for path in self._written if path.parent == folder)

    def remove(self, path: Path) -> None:
        self._step()
        super().remove(path)
        self._written.pop(path, None)
        self._durable.pop(path, None)

    def close(self, descriptor: int) -> None:
        super().close(descriptor)

    def survivors(self, luck: float) -> dict[str, bytes]:
        """File name → content after the cut.

        Parameters
        ----------
        luck
            Share of the unsynced bytes that reached the disk all the same; of what is left, the
            other half is zeros, as a file system leaves them that had grown the file already.
        """
        left: dict[str, bytes] = {}
        for path, written in self._written.items():
            if path not in self._named and luck == 0:
                continue
            durable = self._durable[path]
            unsynced = written[len(durable) :] if written.startswith(durable) else b""
            kept = int(len(unsynced) * luck)
            zeros = bytes((len(unsynced) - kept) // 2) if luck else b""
            left[path.name] = durable + unsynced[:kept] + zeros
        return left

    def _step(self) -> None:
        if self._cut_at is not None and self.operations >= self._cut_at:
            raise OSError(errno.EIO, "the power is off")
        self.operations += 1
