"""The files that a path stands for."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import IO, Final, cast

from recommender.errors import DataError

_CHUNK_BYTES: Final = 1 << 20


def list_files(path: Path, *suffixes: str) -> list[Path]:
    """The path itself, or all files below a folder that end in one of `suffixes`, by name.

    Raises
    ------
    DataError
        When there is nothing to read.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path} does not exist; accepted: a file or a folder of files")
    found = sorted(file for file in path.rglob("*") if file.name.endswith(suffixes))
    if not found:
        raise DataError(f"{path} has no file ending in {' or '.join(suffixes)}")
    return found


def open_bytes(path: Path) -> IO[bytes]:
    """A file for reading, unpacked on the way where its name ends in ``.gz``."""
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def check_sha256(path: Path, published: str) -> None:
    """Raise `DataError` unless the file has the published digest."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != published:
        raise DataError(
            f"{path}: sha256 is {digest.hexdigest()}; the published file's is {published}. "
            "Without --strict any file of this format is read."
        )
