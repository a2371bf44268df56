"""The expectation gap on a hold-out period: what a model promises of lists against what they got.

With the n items that were shown, a_i the model's predicted acceptance of each, y_i = 1 for those
taken up:

    gap = Σ y_i / Σ a_i - 1,        0: as promised; below 0: promised too much.

The lists of the period were filled by whatever answered then, so this judges the curves, not the
order; what the model itself delivers once it serves is in `training.reports.expectation`.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from recommender.acceptance import Acceptance, at_place
from recommender.terms import Float64Array, Int64Array
from training.models.acceptance import ShownItems

# MLflow accepts few characters in the name of a figure, a log any in that of a placement.
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,60}")


def promised(acceptance: Acceptance, shown: ShownItems) -> Float64Array:
    """What is expected to be taken up of each row's items, float64 (n,)."""
    curves = [acceptance.curve(name) for name in shown.placements]
    pairs = zip(shown.placement.tolist(), shown.position.tolist(), strict=True)
    each = [at_place(curves[placement], place) or 0.0 for placement, place in pairs]
    return np.array(each) * shown.shown


def expectation_metrics(
    acceptance: Acceptance | None, shown: ShownItems | None, tolerance: float
) -> dict[str, float]:
    """Flat figures for a run's record; none where nothing was learnt or nothing was shown.

    ``expectation_predicted`` and ``expectation_delivered`` are shares of the items shown,
    ``expectation_gap`` is of all of them and, with its name behind it, of each placement.
    """
    if acceptance is None or shown is None:
        return {}
    expected = promised(acceptance, shown)
    gap, items = _gap(expected, shown.taken), shown.shown.sum()
    found = {
        "expectation_shown": float(items),
        "expectation_predicted": float(expected.sum() / items),
        "expectation_delivered": float(shown.taken.sum() / items),
        "expectation_gap": gap,
        "expectation_within_tolerance": float(abs(gap) <= tolerance),
    }
    for number, name in enumerate(shown.placements):
        here = shown.placement == number
        if _NAME.fullmatch(name):
            found[f"expectation_gap_{name}"] = _gap(expected[here], shown.taken[here])
    return found


def _gap(expected: Float64Array, taken: Int64Array) -> float:
    return float(taken.sum() / expected.sum() - 1)
