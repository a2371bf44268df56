"""From single runs to a table and to ratios.

Everything is a median over rounds, and a ratio is one of two runs of the same round, so that a
neighbour who slows a whole round down is in both of its sides.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.latency_parts.contestants import (
    ALONE,
    CANNED,
    EMPTY,
    EXACT,
    FULL,
    PLAIN,
    REDIS,
    RULES,
    WORKERS,
)
from benchmarks.latency_parts.peers import MLFLOW, TUTORIAL

LOW, MIDDLE, HIGH = 1, 16, 64
CONNECTIONS: Final = (LOW, MIDDLE, HIGH)


@dataclass(frozen=True, slots=True)
class Shot:
    """One run of the load against one contestant.

    Parameters
    ----------
    cpu_us
        Microseconds of the server's processor time per answer.
    """

    contestant: str
    connections: int
    round: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    errors: int


Figure = Callable[[Shot], float]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure of one contestant through one of another (or of the same)."""

    above: tuple[str, Figure]
    below: tuple[str, Figure]
    connections: int

    def of(self, shots: Sequence[Shot]) -> list[float]:
        """One value per round in which both were measured."""
        at = {
            (shot.contestant, shot.round): shot
            for shot in shots
            if shot.connections == self.connections
        }
        (above, figure), (below, other) = self.above, self.below
        return [
            figure(shot) / other(at[below, number])
            for (name, number), shot in at.items()
            if name == above and (below, number) in at
        ]


def _per_second(shot: Shot) -> float:
    return shot.per_second


def _p50(shot: Shot) -> float:
    return shot.p50_ms


def _p99(shot: Shot) -> float:
    return shot.p99_ms


def _cpu(shot: Shot) -> float:
    return shot.cpu_us


def _of(figure: Figure, above: str, below: str, connections: int) -> Ratio:
    return Ratio((above, figure), (below, figure), connections)


def swapping(name: str) -> str:
    """Name of a contestant whose model changes every second."""
    return f"{name}, swapped"


def quiet(name: str) -> str:
    """Name of the same right before or after, left in peace."""
    return f"{name}, not swapped"


RATIOS: Final[Mapping[str, Ratio]] = {
    "canned_vs_empty": _of(_per_second, CANNED, EMPTY, MIDDLE),
    "plain_vs_empty": _of(_per_second, PLAIN, EMPTY, MIDDLE),
    "full_vs_empty": _of(_per_second, FULL, EMPTY, MIDDLE),
    "full_vs_plain": _of(_per_second, FULL, PLAIN, MIDDLE),
    "rules_vs_full": _of(_per_second, RULES, FULL, MIDDLE),
    "exact_vs_full": _of(_per_second, EXACT, FULL, MIDDLE),
    "redis_vs_full": _of(_per_second, REDIS, FULL, MIDDLE),
    "full_p50_vs_empty": _of(_p50, FULL, EMPTY, LOW),
    "canned_cpu_vs_empty": _of(_cpu, CANNED, EMPTY, MIDDLE),
    "full_cpu_vs_empty": _of(_cpu, FULL, EMPTY, MIDDLE),
    "p99_vs_p50_64": Ratio((FULL, _p99), (FULL, _p50), HIGH),
    "full_vs_mlflow_1": _of(_per_second, FULL, MLFLOW, LOW),
    "full_vs_mlflow_16": _of(_per_second, FULL, MLFLOW, MIDDLE),
    "full_vs_tutorial_16": _of(_per_second, FULL, TUTORIAL, MIDDLE),
    "workers2_vs_1": _of(_per_second, WORKERS, ALONE, MIDDLE),
    # A shot under swaps stands beside a quiet one of the same round, see `swapping`.
    "swap_throughput": _of(_per_second, swapping(WORKERS), quiet(WORKERS), MIDDLE),
    "swap_p99": _of(_p99, swapping(WORKERS), quiet(WORKERS), MIDDLE),
    "swap_throughput_alone": _of(_per_second, swapping(ALONE), quiet(ALONE), MIDDLE),
    "swap_p99_alone": _of(_p99, swapping(ALONE), quiet(ALONE), MIDDLE),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One contestant at one number of connections: medians over the rounds.

    Parameters
    ----------
    per_second_low, per_second_high
        The slowest and the fastest round.
    errors
        Of all rounds together.
    """

    contestant: str
    connections: int
    per_second: float
    per_second_low: float
    per_second_high: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    errors: int


def rows(shots: Sequence[Shot]) -> list[Row]:
    """The table, contestants in the order in which they came."""
    groups: dict[tuple[str, int], list[Shot]] = {}
    for shot in shots:
        groups.setdefault((shot.contestant, shot.connections), []).append(shot)
    names = list(dict.fromkeys(shot.contestant for shot in shots))
    ordered = sorted(groups, key=lambda group: (names.index(group[0]), group[1]))
    return [_row(groups[group]) for group in ordered]


def _row(shots: Sequence[Shot]) -> Row:
    rates = [shot.per_second for shot in shots]
    return Row(
        contestant=shots[0].contestant,
        connections=shots[0].connections,
        per_second=round(statistics.median(rates), 1),
        per_second_low=round(min(rates), 1),
        per_second_high=round(max(rates), 1),
        p50_ms=round(statistics.median(shot.p50_ms for shot in shots), 3),
        p99_ms=round(statistics.median(shot.p99_ms for shot in shots), 3),
        cpu_us=round(statistics.median(shot.cpu_us for shot in shots), 1),
        errors=sum(shot.errors for shot in shots),
    )


def ratios(shots: Sequence[Shot]) -> dict[str, float | None]:
    """Medians over the rounds, None where a side was not measured; and all errors."""
    measured = {name: ratio.of(shots) for name, ratio in RATIOS.items()}
    medians = {
        name: round(statistics.median(values), 4) if values else None
        for name, values in measured.items()
    }
    return medians | {"errors": sum(shot.errors for shot in shots)}


def spreads(shots: Sequence[Shot]) -> dict[str, tuple[float, float]]:
    """The least and the greatest value of each of these ratios over the rounds."""
    measured = {name: ratio.of(shots) for name, ratio in RATIOS.items()}
    return {
        name: (round(min(values), 4), round(max(values), 4))
        for name, values in measured.items()
        if values
    }
