"""Past visits as sequences of items: what session neighbours and two-step pairs learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.terms import Float64Array, Int32Array, Int64Array
from training.known_events import KnownEvents


@dataclass(frozen=True, slots=True)
class Visits:
    """Visits of at least two steps, by when they ended; no word of whose they were.

    Parameters
    ----------
    items
        Items of all visits, each in order, int32 (steps,).
    offsets
        Bounds of each visit, int64 (visits + 1,).
    catalogue
        Number of items of the bundle.
    """

    items: Int32Array
    offsets: Int64Array
    catalogue: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def latest(self, most: int) -> Visits:
        """The last so many visits."""
        begin = max(0, len(self) - most)
        offsets = self.offsets[begin:]
        return Visits(self.items[offsets[0] :], offsets - offsets[0], self.catalogue)

    def near_pairs(self, max_distance: int, position_decay: float) -> sparse.csr_array:
        """Directed pairs of items, float64 (catalogue, catalogue).

        Two steps of a visit that are d apart count ``position_decay ** (d - 1)``, of one item too.
        """
        size = (self.catalogue, self.catalogue)
        visit = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        total = sparse.csr_array(size, dtype=np.float64)
        for distance in range(1, max_distance + 1):
            near = np.flatnonzero(visit[:-distance] == visit[distance:])
            if not len(near):
                break
            pair = (self.items[near], self.items[near + distance])
            weight = np.full(len(near), position_decay ** (distance - 1))
            total = total + sparse.csr_array((weight, pair), shape=size)
        return sparse.csr_array(total)

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Arrays of `recommender.candidates.past_visits.SessionIndex`."""
        visit = np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.offsets))
        pairs = np.unique(self.items.astype(np.int64) * len(self) + visit)
        bounds = np.searchsorted(pairs, np.arange(self.catalogue + 1) * len(self))
        return {
            "session_items": self.items,
            "session_offsets": self.offsets,
            "item_sessions": (pairs % len(self)).astype(np.int32),
            "item_sessions_offsets": bounds.astype(np.int64),
        }


def visits_of(events: KnownEvents, weight_by_code: Float64Array) -> Visits:
    """The visits in order of their last event; only events that count as interest are steps."""
    known = events[weight_by_code[events.event_code] > 0]
    _, visit, sizes = np.unique(known.session, return_inverse=True, return_counts=True)
    kept = sizes[visit] > 1
    known, visit = known[kept], visit[kept]
    if not len(known):
        return Visits(np.empty(0, np.int32), np.zeros(1, np.int64), events.items)
    first = np.flatnonzero(np.diff(visit, prepend=-1))
    lengths = np.diff(np.append(first, len(visit)))
    order = np.argsort(known.ts[first + lengths - 1], kind="stable")
    offsets = np.concatenate([[0], np.cumsum(lengths[order])]).astype(np.int64)
    within = np.arange(len(visit)) - np.repeat(offsets[:-1], lengths[order])
    rows = np.repeat(first[order], lengths[order]) + within
    return Visits(known.item_idx[rows].astype(np.int32), offsets, events.items)
