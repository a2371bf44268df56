"""The journey report: the customer's way through the shop, from the log alone.

Stage of the flow: tables → **report**. No model takes part; see `training.journeys` for what a
model could have saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from feature_store.catalogue import read_catalogue
from feature_store.layout import StoreLayout
from feature_store.tables import read_manifests, read_table_info
from recommender.errors import DataError, InvalidInputError
from recommender.journey import LOOKBACK_DAYS, LOOKBACK_MICROS
from recommender.terms import ITEM_ID, MICROS_PER_SECOND, SHOPPER_ID, TITLE
from training.dataset import moment
from training.engine import Period
from training.evaluation.bootstrap import Interval
from training.reports.assists import Assists, assists_of
from training.reports.dead_ends import DeadEnds, dead_ends
from training.reports.detours import JourneyLengths, Loops, Pogo, lengths_of, loops_of, pogo_of
from training.reports.exits import (
    StageReach,
    StopLoss,
    TouchpointExit,
    exits_of,
    losses_by_stop,
    stages_of,
)
from training.reports.journey_rows import journey_rows
from training.reports.log_rows import read_rows
from training.reports.openings import Flow, Opening, flow_of, openings_of
from training.reports.removal import Critical, critical_touchpoints
from training.reports.report import Report
from training.reports.resampling import Resampling
from training.reports.touchpoints import acts_of
from training.reports.walks import walks_of
from training.sections import EvaluationSpec


class JourneysReport(Report, frozen=True):
    """Everything that the report says.

    Parameters
    ----------
    period_start, period_end
        ISO 8601 in UTC; the end is exclusive.
    session_gap_minutes, lookback_days
        Silence that ends a visit; how far a journey reaches back.
    counts
        Rows, visits, acts, purchases and journeys: read, kept, and left out by reason.
    conversion
        Share of the visits that bought; this and every other share is None of fewer than
        `training.reports.resampling.LEAST`.
    bought_paths, left_paths
        The most common openings of visits, by outcome.
    lengths
        None without a journey.
    assists
        None where the log has no list with a placement, or no journey.
    """

    period_start: str
    period_end: str
    session_gap_minutes: float
    lookback_days: int
    confidence: float
    counts: Mapping[str, int]
    conversion: Interval | None
    bought_paths: tuple[Opening, ...]
    left_paths: tuple[Opening, ...]
    flow: Flow
    stages: tuple[StageReach, ...]
    losses: tuple[StopLoss, ...]
    exits: tuple[TouchpointExit, ...]
    dead_ends: tuple[DeadEnds, ...]
    critical: tuple[Critical, ...]
    lengths: JourneyLengths | None
    loops: tuple[Loops, ...]
    pogo: tuple[Pogo, ...]
    assists: Assists | None


def report_journeys(layout: StoreLayout, period: Period, spec: EvaluationSpec) -> JourneysReport:
    """Walk a period of a store's log.

    Parameters
    ----------
    spec
        Rounds, confidence and seed of the intervals.

    Raises
    ------
    DataError
        No visit begins in the period.
    """
    gap = session_gap(layout)
    rows = read_rows(layout, period, LOOKBACK_MICROS, gap)
    walks = walks_of(rows, acts_of(rows), period, gap)
    if not len(walks):
        raise DataError(
            f"no visit begins from {moment(period.start).isoformat()} to "
            f"{moment(period.end).isoformat()}: {dict(walks.counts)}"
        )
    journeys = journey_rows(rows, period, LOOKBACK_MICROS)
    resampling = Resampling.of(len(rows.names[SHOPPER_ID]), spec)
    return JourneysReport(
        moment(period.start).isoformat(),
        moment(period.end).isoformat(),
        gap / MICROS_PER_SECOND / 60,
        LOOKBACK_DAYS,
        spec.confidence,
        {**rows.counts, **walks.counts, **journeys.counts},
        resampling.mean(walks.shopper, walks.is_bought),
        openings_of(walks, resampling, bought=True),
        openings_of(walks, resampling, bought=False),
        flow_of(walks),
        stages_of(walks, resampling),
        losses_by_stop(walks, resampling),
        exits_of(walks, resampling),
        dead_ends(rows, walks, _titles(layout), spec.confidence),
        critical_touchpoints(walks, resampling),
        lengths_of(journeys, resampling),
        loops_of(walks, resampling),
        pogo_of(walks, resampling),
        assists_of(rows, journeys, resampling),
    )


def _titles(layout: StoreLayout) -> dict[str, str]:
    items = read_catalogue(layout).select(ITEM_ID, TITLE).drop_nulls()
    return dict(items.iter_rows())


def session_gap(layout: StoreLayout) -> int:
    """The silence that ends a visit in a store's tables, microseconds. Raises `DataError`."""
    info = read_table_info(layout)
    if info is None:
        raise DataError(f"{layout.tables} holds no interactions; ingest a log first")
    return info.session_gap_seconds * MICROS_PER_SECOND


def find_period(
    layout: StoreLayout, since: datetime | None, until: datetime | None, days: int | None
) -> Period:
    """The period to report; without bounds the whole log.

    Parameters
    ----------
    since, until
        Aware; the end is exclusive.
    days
        The last so many days before the end.

    Raises
    ------
    InvalidInputError
        The bounds do not fit together.
    DataError
        The store holds no event.
    """
    if since is not None and days is not None:
        raise InvalidInputError("--since and --days both say where to begin; give one of them")
    manifests = read_manifests(layout)
    if not manifests:
        raise DataError(f"{layout.tables} holds no interactions; ingest a log first")
    first, last = min(day.first_ts for day in manifests), max(day.last_ts for day in manifests)
    end = min(last + 1, last + 1 if until is None else _micros(until))
    begin = first if since is None else max(first, _micros(since))
    if days is not None:
        begin = max(first, _micros(moment(end) - timedelta(days=days)))
    if begin >= end:
        raise InvalidInputError(
            f"nothing lies from {moment(begin).isoformat()} to {moment(end).isoformat()}; the log "
            f"has events from {moment(first).isoformat()} to {moment(last).isoformat()}"
        )
    return Period(begin, end)


def _micros(when: datetime) -> int:
    return round(when.timestamp() * MICROS_PER_SECOND)
