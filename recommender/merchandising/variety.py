"""Diversity and calibration: one greedy pass over the best of a ranking.

Maximal marginal relevance (J. Carbonell, J. Goldstein, SIGIR 1998,
https://doi.org/10.1145/290941.291025) and calibration (H. Steck, *Calibrated Recommendations*,
RecSys 2018, https://doi.org/10.1145/3240323.3240372) both build a list item by item. Together, of
all candidates i not yet on the list S, the next one has the largest

    (1 - κ) ((1 - δ) r(i) - δ max over j in S of sim(i, j)) - κ KL(p || q(S with i))

where δ is the level of diversity and κ the strength of calibration. The relevance
``r(i) = 1 - (position - 1) / candidates`` is taken from the position, as scores have any scale.
Of calibration, p is the shopper's mix of categories, by the weights of what they met, and q that of
the list, as equation 6 of the paper has it: ``KL(p || (1 - a) q + a p)`` with a = 0.01.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from recommender.bundle import ModelBundle
from recommender.merchandising.active import ActiveRules
from recommender.merchandising.shop_rules import CalibrationRule, DiversityRule
from recommender.ranking import Ranking
from recommender.read_only import read_only
from recommender.seeds import Seeds

ASKED_FOR = "request"
_NO_FACTORS: Final = read_only(np.empty((0, 0), np.float32))
_NO_GROUPS: Final = read_only(np.empty(0, np.int32))


def varied(ranking: Ranking, active: ActiveRules, seeds: Seeds, bundle: ModelBundle) -> Ranking:
    """The best of a ranking with the first places filled for variety; the rest in their order.

    The first rule of each kind that holds is the one that counts; a diversity that the question
    asks for counts instead of a rule.
    """
    name, level = _diversity(active)
    rule = next(iter(active.of(CalibrationRule)), None)
    if not len(ranking) or not (level or rule):
        return ranking
    # Kernels come in only where there is a model, see `recommender.compiled`.
    from recommender.merchandising.filling import Aim, Traits, filled

    groups, catalogue = _NO_GROUPS, bundle.catalogue
    strength, least = 0.0, 0
    if rule is not None:
        strength, least = rule.strength, rule.min_history
        groups = active.bound.groups[rule.depth]
    factors = bundle.arrays.get("item_factors", _NO_FACTORS)
    traits = (factors, catalogue.item_category, catalogue.item_brand, catalogue.item_price)
    order, is_mixed = filled(
        ranking.item_idx,
        active.query.limit,
        float(level),
        Traits(*map(read_only, traits)),
        Aim(strength, least, groups, seeds.item_idx, seeds.parts, seeds.weights),
    )
    if not (level or is_mixed):
        return ranking
    result = ranking.take(order)
    if active.trace is not None:
        if rule is not None and is_mixed:
            name = f"{name} + {rule.name}" if level else rule.name
        before, after = ranking.item_idx.tolist(), result.item_idx.tolist()
        active.trace.reordered(name, before, after, after)
    return result


def _diversity(active: ActiveRules) -> tuple[str, float]:
    if active.query.diversity is not None:
        return ASKED_FOR, active.query.diversity
    for rule in active.of(DiversityRule):
        return rule.name, rule.level
    return "", 0.0
