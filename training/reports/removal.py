"""What conversion hangs on: the removal effect of each touchpoint, beside the plain difference.

Notation
--------
Visits are a Markov chain of first order over stops (Anderl, Becker, von Wangenheim and Schumann
2016): from a start through touchpoints to *bought* or *left*, with transition probabilities
P[s, t] as counted. The chance to buy c solves (I - Q) x = r, with Q the part of P among
touchpoints and r the probabilities of buying next; c = P[start, bought] + P[start, ·] · x.
*Removing* touchpoint s sends whoever would have gone there to *left*; with c_s the chance to buy
then, the removal effect is 1 - c_s / c.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np

from recommender.terms import Float64Array
from training.evaluation.bootstrap import Interval
from training.reports.resampling import Resampling
from training.reports.walks import Walks

# From this share of the purchases on a touchpoint is a gate that every purchase passes.
GATE_SHARE: Final = 0.9


class Critical(msgspec.Struct, frozen=True):
    """How conversion hangs together with one touchpoint.

    Parameters
    ----------
    visits, bought
        Visits that were there, and those of them that bought.
    of_purchases
        Share of all visits that bought which were there.
    is_gate
        Nearly every purchase goes through it, so that its removal effect says nothing.
    removal
        Removal effect.
    difference
        Conversion with it minus conversion without it; None of too few visits on either side.
    """

    touchpoint: str
    visits: int
    bought: int
    of_purchases: float
    is_gate: bool
    removal: Interval
    difference: Interval | None


def critical_touchpoints(walks: Walks, resampling: Resampling) -> tuple[Critical, ...]:
    """Every touchpoint, the largest removal effect first; empty where nobody bought."""
    counts = _transitions(walks, resampling)
    whole = counts.sum(axis=0)
    if not walks.is_bought.any() or not len(walks.touchpoints):
        return ()
    drawn = np.tensordot(resampling.draws.counts, counts, axes=1)
    usable = drawn[:, :, -2].sum(axis=1) > 0
    effects, draws = removal_effects(whole[None])[0], removal_effects(drawn[usable])
    found = [
        _critical(walks, resampling, touch, resampling.draws.around(float(effect), draws[:, touch]))
        for touch, effect in enumerate(effects)
    ]
    return tuple(sorted(found, key=lambda each: (-each.removal.mean, each.touchpoint)))


def _critical(walks: Walks, resampling: Resampling, touch: int, removal: Interval) -> Critical:
    there = walks.has(touch)
    bought = int((there & walks.is_bought).sum())
    share = bought / int(walks.is_bought.sum())
    return Critical(
        walks.touchpoints[touch].label,
        int(there.sum()),
        bought,
        share,
        share >= GATE_SHARE,
        removal,
        resampling.difference(walks.shopper, walks.is_bought, there),
    )


def _transitions(walks: Walks, resampling: Resampling) -> Float64Array:
    """Moves by block, from touchpoints or (last) start, to touchpoints, bought, left.

    Returns
    -------
    array
        float64 (blocks, t + 1, t + 2).
    """
    t = len(walks.touchpoints)
    end = np.where(walks.is_bought, t, t + 1)
    begin = walks.stop_begin
    has_stop = walks.stops > 0
    first = end.copy()
    first[has_stop] = walks.stop_touch[begin[:-1][has_stop]]
    then = np.r_[walks.stop_touch[1:], 0][: len(walks.stop_touch)]
    last = begin[1:][has_stop] - 1
    then[last] = end[has_stop]
    origin = np.r_[np.full(len(walks), t), walks.stop_touch]
    target = np.r_[first, then]
    block = resampling.block[walks.shopper[np.r_[np.arange(len(walks)), walks.stop_visit]]]
    place = (block * (t + 1) + origin) * (t + 2) + target
    size = resampling.blocks * (t + 1) * (t + 2)
    counts = np.bincount(place, minlength=size).astype(np.float64)
    return counts.reshape(resampling.blocks, t + 1, t + 2)


def removal_effects(counts: Float64Array) -> Float64Array:
    """Removal effect of each touchpoint in each of d chains, float64 (d, t).

    Parameters
    ----------
    counts
        Moves, float64 (d, t + 1, t + 2), as `_transitions` has them; somebody bought in each.
    """
    touchpoints = counts.shape[2] - 2
    totals = counts.sum(axis=2, keepdims=True)
    chances = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    usual = _chance_to_buy(chances)
    effects = np.empty((len(counts), touchpoints))
    for touch in range(touchpoints):
        without = chances.copy()
        without[:, :, touch] = 0.0  # what is missing from a row's sum has left
        effects[:, touch] = 1 - _chance_to_buy(without) / usual
    return effects


def _chance_to_buy(chances: Float64Array) -> Float64Array:
    t = chances.shape[2] - 2
    among, buying = chances[:, :t, :t], chances[:, :t, t]
    solved = np.linalg.solve(np.eye(t) - among, buying[:, :, None])[:, :, 0]
    found: np.ndarray[Any, np.dtype[np.float64]] = chances[:, t, t] + np.einsum(
        "dt,dt->d", chances[:, t, :t], solved
    )
    return found
