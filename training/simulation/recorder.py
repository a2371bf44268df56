"""Collects what happens as columns; one chunk holds events of one type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from recommender.terms import BoolArray, Int32Array, Int64Array
from training.simulation.batch import Int8Array, SessionBatch

IN_PAGE_MICROS = 1_000
"""Distance of the events of one page, so that time tells the order in which they happened."""


@dataclass(frozen=True, slots=True)
class EventChunk:
    """Events of one type.

    Parameters
    ----------
    shopper, device, visit, sequence
        int32 (n,): who, on which device, on which visit, and the number of the event in it.
    ts
        int64 (n,), microseconds since the epoch.
    items
        int32 (n, k), padded with -1.
    placement, page
        int8 (n,) as index into `PLACEMENTS`, -1 none.
    logged_in
        bool (n,): the event carries the user id.
    quantity
        int32 (n, k), or None for events that have none.
    recommendation_id
        object (n,) of str or None.
    order
        int32 (n,), number of the order within the visit, or None for events without a transaction.
    search
        int32 (n,), leaf that was searched for, or None.
    in_session
        False for what happens in the back office, which belongs to no session.
    """

    event_type: str
    shopper: Int32Array
    device: Int32Array
    visit: Int32Array
    sequence: Int32Array
    ts: Int64Array
    items: Int32Array
    placement: Int8Array
    page: Int8Array
    logged_in: BoolArray
    quantity: Int32Array | None = None
    recommendation_id: npt.NDArray[np.object_] | None = None
    order: Int32Array | None = None
    search: Int32Array | None = None
    in_session: bool = True

    def __len__(self) -> int:
        return len(self.ts)


@dataclass(frozen=True, slots=True)
class Details:
    """What an event may carry beyond its items; fields as in `EventChunk`."""

    placement: Int8Array | None = None
    quantity: Int32Array | None = None
    recommendation_id: npt.NDArray[np.object_] | None = None
    order: Int32Array | None = None
    search: Int32Array | None = None


NO_DETAILS = Details()


@dataclass(slots=True)
class Recorder:
    """Takes events of visits and keeps them as chunks.

    Parameters
    ----------
    listener
        Called with every chunk at once, in the order of happening within each visit.
    """

    listener: Callable[[EventChunk], None] | None = None
    chunks: list[EventChunk] = field(default_factory=list)

    def record(
        self,
        event_type: str,
        batch: SessionBatch,
        rows: Int64Array,
        items: Int32Array,
        details: Details = NO_DETAILS,
    ) -> None:
        """Record one event for each of `rows` and let a millisecond pass for them.

        Parameters
        ----------
        rows
            int64 (n,), rows of the batch.
        items
            int32 (n, k), padded with -1; k may be 0.
        """
        if not len(rows):
            return
        placement = np.full(len(rows), -1, np.int8)
        self.add(
            EventChunk(
                event_type=event_type,
                shopper=batch.shopper[rows],
                device=batch.device[rows],
                visit=batch.visit[rows],
                sequence=batch.sequence[rows],
                ts=batch.ts[rows],
                items=items,
                placement=placement if details.placement is None else details.placement,
                page=batch.page[rows],
                logged_in=batch.logged_in[rows],
                quantity=details.quantity,
                recommendation_id=details.recommendation_id,
                order=details.order,
                search=details.search,
            )
        )
        batch.sequence[rows] += 1
        batch.ts[rows] += IN_PAGE_MICROS

    def add(self, chunk: EventChunk) -> None:
        """Keep a chunk made elsewhere."""
        if len(chunk):
            self.chunks.append(chunk)
            if self.listener is not None:
                self.listener(chunk)

    def drain(self) -> list[EventChunk]:
        """Give what was collected and begin anew."""
        chunks, self.chunks = self.chunks, []
        return chunks
