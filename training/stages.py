"""What each stage of a long job costs: seconds and peak memory, for the run's record."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"  # proc(5): sets the peak resident size back to the present one


@dataclass(frozen=True, slots=True)
class StageCost:
    """Cost of one stage.

    Parameters
    ----------
    seconds
        Wall time.
    peak_mb
        Largest resident size of this process while the stage ran, in 10^6 bytes. Where the
        kernel cannot reset its high-water mark this is the largest size since the start.
    """

    stage: str
    seconds: float
    peak_mb: float

    def as_row(self) -> dict[str, object]:
        """The stage as one row of a table."""
        return {
            "stage": self.stage,
            "seconds": round(self.seconds, 3),
            "peak MB": round(self.peak_mb, 1),
        }


@dataclass(slots=True)
class Stages:
    """Measures stages one after the other; a stage inside another is not measured on its own.

    Parameters
    ----------
    announce
        Called with the name of each stage when it begins.
    timer
        Monotonic seconds.
    """

    announce: Callable[[str], None] = lambda _: None
    timer: Callable[[], float] = time.perf_counter
    costs: list[StageCost] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the block; recorded when it succeeds."""
        self.announce(name)
        _reset_peak()
        start = self.timer()
        yield
        self.costs.append(StageCost(name, self.timer() - start, _peak_mb()))

    @property
    def metrics(self) -> dict[str, float]:
        """Flat figures for the run: ``stage_<name>_seconds`` and ``stage_<name>_peak_mb``."""
        flat: dict[str, float] = {}
        for cost in self.costs:
            flat[f"stage_{cost.stage}_seconds"] = round(cost.seconds, 3)
            flat[f"stage_{cost.stage}_peak_mb"] = round(cost.peak_mb, 1)
        return flat


def _reset_peak() -> None:
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:
        return  # not Linux, or a kernel without it: see `StageCost.peak_mb`


def _peak_mb() -> float:
    try:
        status = _STATUS.read_text()
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024 / 1e6
