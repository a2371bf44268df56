"""The intrusiveness report: what lists cost the people who are shown them, by placement and arm.

Notation: a *showing* is a list of ours on a page, its items those rows that share visit, moment,
placement and answer. Of a placement and an arm:

    changed    = mean over showings of the share of the page that is another than everybody's
    repeats    = items shown although ignored `OFTEN` times or more / items shown
    dismissals = items dismissed within half an hour of their showing / visits with a showing
    exits      = showings after which the visit ended without a purchase / showings

Exits leave out visits that may still go on when the log ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
import numpy as np

from feature_store.layout import StoreLayout
from recommender.terms import BoolArray, Float64Array, Int64Array
from training.dataset import moment
from training.engine import Period
from training.evaluation.bootstrap import Interval
from training.reports.journeys import session_gap
from training.reports.report import Report
from training.reports.resampling import LEAST, Resampling
from training.reports.showings import Showings, read_showings
from training.sections import EvaluationSpec

OFTEN: Final = 2
ALL: Final = "all"
NO_RECORD: Final = "no record"


class Intrusion(msgspec.Struct, frozen=True):
    """Figures of one placement and arm; intervals are None of fewer than `LEAST`.

    Parameters
    ----------
    arm
        What answered; `NO_RECORD` where the log holds no decision record of it.
    visits, showings, items
        Visits with a showing, showings, and items in them.
    changed
        None where no showing has a record.
    taken
        Items taken up, of all items shown: what the costs beside it bought.
    """

    placement: str
    arm: str
    shoppers: int
    visits: int
    showings: int
    items: int
    changed: Interval | None
    repeats: Interval | None
    dismissals: Interval | None
    exits: Interval | None
    taken: Interval | None


class IntrusivenessReport(Report, frozen=True):
    """Everything that the report says.

    Parameters
    ----------
    period_start, period_end
        ISO 8601 in UTC; the end is exclusive.
    often
        Ignored showings after which one more is a repeat.
    rows
        All together first, then by placement and arm.
    """

    period_start: str
    period_end: str
    confidence: float
    often: int
    counts: Mapping[str, int]
    rows: tuple[Intrusion, ...]


def report_intrusiveness(
    layout: StoreLayout, period: Period, spec: EvaluationSpec
) -> IntrusivenessReport:
    """Say what the lists of a period cost.

    Raises
    ------
    DataError
        Nothing was shown in a list of ours.
    """
    shown = read_showings(layout, period, session_gap(layout))
    resampling = Resampling.of(shown.shoppers, spec)
    rows = [_intrusion(shown, mask, resampling, label) for label, mask in _groups(shown)]
    lists = _lists(shown, np.ones(len(shown), np.bool_))
    measured = np.array([*(each.is_changed_measured for each in shown.answers), False])
    counts = {
        **shown.counts,
        "showings": len(lists),
        "of them with a measured share of changes": int(measured[shown.answer[lists]].sum()),
        "visits with a showing": len(np.unique(shown.visit)),
        "showings in visits that may go on": int((~shown.is_over[lists]).sum()),
    }
    return IntrusivenessReport(
        moment(period.start).isoformat(),
        moment(period.end).isoformat(),
        spec.confidence,
        OFTEN,
        counts,
        tuple(rows),
    )


def _groups(shown: Showings) -> Iterator[tuple[tuple[str, str], BoolArray]]:
    """Label and rows of each group that has any."""
    yield (ALL, ALL), np.ones(len(shown), np.bool_)
    arms, of_answer = np.unique(
        [*(each.arm for each in shown.answers), NO_RECORD], return_inverse=True
    )
    # The last one stands for rows without an answer, whose number is -1.
    of_row = of_answer[shown.answer]
    for number, placement in enumerate(shown.placements):
        for code, arm in enumerate(arms.tolist()):
            mask = (shown.placement == number) & (of_row == code)
            if mask.any():
                yield (placement, arm), mask


def _lists(shown: Showings, rows: BoolArray) -> Int64Array:
    """The first row of each showing among rows, int64 (showings,)."""
    number = np.flatnonzero(rows)
    keys = (shown.visit, shown.ts, shown.placement, shown.answer)
    _, first = np.unique(np.stack([key[number] for key in keys]), axis=1, return_index=True)
    return np.asarray(number[np.sort(first)], np.int64)


def _intrusion(
    shown: Showings, rows: BoolArray, resampling: Resampling, label: tuple[str, str]
) -> Intrusion:
    shopper, lists = shown.shopper[rows], _lists(shown, rows)
    _, first_of_visit = np.unique(shown.visit[rows], return_index=True)
    visitors = shopper[first_of_visit]
    over = lists[shown.is_over[lists]]
    changed = _changed(shown)[lists]
    with_record = lists[~np.isnan(changed)]
    return Intrusion(
        *label,
        len(np.unique(shopper)),
        len(visitors),
        len(lists),
        len(shopper),
        resampling.mean(shown.shopper[with_record], changed[~np.isnan(changed)]),
        resampling.mean(shopper, shown.ignored[rows] >= OFTEN),
        _per(resampling, shopper[shown.dismissed[rows]], visitors),
        resampling.mean(shown.shopper[over], shown.is_exit[over]),
        resampling.mean(shopper, shown.taken[rows]),
    )


def _changed(shown: Showings) -> Float64Array:
    """Share of the page that was changed, NaN without a record, float64 (n,)."""
    return np.array([*(each.changed for each in shown.answers), np.nan])[shown.answer]


def _per(resampling: Resampling, events: Int64Array, visitors: Int64Array) -> Interval | None:
    """Events by visit, from the shopper of each; None of fewer than `LEAST` visits."""
    if len(visitors) < LEAST:
        return None
    return resampling.draws.ratio(resampling.totals(events), resampling.totals(visitors))
