"""The figures of a run, beside those of real logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from recommender import terms
from training.simulation.figures import COUNTED, behaviour_figures, repeat_buyers, rounded
from training.simulation.recorder import EventChunk
from training.simulation.reference import bands
from training.simulation.shop import DayLog


@dataclass(slots=True)
class Tally:
    """Collects what the figures need while a run goes on: 17 bytes per view, cart and purchase.

    Attributes
    ----------
    events
        Number of events by type.
    """

    events: Counter[str] = field(default_factory=Counter)
    visits: int = 0
    _parts: list[pl.DataFrame] = field(default_factory=list)

    def add(self, log: DayLog) -> None:
        """Count one day."""
        self.visits += len(log.truth)
        for chunk in log.chunks:
            self.events[chunk.event_type] += len(chunk)
        counted = [chunk for chunk in log.chunks if chunk.event_type in COUNTED]
        self._parts.append(_compact(counted))

    def figures(self, days: int) -> dict[str, float | None]:
        """Measure the run as a real log would be measured: by visitor, bots included."""
        kinds = pl.lit(pl.Series(COUNTED)).gather(pl.col("kind")).alias(terms.EVENT_TYPE)
        rows = pl.concat([_compact([]), *self._parts]).with_columns(kinds)
        purchases = rows.filter(pl.col(terms.EVENT_TYPE) == terms.PURCHASE)
        repeat = {"repeat_buyers": repeat_buyers(purchases, days)}
        return rounded(behaviour_figures(rows) | repeat)


def _compact(chunks: Sequence[EventChunk]) -> pl.DataFrame:
    """One row per event and item, in as few bytes as possible; ``kind`` indexes `COUNTED`."""
    schema = {"visitor": np.int32, "item": np.int32, "kind": np.uint8, terms.TS: np.int64}
    parts = [
        (
            (2 * chunk.shopper + chunk.device)[rows],
            chunk.items[rows, columns],
            np.full(len(rows), COUNTED.index(chunk.event_type), np.uint8),
            chunk.ts[rows],
        )
        for chunk in chunks
        for rows, columns in [np.nonzero(chunk.items >= 0)]
    ]
    columns_of = zip(*parts, strict=True) if parts else [[]] * len(schema)
    return pl.DataFrame(
        {
            name: np.concatenate([np.empty(0, dtype), *column])
            for (name, dtype), column in zip(schema.items(), columns_of, strict=True)
        }
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure beside the real ones.

    Parameters
    ----------
    value
        Of the run; None when it has too little for it.
    real
        By name of the log.
    low, high
        The accepted band.
    """

    figure: str
    value: float | None
    real: dict[str, float]
    low: float
    high: float

    @property
    def within(self) -> bool:
        """Whether the run is as a real shop's log might be, in this figure."""
        return self.value is not None and self.low <= self.value <= self.high

    def row(self, logs: Sequence[str]) -> dict[str, object]:
        """The comparison as a row of a table; the real logs share a column, in the order given."""
        real = [f"{self.real[name]:.3g}" if name in self.real else "-" for name in logs]
        return {
            "figure": self.figure,
            "simulated": self.value,
            "band": f"{self.low:.3g}..{self.high:.3g}",
            "within": "yes" if self.within else "NO",
            ", ".join(logs): ", ".join(real),
        }


def compare(
    figures: Mapping[str, float | None], real: Mapping[str, Mapping[str, float]]
) -> list[Comparison]:
    """Put the figures of a run beside those of real logs, see `real_figures`."""
    accepted = bands(real)
    return [
        Comparison(
            figure,
            value,
            {name: one[figure] for name, one in real.items() if figure in one},
            *accepted[figure],
        )
        for figure, value in figures.items()
        if figure in accepted
    ]
