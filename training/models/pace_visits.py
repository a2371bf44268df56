"""Past visits, step by step, as the service would have seen them: what pace is learnt from.

The signs come from `recommender.visit_signs` and the features from `recommender.pace`, the code
that serves. Steps at which the online store would have forgotten the beginning of the visit are
left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from feature_store.online.state import DEFAULT_LIMITS
from recommender.pace import COMPARED, KNOTS, Quantiles, prefixes
from recommender.query import NO_ITEM, Interaction, Visit
from recommender.terms import (
    EVENT_CODES,
    EVENT_TYPES,
    MOVE_TYPES,
    Float32Array,
    Int32Array,
    Int64Array,
)
from recommender.visit_signs import GAPS, MEASURES, Signs

UNLABELLED = -1
_MOVE_CODES = frozenset(EVENT_CODES[name] for name in MOVE_TYPES)


@dataclass(frozen=True, slots=True)
class VisitRows:
    """Interactions and moves by shopper, then time; of one moment, interactions first.

    Parameters
    ----------
    shopper, item, code
        int32 (n,); an item of -1 is none.
    ts
        Microseconds since the epoch, int64 (n,).
    label
        True pace of the visit, int32 (n,), an index of `recommender.terms.MODES`; `UNLABELLED`
        where nobody knows.
    """

    shopper: Int32Array
    item: Int32Array
    code: Int32Array
    ts: Int64Array
    label: Int32Array

    @classmethod
    def of_frame(cls, rows: pl.DataFrame) -> VisitRows:
        """Rows with ``shopper_idx``, ``item_idx``, ``event_code``, ``ts`` and perhaps ``label``."""
        if "label" not in rows.columns:
            rows = rows.with_columns(label=pl.lit(UNLABELLED, pl.Int32))
        is_move = pl.col("event_code").is_in(list(_MOVE_CODES))
        ordered = rows.sort("shopper_idx", "ts", is_move, "event_code", "item_idx")
        names = ("shopper_idx", "item_idx", "event_code", "ts", "label")
        return cls(*(ordered[name].to_numpy() for name in names))

    def __len__(self) -> int:
        return len(self.ts)


@dataclass(frozen=True, slots=True)
class PastVisits:
    """A sample of the visits of a shop.

    Parameters
    ----------
    visits
        The events of each, and what was met before; item ids are numbers as text.
    labels
        int32 (visits,), see `VisitRows`.
    category
        Of each item, int32 (items,); -1 where there is none.
    """

    visits: tuple[Visit, ...]
    labels: Int32Array
    category: Int32Array

    def steps(self) -> Iterator[tuple[int, Signs]]:
        """Number of the visit and its signs, at every step from which a visit has a mode."""
        for number, visit in enumerate(self.visits):
            for signs in prefixes(visit, self._category_of):
                yield number, signs

    def quantiles(self) -> Float32Array:
        """The shop's own distributions over these steps, float32 (`COMPARED`, `KNOTS`)."""
        gaps: list[list[float]] = [[] for _ in GAPS]
        measures = []
        for _, signs in self.steps():
            measures.append(signs.measures())
            if signs.gaps:
                kind, seconds = signs.gaps[-1]
                gaps[kind].append(seconds)
        levels = np.linspace(0, 1, KNOTS)
        table = np.array(measures, np.float64).reshape(-1, len(MEASURES))
        columns = [*(np.array(each) for each in gaps), *table.T]
        found = np.zeros((len(COMPARED), KNOTS), np.float32)
        for row, values in enumerate(columns):
            if len(values):
                found[row] = np.quantile(values, levels)
        return found

    def features(self, quantiles: Float32Array) -> tuple[Float32Array, Int32Array, Int32Array]:
        """Features float32 (n, f), and the visit and the number of the step, int32 (n,) each."""
        relative = Quantiles(quantiles)
        rows, visits, steps = [], [], []
        for number, signs in self.steps():
            rows.append(relative.features(signs))
            visits.append(number)
            steps.append(signs.steps)
        features = np.array(rows, np.float32)
        return features, np.array(visits, np.int32), np.array(steps, np.int32)

    def _category_of(self, item_id: str) -> int:
        return int(self.category[int(item_id)])


def past_visits(
    rows: VisitRows, category: Int32Array, gap_micros: int, most: int, rng: np.random.Generator
) -> PastVisits:
    """A random sample of at most `most` visits that have enough events to have a mode."""
    new = np.ones(len(rows), np.bool_)
    new[1:] = (np.diff(rows.shopper) != 0) | (np.diff(rows.ts) > gap_micros)
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(rows))
    long = np.flatnonzero(ends - starts >= 3)
    if len(long) > most:
        long = np.sort(rng.choice(long, most, replace=False))
    visits = tuple(_visit(rows, int(starts[each]), int(ends[each])) for each in long)
    return PastVisits(visits, rows.label[starts[long]], category)


def _visit(rows: VisitRows, start: int, end: int) -> Visit:
    events, kept = [], {True: DEFAULT_LIMITS.moves, False: DEFAULT_LIMITS.recent}
    columns = (rows.item[start:end], rows.code[start:end], rows.ts[start:end])
    for item, code, ts in zip(*(each.tolist() for each in columns), strict=True):
        is_move = code in _MOVE_CODES
        kept[is_move] -= 1
        if kept[is_move] < 0:
            break
        events.append(Interaction(_name(item), EVENT_TYPES[code], ts))
    return Visit(tuple(events), _met_before(rows, start))


def _met_before(rows: VisitRows, start: int) -> frozenset[str]:
    """Items of the interactions before a visit that the online store would still remember."""
    begin = int(np.searchsorted(rows.shopper, rows.shopper[start], "left"))
    items: list[str] = []
    for row in range(start - 1, begin - 1, -1):
        if len(items) == DEFAULT_LIMITS.recent:
            break
        if int(rows.code[row]) not in _MOVE_CODES:
            items.append(_name(int(rows.item[row])))
    return frozenset(items)


def _name(item: int) -> str:
    return NO_ITEM if item < 0 else str(item)
