"""Dead ends: items, categories and search terms after which visits end more often than expected.

Notation
--------
For a group i of acts of one kind, O_i is the number of acts after which the visit was left without
a purchase, and E_i = Σ p the number to be expected had each of its acts been left as often as acts
of the same kind at the same depth of a visit, p (indirect standardisation). O_i is taken as
quasi-Poisson with mean θ_i E_i and dispersion φ = Σ p (1 - p) / Σ p over all acts of the kind: an
act is left once at most, so O_i varies less than a Poisson variable. θ_i ~ Gamma(a, b), its mean
and variance fitted by moments (Marshall 1991); what is reported is the posterior
Gamma(a + O_i / φ, b + E_i / φ) of θ_i (Clayton and Kaldor 1987, equation 4, for φ = 1): few acts
leave it near the mean of all groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import numpy as np
from scipy.stats import gamma

from recommender.terms import (
    CATEGORY,
    ITEM_ID,
    SEARCH,
    SELECT_ITEM,
    VIEW_ITEM,
    BoolArray,
    Float64Array,
    Int64Array,
)
from training.evaluation.bootstrap import Interval
from training.reports.log_rows import LogRows
from training.reports.walks import Walks

MOST: Final = 10
# A search term may name a person. One that several people typed does not.
LEAST_SEARCHERS: Final = 5
_DEPTHS: Final = (1, 2, 4, 8)  # acts 1, 2, 3-4, 5-8, later


class DeadEnd(msgspec.Struct, frozen=True):
    """A group of acts after which visits end.

    Parameters
    ----------
    title
        Of an item, where the catalogue has one.
    acts, visits, shoppers
        Acts of the group, visits with any, and their shoppers.
    left, expected
        Acts after which the visit was left, and how many were expected.
    ratio
        Shrunk left / expected, with the interval of its posterior.
    conversion
        Share of the visits that bought, as it is: no interval, nothing shrunk.
    """

    name: str
    title: str | None
    acts: int
    visits: int
    shoppers: int
    left: int
    expected: float
    ratio: Interval
    conversion: float


class DeadEnds(msgspec.Struct, frozen=True):
    """The dead ends of one kind.

    Parameters
    ----------
    kind
        ``search term``, ``category`` or ``item``.
    acts, groups
        Acts of this kind, and the groups among them.
    left
        Share of the acts after which the visit was left.
    withheld
        Groups of too few shoppers to be named; they take part in what is expected.
    found
        Groups whose interval lies above 1, the surest first.
    """

    kind: str
    acts: int
    groups: int
    left: float
    withheld: int
    found: tuple[DeadEnd, ...]


@dataclass(frozen=True, slots=True)
class _Kind:
    """Acts of one kind, and the group of each."""

    name: str
    act: Int64Array
    group: Int64Array
    names: tuple[str, ...]
    least_shoppers: int = 1
    titles: Mapping[str, str] = field(default_factory=dict)


def dead_ends(
    rows: LogRows, walks: Walks, titles: Mapping[str, str], confidence: float
) -> tuple[DeadEnds, ...]:
    """Dead ends of each kind that the log has; `titles` by item id."""
    return tuple(
        _judge(kind, walks, confidence) for kind in _kinds(rows, walks, titles) if len(kind.act)
    )


def _kinds(rows: LogRows, walks: Walks, titles: Mapping[str, str]) -> tuple[_Kind, ...]:
    searches = _acts(rows, walks, (SEARCH,))
    pages = _acts(rows, walks, (VIEW_ITEM, SELECT_ITEM))
    term = rows.term[walks.act_row[searches]].astype(np.int64)
    item = rows.item[walks.act_row[pages]].astype(np.int64)
    category = np.where(item >= 0, _category_of_items(rows)[item], -1)
    names = rows.names
    return (
        _kind("search term", searches, term, names["term"], LEAST_SEARCHERS),
        _kind("category", pages, category, names[CATEGORY]),
        replace(_kind("item", pages, item, names[ITEM_ID]), titles=titles),
    )


def _category_of_items(rows: LogRows) -> Int64Array:
    """Category of each item, int64 (items,): not every row of an item names it. -1 for none."""
    named = np.flatnonzero((rows.category >= 0) & (rows.item >= 0))
    found = np.full(max(len(rows.names[ITEM_ID]), 1), -1, np.int64)
    found[rows.item[named]] = rows.category[named]
    return found


def _acts(rows: LogRows, walks: Walks, types: tuple[str, ...]) -> Int64Array:
    return np.flatnonzero(rows.is_type(*types)[walks.act_row])


def _kind(
    name: str, act: Int64Array, group: Int64Array, names: tuple[str, ...], least: int = 1
) -> _Kind:
    has_name = group >= 0
    return _Kind(name, act[has_name], group[has_name], names, least)


def _judge(kind: _Kind, walks: Walks, confidence: float) -> DeadEnds:
    size = len(kind.names)
    is_exit = walks.act_is_exit[kind.act]
    depth = np.searchsorted(_DEPTHS, walks.act_number[kind.act] + 1)
    at_depth = np.bincount(depth, is_exit, len(_DEPTHS) + 1) / np.maximum(
        np.bincount(depth, minlength=len(_DEPTHS) + 1), 1
    )
    left = np.bincount(kind.group, is_exit, size).astype(np.float64)
    expected = np.bincount(kind.group, at_depth[depth], size).astype(np.float64)
    shoppers = _distinct(kind.group, walks.shopper[walks.act_visit[kind.act]], size)
    ratio, low, high = shrunk_ratios(left, expected, _dispersion(at_depth[depth]), confidence)
    is_named = shoppers >= kind.least_shoppers
    dead = np.flatnonzero(is_named & (low > 1))
    order = dead[np.lexsort((dead, -low[dead]))][:MOST]
    return DeadEnds(
        kind.name,
        len(kind.act),
        int((shoppers > 0).sum()),
        float(is_exit.mean()),
        int(((shoppers > 0) & ~is_named).sum()),
        tuple(
            _dead_end(
                kind,
                walks,
                int(group),
                Interval(float(ratio[group]), float(low[group]), float(high[group])),
                float(expected[group]),
            )
            for group in order
        ),
    )


def _dead_end(kind: _Kind, walks: Walks, group: int, ratio: Interval, expected: float) -> DeadEnd:
    acts = kind.act[kind.group == group]
    visits = np.unique(walks.act_visit[acts])
    return DeadEnd(
        kind.names[group],
        kind.titles.get(kind.names[group]),
        len(acts),
        len(visits),
        len(np.unique(walks.shopper[visits])),
        int(walks.act_is_exit[acts].sum()),
        expected,
        ratio,
        float(walks.is_bought[visits].mean()),
    )


def _distinct(group: Int64Array, member: Int64Array, size: int) -> Int64Array:
    """Different members of each group, int64 (size,)."""
    pairs = np.unique(np.column_stack([group, member]), axis=0)
    return np.bincount(pairs[:, 0], minlength=size).astype(np.int64)


def _dispersion(chance: Float64Array) -> float:
    """φ of acts that are left with these chances."""
    whole = float(chance.sum())
    return float((chance * (1 - chance)).sum()) / whole if whole else 1.0


def shrunk_ratios(
    observed: Float64Array, expected: Float64Array, dispersion: float, confidence: float
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Posterior mean of each ratio θ_i and the ends of its interval, float64 (g,) each.

    Groups without any expectation have the ratio and both ends 1. Where the groups differ no more
    than chance makes them, all have 1: then none stands out.
    """
    there: BoolArray = expected > 0
    ratio, low, high = (np.ones(len(observed)) for _ in range(3))
    if dispersion <= 0 or not observed[there].any():
        return ratio, low, high
    mean, variance = _prior(observed[there], expected[there], dispersion)
    if variance <= 0:
        return ratio, low, high
    shape = mean**2 / variance + observed[there] / dispersion
    rate = mean / variance + expected[there] / dispersion
    tail = (1 - confidence) / 2
    ratio[there] = shape / rate
    low[there], high[there] = (gamma.ppf(q, shape, scale=1 / rate) for q in (tail, 1 - tail))
    return ratio, low, high


def _prior(
    observed: Float64Array, expected: Float64Array, dispersion: float
) -> tuple[float, float]:
    """Mean and variance of θ by moments; the variance is 0 where chance explains all."""
    whole = float(expected.sum())
    mean = float(observed.sum()) / whole
    spread = float((expected * (observed / expected - mean) ** 2).sum()) / whole
    return mean, max(spread - dispersion * mean * len(expected) / whole, 0.0)
