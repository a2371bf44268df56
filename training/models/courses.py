"""How visits go back to what was met, learnt from all of them; see `recommender.course`.

Notation: n_c the steps that follow a context c, n_ck those of kind k. The share of a kind is shrunk
towards that of the context without its oldest step, c':

    share_ck = (n_ck + prior · share_c'k) / (n_c + prior)

as in interpolated language models (Jelinek and Mercer 1980, with Dirichlet weights: MacKay and Peto
1995). Contexts of fewer than `_LEAST` steps are left to the shorter one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from recommender.compiled import kernel
from recommender.course import BEGIN, DEPTH, KINDS, Courses, kind_of
from recommender.terms import BoolArray, Float64Array, Int32Array, Int64Array
from training.known_events import KnownEvents

_PRIOR: Final = 20.0
_LEAST: Final = 20


def learn_courses(events: KnownEvents, weight_by_code: Float64Array) -> Courses | None:
    """Shares after each context; None where no visit has a second step."""
    known = events[weight_by_code[events.event_code] > 0]
    kinds, place = _kinds(known.item_idx, known.session)
    rows = np.flatnonzero(place > 0)
    if not len(rows):
        return None
    level = _Level(
        rows, np.zeros(len(rows), np.int64), _shares(kinds[rows], np.zeros(len(rows), np.int64))
    )
    child, share = [_no_children(1)], [level.share]
    nodes = 1
    for back in range(1, DEPTH + 1):
        met = place[level.rows] >= back
        kind = np.where(met, kinds[level.rows - np.minimum(back, place[level.rows])], BEGIN)
        parent, by, kept, own = _common(level.node, kind)
        if not len(parent):
            break
        child[-1][parent, by] = nodes + np.arange(len(parent))
        nodes += len(parent)
        share.append(_shares(kinds[level.rows[kept]], own, level.share[parent]))
        child.append(_no_children(len(parent)))
        further = met[kept]
        level = _Level(level.rows[kept][further], own[further], share[-1])
    return Courses(np.concatenate(child).astype(np.int32), np.concatenate(share).astype(np.float32))


class _Level(NamedTuple):
    """Contexts of one length.

    Parameters
    ----------
    rows
        Steps that follow one of them and have more before it, int64 (r,).
    node
        Which one, counted from the first of this length, int64 (r,).
    share
        float64 (contexts, KINDS).
    """

    rows: Int64Array
    node: Int64Array
    share: Float64Array


def _common(
    node: Int64Array, kind: Int64Array
) -> tuple[Int64Array, Int64Array, BoolArray, Int64Array]:
    """The contexts one step longer that are common enough.

    Returns
    -------
    Parent and kind of each, which rows follow one of them, and which one: int64 (contexts,) twice,
    bool (r,), int64 (kept rows,).
    """
    pair, own, counts = np.unique(
        node * (KINDS + 1) + kind, return_inverse=True, return_counts=True
    )
    common = counts >= _LEAST
    number = np.cumsum(common) - 1
    kept = common[own]
    parent, by = np.divmod(pair[common], KINDS + 1)
    return parent, by, kept, number[own[kept]]


def _no_children(nodes: int) -> Int64Array:
    return np.full((nodes, KINDS + 1), -1, np.int64)


def _shares(
    kinds: Int64Array, node: Int64Array, before: Float64Array | None = None
) -> Float64Array:
    """Shares of each kind after each context, shrunk towards `before`: float64 (nodes, KINDS)."""
    prior = np.full((1, KINDS), 1 / KINDS) if before is None else before
    counts = np.bincount(node * KINDS + kinds, minlength=prior.size).reshape(prior.shape)
    found: Float64Array = (counts + _PRIOR * prior) / (counts.sum(axis=1, keepdims=True) + _PRIOR)
    return found


@kernel
def _kinds(items: Int32Array, session: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Kind of each step, and how many steps of its visit are before it: int64 (n,) each."""
    kinds, place = np.empty(len(items), np.int64), np.empty(len(items), np.int64)
    first = 0
    for step in range(len(items)):
        if session[step] != session[first]:
            first = step
        kinds[step] = kind_of(items, first, step)
        place[step] = step - first
    return kinds, place
