"""Data gates: is the newest day fit to learn from? Each gate measures one thing and trips alone.

A gate that cannot be measured (too few rows or days, no catalogue file) says so and does not trip.
When a file is not what its manifest or the schema says, nothing else of the day is measured.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
import polars as pl

from feature_store.check_gates import GATES, DayFacts, Gate, check_schema, tripping
from feature_store.check_limits import CheckLimits
from feature_store.layout import StoreLayout
from feature_store.tables import read_manifests, scan_stored
from recommender.errors import DataError, InvalidInputError
from recommender.terms import TS

__all__ = ["CheckLimits", "CheckReport", "Gate", "check"]


class CheckReport(msgspec.Struct, frozen=True):
    """What the gates say about one day.

    Parameters
    ----------
    day
        The day that was checked, ISO date, UTC.
    rows
        Its rows.
    """

    day: str
    rows: int
    gates: tuple[Gate, ...]

    @property
    def tripped(self) -> tuple[Gate, ...]:
        """The gates that say no."""
        return tuple(gate for gate in self.gates if gate.is_tripped)


def check(
    layout: StoreLayout,
    at: datetime,
    limits: CheckLimits | None = None,
    day: date | None = None,
) -> CheckReport:
    """Measure one day.

    Parameters
    ----------
    at
        The moment that counts as now, UTC; freshness is measured from it, later days do not exist.
    day
        The day to check; None: the newest stored day that was over at `at`, or else the newest.

    Raises `DataError` when there is no such day.
    """
    if at.utcoffset() is None:
        raise InvalidInputError(f"at={at.isoformat()} has no time zone; give one, such as +00:00")
    limits = limits or CheckLimits()
    at = at.astimezone(UTC)
    chosen = _choose_day(layout, at, day)
    manifests = read_manifests(layout, chosen - timedelta(days=limits.trailing_days), chosen)
    freshness = _check_freshness(_newest(layout, at), at, limits)
    schema = check_schema(layout, manifests[-1])
    gates: tuple[Gate, ...] = (schema, freshness)
    if not schema.is_tripped:
        facts = DayFacts.read(layout, chosen, at, limits)
        gates += tuple(gate(facts) for gate in GATES)
    return CheckReport(chosen.isoformat(), manifests[-1].rows, gates)


def _choose_day(layout: StoreLayout, at: datetime, day: date | None) -> date:
    days = [date.fromisoformat(found.event_date) for found in read_manifests(layout, end=at.date())]
    if day is not None:
        if day not in days:
            raise DataError(f"{layout.tables}: no rows of {day} as of {at.isoformat()}")
        return day
    if not days:
        raise DataError(f"{layout.tables}: no rows as of {at.isoformat()}; ingest something first")
    whole = [found for found in days if found < at.date()]
    return (whole or days)[-1]


def _newest(layout: StoreLayout, at: datetime) -> datetime:
    """The newest event up to `at`: one after it must not make a log that stopped look alive."""
    for manifest in reversed(read_manifests(layout, end=at.date())):
        day = date.fromisoformat(manifest.event_date)
        past = scan_stored(layout, day, day).filter(pl.col(TS) <= at)
        newest: datetime | None = past.select(pl.col(TS).max()).collect().item()
        if newest is not None:
            return newest
    raise DataError(f"{layout.tables}: no event up to {at.isoformat()}")


def _check_freshness(newest: datetime, at: datetime, limits: CheckLimits) -> Gate:
    age_hours = (at - newest).total_seconds() / 3600
    detail = f"hours; newest event {newest.isoformat(timespec='seconds')}"
    return tripping("freshness", age_hours, limits.max_age_hours, detail)
