"""The expectation report: what lists promised, against what they got.

Notation: a group of n items that were shown, a_i the acceptance that was predicted of each when it
was answered, y_i = 1 for those taken up:

    predicted = Σ a_i / n,    delivered = Σ y_i / n,    gap = Σ y_i / Σ a_i - 1,

the gap with an interval over shoppers. Below 0 the group was promised too much.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
import numpy as np

from feature_store.layout import StoreLayout
from recommender.acceptance import Acceptance, at_place
from recommender.bundle import load_bundle
from recommender.bundle_folder import current
from recommender.errors import DataError
from recommender.stage import STAGES
from recommender.terms import MODES, BoolArray, Float64Array
from training.dataset import moment
from training.engine import Period
from training.evaluation.bootstrap import Interval
from training.reports.answers import NOT_KNOWN
from training.reports.journeys import session_gap
from training.reports.report import Report
from training.reports.resampling import LEAST, Resampling
from training.reports.showings import Showings, read_showings
from training.sections import EvaluationSpec

KEPT: Final = "as promised"
TOO_MUCH: Final = "promised too much"
TOO_LITTLE: Final = "promised too little"
OPEN: Final = "cannot be told yet"
TOO_FEW: Final = "too few"
ALL: Final = "all"
_BINS: Final = 8


class Gap(msgspec.Struct, frozen=True):
    """Promise and delivery of one group.

    Parameters
    ----------
    dimension, name
        ``all``, ``placement``, ``stage`` or ``session mode``, and which.
    shown, taken
        Items shown with a prediction, and those taken up.
    predicted
        Mean prediction.
    delivered, gap
        None of fewer items than `training.reports.resampling.LEAST`.
    verdict
        `KEPT` where the whole interval of the gap lies within the tolerance, `TOO_MUCH` or
        `TOO_LITTLE` where all of it lies beyond, `OPEN` between, `TOO_FEW` without one.
    """

    dimension: str
    name: str
    shown: int
    taken: int
    predicted: float
    delivered: Interval | None
    gap: Interval | None
    verdict: str


class Reliability(msgspec.Struct, frozen=True):
    """What came of items with predictions from `low` to `high`."""

    low: float
    high: float
    shown: int
    predicted: float
    delivered: Interval | None


class ExpectationReport(Report, frozen=True):
    """Everything that the report says.

    Parameters
    ----------
    period_start, period_end
        ISO 8601 in UTC; the end is exclusive.
    tolerance
        How far delivered may lie from predicted, as a share of predicted.
    calibration_error
        Mean distance of delivered and predicted over `reliability`, weighted by what was shown.
    """

    period_start: str
    period_end: str
    tolerance: float
    confidence: float
    counts: Mapping[str, int]
    gaps: tuple[Gap, ...]
    reliability: tuple[Reliability, ...]
    calibration_error: float


def report_expectation(
    layout: StoreLayout, period: Period, spec: EvaluationSpec, tolerance: float
) -> ExpectationReport:
    """Hold what was promised in a period against what came.

    Where an answer's record is not in the log or holds no prediction, the model that is delivered
    now is asked in its place.

    Raises
    ------
    DataError
        Nothing was shown, or nothing that was shown has a prediction.
    """
    shown = read_showings(layout, period, session_gap(layout))
    promised, recorded = _promised(shown, _delivered_curves(layout))
    known = ~np.isnan(promised)
    if not known.any():
        raise DataError(
            "nothing that was shown has a prediction: no record in the log holds one, and no "
            "delivered model has learnt what lists are worth; train on a log with view_item_list "
            "events of lists of ours"
        )
    groups = list(_groups(shown))
    resampling = Resampling.of(shown.shoppers, spec)
    gaps = [
        _gap(shown, promised, mask & known, resampling, tolerance, label)
        for label, mask in groups
        if (mask & known).any()
    ]
    reliability = _reliability(shown, promised, known, resampling)
    counts = {
        **shown.counts,
        "predicted when they were answered": int(recorded.sum()),
        "predicted by the model that is delivered now": int((known & ~recorded).sum()),
        "left out: without a prediction": int((~known).sum()),
    }
    return ExpectationReport(
        moment(period.start).isoformat(),
        moment(period.end).isoformat(),
        tolerance,
        spec.confidence,
        counts,
        tuple(gaps),
        reliability,
        _calibration_error(reliability),
    )


def _delivered_curves(layout: StoreLayout) -> Acceptance | None:
    folder = current(layout.bundles)
    return None if folder is None else load_bundle(folder).acceptance


def _promised(shown: Showings, curves: Acceptance | None) -> tuple[Float64Array, BoolArray]:
    """Prediction of each row, NaN without, float64 (n,); and whether its record has it."""
    promised = np.full(len(shown), np.nan)
    recorded = np.zeros(len(shown), np.bool_)
    by_place = [curves.curve(name) if curves else () for name in shown.placements]
    for row, (answer, item_id) in enumerate(
        zip(shown.answer.tolist(), shown.item_ids, strict=True)
    ):
        value = shown.answers[answer].promised.get(item_id) if answer >= 0 else None
        recorded[row] = value is not None
        if value is None:
            value = at_place(by_place[shown.placement[row]], int(shown.position[row]))
        if value is not None:
            promised[row] = value
    return promised, recorded


def _groups(shown: Showings) -> Iterator[tuple[tuple[str, str], BoolArray]]:
    """Label and rows of each group."""
    yield (ALL, ALL), np.ones(len(shown), np.bool_)
    for number, name in enumerate(shown.placements):
        yield ("placement", name), shown.placement == number
    for dimension, names, found in (
        ("stage", STAGES, [each.stage for each in shown.answers]),
        ("session mode", MODES, [each.mode for each in shown.answers]),
    ):
        # The last one stands for rows without an answer, whose number is -1.
        of_row = np.array([*found, NOT_KNOWN])[shown.answer]
        for name in (*names, NOT_KNOWN):
            yield (dimension, name), of_row == name


def _gap(
    shown: Showings,
    promised: Float64Array,
    rows: BoolArray,
    resampling: Resampling,
    tolerance: float,
    label: tuple[str, str],
) -> Gap:
    shopper, taken = shown.shopper[rows], shown.taken[rows]
    gap = None
    if len(taken) >= LEAST:
        sums = resampling.totals(shopper, taken), resampling.totals(shopper, promised[rows])
        ratio = resampling.draws.ratio(*sums)
        gap = Interval(ratio.mean - 1, ratio.low - 1, ratio.high - 1)
    return Gap(
        *label,
        len(taken),
        int(taken.sum()),
        float(promised[rows].mean()),
        resampling.mean(shopper, taken),
        gap,
        verdict_of(gap, tolerance),
    )


def verdict_of(gap: Interval | None, tolerance: float) -> str:
    """What the interval of a gap says beside a tolerance; see `Gap`."""
    if gap is None:
        return TOO_FEW
    if gap.high < -tolerance:
        return TOO_MUCH
    if gap.low > tolerance:
        return TOO_LITTLE
    return KEPT if -tolerance <= gap.low and gap.high <= tolerance else OPEN


def _reliability(
    shown: Showings, promised: Float64Array, known: BoolArray, resampling: Resampling
) -> tuple[Reliability, ...]:
    """Rows parted into at most `_BINS` of about as many each, by what was predicted."""
    edges = np.unique(np.quantile(promised[known], np.linspace(0, 1, _BINS + 1)[1:-1]))
    part = np.where(known, np.searchsorted(edges, promised, side="left"), -1)
    found = []
    for number in range(len(edges) + 1):
        rows = part == number
        if rows.any():
            here = promised[rows]
            delivered = resampling.mean(shown.shopper[rows], shown.taken[rows])
            ends = float(here.min()), float(here.max())
            found.append(Reliability(*ends, int(rows.sum()), float(here.mean()), delivered))
    return tuple(found)


def _calibration_error(parts: tuple[Reliability, ...]) -> float:
    weighed = [
        (each.shown, abs(each.delivered.mean - each.predicted)) for each in parts if each.delivered
    ]
    total = sum(shown for shown, _ in weighed)
    return sum(shown * error for shown, error in weighed) / total if total else 0.0
