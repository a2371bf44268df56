"""Identifiers that sort by time: UUID version 7 (RFC 9562, 5.7 and 6.2 method 1)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

COUNTER_BITS = 12
COUNTER_LIMIT = 1 << COUNTER_BITS
RANDOM_BYTES = 8


@dataclass(slots=True)
class Uuid7Source:
    """Makes UUIDs that rise strictly within one process, also when the clock stands or steps back.

    Parameters
    ----------
    clock
        Microseconds since the epoch, UTC.
    random_bytes
        Bytes that nobody can guess, such as `os.urandom`.
    """

    clock: Callable[[], int]
    random_bytes: Callable[[int], bytes]
    _millis: int = 0
    _counter: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> str:
        """The next UUID, in its usual text form."""
        with self._lock:
            millis, counter = self._tick()
            random = self.random_bytes(RANDOM_BYTES)
        time, tail = f"{millis:012x}", random.hex()
        # The variant 0b10 and two random bits.
        variant = "89ab"[(random[0] >> 4) & 3]
        return f"{time[:8]}-{time[8:]}-7{counter:03x}-{variant}{tail[1:4]}-{tail[4:]}"

    def _tick(self) -> tuple[int, int]:
        now = self.clock() // 1000
        if now > self._millis:
            self._millis, self._counter = now, 0
        else:
            self._counter += 1
            if self._counter == COUNTER_LIMIT:  # borrow from the next millisecond
                self._millis, self._counter = self._millis + 1, 0
        return self._millis, self._counter
