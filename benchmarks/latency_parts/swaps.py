"""Another model every second, for as long as a load lasts."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Final

from benchmarks.latency_parts.contestants import point

EVERY_SECONDS: Final = 1.0
ACCEPTED: Final = 'desirepath_bundle_swaps_total{outcome="accepted"} '


@contextmanager
def swapping(bundles: Path, versions: Sequence[str]) -> Iterator[None]:
    """For the time of a ``with`` block these versions are put in use in turn."""
    stop = threading.Event()

    def swap() -> None:
        for version in cycle(versions):
            point(bundles, version)
            if stop.wait(EVERY_SECONDS):
                return

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def accepted(url: str, key: str) -> int:
    """How many models a service has taken into use since it began."""
    request = urllib.request.Request(f"{url}/metrics", headers={"X-API-Key": key})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - loopback
        text: str = response.read().decode()
    lines = [line for line in text.splitlines() if line.startswith(ACCEPTED)]
    return int(float(lines[0].removeprefix(ACCEPTED))) if lines else 0
