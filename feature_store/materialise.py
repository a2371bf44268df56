"""Fill the online store from the tables: after a loss, for imported history, or to make sure.

Live traffic may go on meanwhile. What the online store knows beyond the tables is kept, by the rule
in `feature_store.online.reconcile`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from feature_store.all_views import VIEWS
from feature_store.erasures import Erasures
from feature_store.layout import StoreLayout
from feature_store.online.features import FeatureRow, put_features
from feature_store.online.opening import bring_up, open_store
from feature_store.online.reconcile import Rebuilt
from feature_store.online.state import micros
from feature_store.online.store import Clock, OnlineStore
from feature_store.online.visitors import Visitors
from feature_store.rebuild import ROWS_PER_BUCKET, attribute, rebuild
from feature_store.tables import read_interactions
from feature_store.view_rows import latest_values
from feature_store.views import FeatureView
from recommender.errors import DataError, InvalidInputError
from recommender.terms import AVAILABLE_AT, MICROS_PER_SECOND

LINKS_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class MaterialiseReport:
    """What was done.

    Parameters
    ----------
    until
        Moment up to which the tables are complete; ISO, UTC.
    rows
        Table rows used.
    rows_later
        Rows that were not known at the moment asked for.
    shoppers
        Users and visitors with a state.
    put
        States brought in.
    expired
        Shoppers not seen for the time to live: left out.
    identified_meanwhile
        Visitors that were identified while this ran: the next run brings them in.
    erased_meanwhile
        Shoppers that were erased while this ran: left out; what they did since is brought in by the
        next run.
    skipped_newer_schema
        Shoppers whose online state was written by a later version of this program: left alone.
    """

    until: str
    rows: int
    rows_later: int
    shoppers: int
    put: int
    expired: int
    identified_meanwhile: int
    erased_meanwhile: int
    skipped_newer_schema: int
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


@dataclass(slots=True)
class _Intake:
    """Shoppers on their way to the store, counted."""

    oldest: int
    advance: Callable[[], object]
    shoppers: int = 0
    expired: int = 0

    def alive(self, shoppers: Iterable[Rebuilt]) -> Iterator[Rebuilt]:
        for shopper in shoppers:
            self.shoppers += 1
            self.advance()
            if shopper.state.last_seen < self.oldest:
                self.expired += 1
            else:
                yield shopper


def materialise(
    layout: StoreLayout,
    visitors: Visitors,
    at: datetime | None = None,
    *,
    rows_per_bucket: int = ROWS_PER_BUCKET,
    advance: Callable[[], object] = lambda: None,
) -> MaterialiseReport:
    """Bring the states of all shoppers in the tables into the online store.

    Parameters
    ----------
    at
        Use only what was known at this moment. None: everything.
    rows_per_bucket
        About how many table rows are in memory at a time.
    advance
        Called once per shopper, for a progress bar.

    Raises
    ------
    DataError
        The tables hold nothing known at that moment.
    """
    rows = _read(layout, at)
    return materialise_rows(rows, visitors, at, rows_per_bucket=rows_per_bucket, advance=advance)


def materialise_rows(
    interactions: pl.LazyFrame,
    visitors: Visitors,
    at: datetime | None = None,
    *,
    rows_per_bucket: int = ROWS_PER_BUCKET,
    advance: Callable[[], object] = lambda: None,
) -> MaterialiseReport:
    """`materialise` for rows of the interactions table from anywhere."""
    started = time.monotonic()
    known = interactions if at is None else interactions.filter(pl.col(AVAILABLE_AT) <= at)
    until, later = _extent(interactions, known)
    shoppers = attribute(known, {})
    if online := _online_links(visitors, shoppers.anonymous):
        shoppers = attribute(known, online)
    ttl = int(visitors.options.ttl_seconds * MICROS_PER_SECOND)
    intake = _Intake(until - ttl, advance)
    before = visitors.counts.copy()
    states = rebuild(shoppers, visitors.options.limits, rows_per_bucket)
    visitors.put(intake.alive(states), until)
    done = visitors.counts - before
    return MaterialiseReport(
        until=datetime.fromtimestamp(until / MICROS_PER_SECOND, UTC).isoformat(),
        rows=shoppers.count,
        rows_later=later,
        shoppers=intake.shoppers,
        put=done["put"],
        expired=intake.expired,
        identified_meanwhile=done["identified_meanwhile"],
        erased_meanwhile=done["erased_meanwhile"],
        skipped_newer_schema=done["skipped_newer_schema"],
        seconds=round(time.monotonic() - started, 3),
    )


def _read(layout: StoreLayout, at: datetime | None) -> pl.LazyFrame:
    """All rows; who a visitor is as it was known at `at`, inclusive."""
    known_before = at and at + timedelta(microseconds=1)
    return read_interactions(layout, known_before=known_before)


def _extent(interactions: pl.LazyFrame, known: pl.LazyFrame) -> tuple[int, int]:
    """Up to when the rows are complete, microseconds, and how many came later."""
    count, newest = (
        known.select(pl.len(), pl.col(AVAILABLE_AT).max().name.suffix("_max")).collect().row(0)
    )
    if not count:
        raise DataError("the tables hold no interaction known at that moment: run `ingest` first")
    total = int(interactions.select(pl.len()).collect().item())
    return micros(newest), total - count


def _online_links(visitors: Visitors, anonymous: list[str]) -> dict[str, tuple[str, int]]:
    links: dict[str, tuple[str, int]] = {}
    for start in range(0, len(anonymous), LINKS_PAGE):
        links |= visitors.links(anonymous[start : start + LINKS_PAGE])
    return links


def materialise_view(
    view: FeatureView, interactions: pl.LazyFrame, store: OnlineStore, at: datetime
) -> int:
    """Write the features of every living entity, as known at `at`; returns how many.

    They stay until the view's time to live, unless a later run replaces them.
    """
    keys = list(view.entity.keys)
    latest = latest_values(view, interactions, at)
    moment, names = micros(at), list(view.schema)
    rows = (
        (row[: len(keys)], FeatureRow(moment, row[len(keys) :]))
        for row in latest.select(*keys, *names).iter_rows()
    )
    return put_features(store, view.name, names, rows, view.ttl.total_seconds())


@dataclass(frozen=True, slots=True)
class MaterialisedStore:
    """What `materialise_store` did: the shoppers, and entities written per feature view."""

    visitors: MaterialiseReport
    views: dict[str, int]


def materialise_store(
    layout: StoreLayout,
    clock: Clock,
    at: datetime | None = None,
    views: Sequence[str] = (),
    *,
    redis_url: str | None = None,
    advance: Callable[[], object] = lambda: None,
) -> MaterialisedStore:
    """Fill the shop's own online store: every shopper, and the latest values of feature views.

    Parameters
    ----------
    views
        Names out of `feature_store.all_views.VIEWS`.
    redis_url
        Server of the online store; None: the file in the data folder.

    Raises
    ------
    StorageError
        The store fails, or does not know yet what the log knows.
    InvalidInputError
        A view is not known.
    DataError
        The tables hold nothing known at `at`.
    """
    if unknown := [name for name in views if name not in VIEWS]:
        raise InvalidInputError(f"no view is named {unknown}; accepted: {sorted(VIEWS)}")
    store, erased_at = open_store(layout, clock, redis_url), Erasures(layout.erasures).erased_at
    try:
        # What is replayed after this would count twice.
        bring_up(layout, store, erased_at)
        visitors = Visitors(store, erased_at=erased_at)
        report = materialise(layout, visitors, at, advance=advance)
        moment = datetime.fromisoformat(report.until)
        rows = _read(layout, at)
        written = {name: materialise_view(VIEWS[name], rows, store, moment) for name in views}
    finally:
        store.close()
    return MaterialisedStore(report, written)
