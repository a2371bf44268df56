"""The system calls that durability rests on, in one place, so that a test can fail any of them."""

from __future__ import annotations

import os
from pathlib import Path

from feature_store.atomic_file import sync_folder


class Disk:
    """The real disk. All methods raise `OSError` as the operating system does."""

    def create(self, path: Path) -> int:
        """A new file for appending. Raises `FileExistsError` when it exists."""
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        return os.open(path, flags, 0o640)

    def write(self, descriptor: int, data: bytes) -> None:
        """Append all of `data`; after an error an unknown part of it is in the file."""
        written = os.write(descriptor, data)
        if written == len(data):
            return
        view = memoryview(data)[written:]
        while view:
            view = view[os.write(descriptor, view) :]

    def size(self, descriptor: int) -> int:
        """Bytes in the file."""
        return os.fstat(descriptor).st_size

    def sync(self, descriptor: int) -> None:
        """Return once what was written, and the size, survive a power cut."""
        os.fdatasync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut the file back to `size` bytes."""
        os.ftruncate(descriptor, size)

    def sync_folder(self, folder: Path) -> None:
        """Return once creations and removals in a folder survive a power cut."""
        sync_folder(folder)

    def remove(self, path: Path) -> None:
        """Remove a file if it is there."""
        path.unlink(missing_ok=True)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)
