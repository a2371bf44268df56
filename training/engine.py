"""The six coarse operations on the log. Nothing else in training touches events.

An engine reads the interactions table of a shop and leaves Parquet files of a fixed schema (or
arrays, for the factors) in a workspace folder; everything after that is the same whatever the
engine was. Two engines must agree: integers exactly, sums within 1e-6, factor models in quality.
Therefore times are whole microseconds since the epoch (UTC), and ties are ordered by event id.

Schemas
-------
events
    ``shopper_idx`` Int32, ``item_idx`` Int32, ``event_code`` Int32, ``ts`` Int64, ``available_at``
    Int64, ``session`` Int64, ``step`` Int64, ``price`` Float64 or null; in the order (shopper, ts,
    event code, event id, item position). A *session* is a run of a shopper's events without a gap
    longer than the session gap; a *step* is everything of one type that a shopper did at one
    moment, for example one basket. Both are numbered from 0 over the whole file.
moves
    ``shopper_idx``, ``item_idx`` (-1: none), ``event_code`` Int32, ``ts``, ``available_at`` Int64:
    what else the shoppers of the events did, see `feature_store.moves`; in the order (shopper, ts,
    event code, item).
pairs
    ``shopper_idx`` Int32, ``item_idx`` Int32, ``weight`` Float64, sorted; each pair once.
neighbour counts
    ``item_idx`` Int32, ``other_idx`` Int32, ``weight`` Float64, sorted; each directed pair once.
exposures
    ``shopper_idx`` Int32 or null, ``item_idx`` Int32 or null (without any event in the window's
    file), ``is_click`` Boolean, ``position`` Int32 (0-based), ``place`` String (the placement, or
    empty), ``ts`` Int64, ``available_at`` Int64; what was shown in lists of ours
    (`recommender.exposures`), and what was taken up from them; in the order (shopper, item, ts,
    event id, item position).
visits
    ``shopper_idx`` Int32 or null (a shopper without any event in the window's file), ``shopper_id``
    String, ``start`` Int64, ``end`` Int64, ``entry`` String, ``entry_placement`` String or null,
    ``is_known`` Boolean; in the order (shopper id, start). See `Engine.visits`.
searches
    ``shopper_idx`` Int32, ``ts`` Int64, ``available_at`` Int64, ``term`` String, in the order
    (shopper, ts, term): what the window's shoppers searched for, in lower case with single spaces,
    at most 64 characters.
as-of rows
    the events' columns and ``question`` Int64, in the order (question, events' order).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import polars as pl
from scipy import sparse

from feature_store.layout import StoreLayout
from training.models.als import Factors
from training.spec import TrainingSpec

Key = Literal["shopper_idx", "item_idx"]


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time.

    Parameters
    ----------
    start, end
        Microseconds since the epoch, UTC; the end is exclusive.
    """

    start: int
    end: int

    @property
    def length(self) -> int:
        """Microseconds from start to end."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class EventWindow:
    """The interactions of one window, with ids as numbers.

    Parameters
    ----------
    events
        Parquet file of the schema above.
    item_ids, shopper_ids
        Outside id of each index, ascending by code point.
    digest
        sha256 over the contents.
    counts
        Rows read, kept, and left out by reason.
    exposures
        Parquet file of the schema above; None where the log holds none.
    searches
        Parquet file of the searches; None where the engine reads none.
    moves
        Parquet file of the schema ``moves`` above; None where the log knows of none.
    """

    events: Path
    period: Period
    item_ids: tuple[str, ...]
    shopper_ids: tuple[str, ...]
    digest: str
    counts: Mapping[str, int]
    exposures: Path | None = None
    searches: Path | None = None
    moves: Path | None = None

    def scan(self) -> pl.LazyFrame:
        """The events, lazily."""
        return pl.scan_parquet(self.events)


class Engine(Protocol):
    """Turns the log into numbers."""

    @property
    def libraries(self) -> Mapping[str, str]:
        """Version of each library that shapes the numbers."""
        ...

    def ingest_window(
        self, layout: StoreLayout, spec: TrainingSpec, as_of: int | None, workspace: Path
    ) -> EventWindow:
        """Read the window that ends at `as_of` (microseconds; None: just after the last event).

        Raises
        ------
        DataError
            There is no interaction in the window.
        """
        ...

    def interactions(
        self, window: EventWindow, spec: TrainingSpec, until: int, workspace: Path
    ) -> Path:
        """Pairs file: what was known before `until`, decayed by age at `until` and summed."""
        ...

    def neighbour_counts(
        self, window: EventWindow, spec: TrainingSpec, pair: str, until: int, workspace: Path
    ) -> Path:
        """Neighbour counts file of one pair of event types, from what was known before `until`."""
        ...

    def join_as_of(
        self, window: EventWindow, questions: pl.DataFrame, by: Key, depth: int, workspace: Path
    ) -> Path:
        """As-of rows file: the last `depth` events known strictly before each question.

        Parameters
        ----------
        questions
            ``question`` Int64, the key column Int32, ``at`` Int64 (microseconds).
        """
        ...

    def visits(
        self,
        layout: StoreLayout,
        window: EventWindow,
        spec: TrainingSpec,
        period: Period,
        workspace: Path,
    ) -> Path:
        """Visits file: every visit of the window that begins in a period.

        Here events of every type count, also those without an item, but for refunds, which come
        from the back office: a visit that only searched is a visit. `entry` is the type of its
        first event and `entry_placement` that event's placement; `is_known` says that the window
        holds something earlier of the shopper.
        """
        ...

    def factorise(self, user_items: sparse.csr_array, spec: TrainingSpec) -> Factors:
        """Factor model of decayed weights, float64 (shoppers, items), positive where stored."""
        ...
