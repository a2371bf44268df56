"""How likely an item is taken up where it stands, learnt from what was shown and what followed.

Notation: placement p, place r of a list, n_pr items shown there, c_pr of them taken up within half
an hour; κ = `AcceptanceSpec.prior`. First the shop's common curve

    q = the falling sequence nearest to c_r / n_r in squares weighted by n_r,

then each placement's own, drawn towards the common one: its level, and on top of that each place,

    f_p  = (c_p + κ) / (Σ_r n_pr q_r + κ)
    a_pr = f_p q_r (c_pr + κ) / (f_p q_r n_pr + κ),

made to fall in the same way. Isotonic regression as a calibration: Zadrozny and Elkan 2002,
"Transforming classifier scores into accurate multiclass probability estimates". It is a calibration
of the place, not of the score: scores come from models and rungs of different scales, and those in
the log are of the models before this one; a place is what all of them have in common.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from recommender.acceptance import ANYWHERE, Acceptance
from recommender.terms import Float64Array, Int64Array
from training.models.impression_discount import isotonic
from training.sections import AcceptanceSpec

_LEAST: Final = 1e-6


@dataclass(frozen=True, slots=True)
class ShownItems:
    """How often items were shown in lists of ours, a row for each placement and place.

    Parameters
    ----------
    placements
        Their names, ascending; empty where the log names none.
    placement
        Number of each row's placement, int64 (n,).
    position
        Place in the list, from 0, int64 (n,).
    shown, taken
        How many items were shown there, and how many of them taken up, int64 (n,).
    """

    placements: tuple[str, ...]
    placement: Int64Array
    position: Int64Array
    shown: Int64Array
    taken: Int64Array


def learn_acceptance(shown: ShownItems, settings: AcceptanceSpec) -> Acceptance | None:
    """Curves of the placements with the most showings, or None where too little was taken up."""
    if int(shown.taken.sum()) < settings.min_clicks:
        return None
    seen, taken = (_by_place(shown, settings.places, each) for each in (shown.shown, shown.taken))
    common = _common(seen.sum(axis=0), taken.sum(axis=0))
    kept = np.argsort(-seen.sum(axis=1), kind="stable")[: settings.placements].tolist()
    rows = {shown.placements[p]: _own(seen[p], taken[p], common, settings.prior) for p in kept}
    return Acceptance(rows | {ANYWHERE: _falling(common, np.ones(len(common)))})


def _by_place(shown: ShownItems, places: int, counts: Int64Array) -> Float64Array:
    """Sums by placement and place, float64 (placements, places); what is behind is in the last."""
    cell = shown.placement * places + np.minimum(shown.position, places - 1)
    size = len(shown.placements) * places
    return np.bincount(cell, counts, size).astype(np.float64).reshape(-1, places)


def _common(seen: Float64Array, taken: Float64Array) -> Float64Array:
    # A place where nothing was ever shown weighs nothing to speak of; behind the last that was,
    # nothing is known, and the curve goes on as it was.
    rate = np.array(_falling(taken / np.maximum(seen, 1.0), np.maximum(seen, 1e-9)))
    return np.asarray(rate[np.minimum(np.arange(len(rate)), np.flatnonzero(seen)[-1])])


def _own(
    seen: Float64Array, taken: Float64Array, common: Float64Array, prior: float
) -> tuple[float, ...]:
    level = (taken.sum() + prior) / ((seen * common).sum() + prior)
    expected = level * common
    rate = expected * (taken + prior) / (expected * seen + prior)
    # A place weighs as much as is known of it: its showings, and those that the prior stands for.
    return _falling(rate, seen + prior / np.maximum(expected, _LEAST))


def _falling(rate: Float64Array, weight: Float64Array) -> tuple[float, ...]:
    """The falling curve nearest to rates, in (0, 1]."""
    return tuple(np.clip(-isotonic(-rate, weight), _LEAST, 1.0).tolist())
