"""Diversity and calibration: one greedy pass over the best of a ranking.

Maximal marginal relevance (J. Carbonell, J. Goldstein, SIGIR 1998,
https://doi.org/10.1145/290941.291025) and calibration (see `calibration`) both build a list item
by item. Together, of all candidates i not yet on the list S, the next one has the largest

    (1 - κ) ((1 - δ) r(i) - δ max over j in S of sim(i, j)) - κ KL(p || q(S with i))

where δ is the level of diversity and κ the strength of calibration. The relevance
``r(i) = 1 - (position - 1) / candidates`` is taken from the position, as scores have any scale.
"""

from __future__ import annotations

import numpy as np

from recommender.bundle import ModelBundle
from recommender.merchandising.active import ActiveRules
from recommender.merchandising.calibration import CategoryMix, category_mix
from recommender.merchandising.shop_rules import CalibrationRule, DiversityRule
from recommender.merchandising.similarity import similarities
from recommender.ranking import Ranking
from recommender.seeds import Seeds
from recommender.terms import Float32Array

ASKED_FOR = "request"


def varied(ranking: Ranking, active: ActiveRules, seeds: Seeds, bundle: ModelBundle) -> Ranking:
    """The best of a ranking with the first places filled for variety; the rest in their order.

    The first rule of each kind that holds is the one that counts; a diversity that the question
    asks for counts instead of a rule.
    """
    name, level = _diversity(active)
    strength, mix = 0.0, None
    for rule in active.of(CalibrationRule)[:1]:
        mix = category_mix(rule, seeds, ranking.item_idx, active.bound.groups[rule.depth])
        if mix is not None:
            strength, name = rule.strength, f"{name} + {rule.name}" if level else rule.name
    if not len(ranking) or not (level or strength):
        return ranking
    alike = None
    if level:
        factors = bundle.arrays.get("item_factors")
        alike = similarities(ranking.item_idx, bundle.catalogue, factors)  # type: ignore[arg-type]
    chosen = _greedy(len(ranking), active.query.limit, (level, alike), (strength, mix))
    rest = np.setdiff1d(np.arange(len(ranking)), chosen).tolist()
    result = ranking.take([*chosen, *rest])
    if active.trace is not None:
        before, after = ranking.item_idx.tolist(), result.item_idx.tolist()
        active.trace.reordered(name, before, after, after)
    return result


def _diversity(active: ActiveRules) -> tuple[str, float]:
    if active.query.diversity is not None:
        return ASKED_FOR, active.query.diversity
    for rule in active.of(DiversityRule):
        return rule.name, rule.level
    return "", 0.0


def _greedy(
    rows: int,
    length: int,
    diversity: tuple[float, Float32Array | None],
    calibration: tuple[float, CategoryMix | None],
) -> list[int]:
    """Rows of the first places, in their order."""
    (level, alike), (strength, mix) = diversity, calibration
    relevance = (1 - strength) * (1 - level) * (1 - np.arange(rows) / rows)
    nearest, chosen = np.zeros(rows, np.float32), []
    is_open = np.ones(rows, np.bool_)
    for _ in range(min(length, rows)):
        value = relevance - (1 - strength) * level * nearest
        if mix is not None:
            value -= strength * mix.divergence()
        value[~is_open] = -np.inf
        best = int(np.argmax(value))
        chosen.append(best)
        is_open[best] = False
        if alike is not None:
            np.maximum(nearest, alike[best], out=nearest)
        if mix is not None:
            mix.add(best)
    return chosen
