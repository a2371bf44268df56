"""A page of memory that a process shares with those it forks: the last thing said on it.

One process writes, any number read. A reader that comes in the middle of a change sees that the
checksum does not fit, and looks again.
"""

from __future__ import annotations

import json
import mmap
import struct
import time
import zlib
from collections.abc import Mapping
from typing import Any

SIZE = 64 * 1024
HEAD = struct.Struct("<II")  # length and CRC-32 of the JSON text behind it
LOOKS = 1_000
LOOK_AGAIN_SECONDS = 0.001


class Board:
    """What one process tells others; to be made before the fork."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, SIZE)

    def say(self, word: Mapping[str, object]) -> None:
        """Replace what is said. Raises `ValueError` for what does not fit on the page."""
        text = json.dumps(word).encode()
        if HEAD.size + len(text) > SIZE:
            raise ValueError(f"{len(text)} bytes; accepted: up to {SIZE - HEAD.size}")
        self._page[HEAD.size : HEAD.size + len(text)] = text
        self._page[: HEAD.size] = HEAD.pack(len(text), zlib.crc32(text))

    def heard(self) -> dict[str, Any]:
        """What was said last; nothing is an empty word."""
        for _ in range(LOOKS):
            length, checksum = HEAD.unpack(self._page[: HEAD.size])
            text = self._page[HEAD.size : HEAD.size + length]
            if not length:
                return {}
            if zlib.crc32(text) == checksum:
                return dict(json.loads(text))
            time.sleep(LOOK_AGAIN_SECONDS)
        return {}  # who wrote it died in the middle of it
