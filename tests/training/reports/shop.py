"""Small logs for reports: visits written as one line each."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from feature_store.layout import StoreLayout
from recommender.journey import LOOKBACK_MICROS
from tests.tabling import DAY, MINUTE, SECOND, START, bring_in, row
from training.engine import Period
from training.reports.journey_rows import JourneyRows, journey_rows
from training.reports.journeys import find_period
from training.reports.log_rows import LogRows, read_rows
from training.reports.resampling import Resampling
from training.reports.touchpoints import acts_of
from training.reports.walks import Walks, walks_of
from training.sections import EvaluationSpec

Row: TypeAlias = dict[str, object]
GAP = 30 * MINUTE
SPEC = EvaluationSpec(bootstrap_rounds=50)
BEGIN = datetime.fromtimestamp(START / SECOND, UTC)

_TYPES = {
    "list": "view_item_list",
    "click": "select_item",
    "item": "view_item",
    "search": "search",
    "cart": "add_to_cart",
    "checkout": "begin_checkout",
    "buy": "purchase",
    "refund": "refund",
    "identify": "identify",
    "promo": "view_promotion",
}
_NO_ITEM = {"search", "identify"}


def visit(visitor: str, acts: str, start: int = START, step: int = MINUTE) -> list[Row]:
    """Rows of one visit, an act a minute.

    Each act is ``word``, ``word:item`` or ``word:item@placement``; for a search the part after the
    colon is the term. ``+`` before a word puts it a second after the act before.
    """
    rows, ts = [], start - step
    for number, act in enumerate(acts.split()):
        word, _, placement = act.removeprefix("+").partition("@")
        word, _, what = word.partition(":")
        ts += SECOND if act.startswith("+") else step
        fields: Row = {"event_type": _TYPES[word], "placement": placement or None}
        if word == "search":
            fields["search_term"] = what.replace("_", " ") or "tea"
        fields["item_id"] = None if word in _NO_ITEM else (what or "i")
        if word == "identify":
            fields["user_id"] = what or "u"
        rows.append(row(f"{visitor}-{start}-{number}", ts, visitor, **fields))
    return rows


def many(prefix: str, times: int, acts: str, start: int = START) -> list[Row]:
    """The same visit of different visitors."""
    return [each for n in range(times) for each in visit(f"{prefix}{n}", acts, start + n * SECOND)]


def store_of(folder: Path, rows: Iterable[Row]) -> StoreLayout:
    layout = StoreLayout(folder / "store")
    bring_in(layout, rows)
    return layout


def rows_of(folder: Path, rows: Iterable[Row], period: Period | None = None) -> LogRows:
    layout = store_of(folder, rows)
    whole = period or find_period(layout, None, None, None)
    return read_rows(layout, whole, LOOKBACK_MICROS, GAP)


def walks(folder: Path, rows: Iterable[Row]) -> Walks:
    found = rows_of(folder, rows)
    period = Period(int(found.ts.min()), int(found.ts.max()) + 1)
    return walks_of(found, acts_of(found), period, GAP)


def journeys(folder: Path, rows: Iterable[Row]) -> tuple[LogRows, JourneyRows]:
    found = rows_of(folder, rows)
    period = Period(int(found.ts.min()), int(found.ts.max()) + 1)
    return found, journey_rows(found, period, LOOKBACK_MICROS)


def resampling(shoppers: int) -> Resampling:
    return Resampling.of(shoppers, SPEC)


def labels(found: Walks, number: int = 0) -> list[str]:
    """Labels of the stops of one visit."""
    begin = found.stop_begin
    return [
        found.touchpoints[touch].label
        for touch in found.stop_touch[begin[number] : begin[number + 1]]
    ]


__all__ = ["BEGIN", "DAY", "GAP", "MINUTE", "SECOND", "SPEC", "START"]
