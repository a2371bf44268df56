"""What is doubtful about rules that can be read: clashes, and what they name in vain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np

from recommender.catalogue import Catalogue
from recommender.discretion import unknown_categories
from recommender.merchandising.active import BoundRules, bind
from recommender.merchandising.shop_rules import CalibrationRule, PinRule, ShopRule, ShopRules
from recommender.placements import Placement

HISTORY_PARTS = {"history", "session"}


def findings(
    rules: ShopRules, placements: Mapping[str, Placement], catalogue: Catalogue | None = None
) -> list[str]:
    """What an author of rules should look at, one sentence each.

    Parameters
    ----------
    catalogue
        Items of the model in use; None looks at the rules alone.
    """
    found = [*_clashes(rules), *_out_of_reach(rules, placements), *_no_history(rules, placements)]
    if catalogue is not None:
        bound = bind(rules, catalogue)
        found += [*_unknown_pins(rules, catalogue), *_about_nothing(bound)]
        found += [
            f"sensitive category {path!r}: no item of the model is in it"
            for path in unknown_categories(placements.values(), catalogue)
        ]
    return found


def _clashes(rules: ShopRules) -> Iterator[str]:
    pins = [rule for rule in rules.rules if isinstance(rule, PinRule)]
    for one, other in combinations(pins, 2):
        if not _may_meet(one, other):
            continue
        positions = {position for _, position in one.items}
        for item_id, position in other.items:
            if position in positions:
                yield (
                    f"rule {other.name}: position {position} of {item_id!r} is taken by rule "
                    f"{one.name} wherever both hold"
                )


def _may_meet(one: ShopRule, other: ShopRule) -> bool:
    """Whether there may be a question for which both hold."""
    if one.placements and other.placements and not one.placements & other.placements:
        return False
    starts = [rule.since for rule in (one, other) if rule.since]
    ends = [rule.until for rule in (one, other) if rule.until]
    return not starts or not ends or max(starts) < min(ends)


def _out_of_reach(rules: ShopRules, placements: Mapping[str, Placement]) -> Iterator[str]:
    for rule in rules.rules:
        if not isinstance(rule, PinRule):
            continue
        limits = {name: placements[name].limit for name in rule.placements or placements}
        for item_id, position in rule.items:
            short = sorted(name for name, limit in limits.items() if limit < position)
            if short:
                yield (
                    f"rule {rule.name}: position {position} of {item_id!r} is beyond the usual "
                    f"length of {', '.join(short)}"
                )


def _no_history(rules: ShopRules, placements: Mapping[str, Placement]) -> Iterator[str]:
    for rule in rules.rules:
        if not isinstance(rule, CalibrationRule):
            continue
        for name in sorted(rule.placements or placements):
            if not HISTORY_PARTS & set(placements[name].seeds):
                yield f"rule {rule.name}: {name} does not start from what the shopper did"


def _unknown_pins(rules: ShopRules, catalogue: Catalogue) -> Iterator[str]:
    for rule in rules.rules:
        for item_id, _ in rule.items if isinstance(rule, PinRule) else ():
            index = catalogue.ids.index(item_id)
            if index is None:
                yield f"rule {rule.name}: item {item_id!r} is not in the model"
            elif not catalogue.item_available[index]:
                yield f"rule {rule.name}: item {item_id!r} is not available"


def _about_nothing(bound: BoundRules) -> Iterator[str]:
    for name, mask in bound.masks.items():
        if not np.any(mask):
            yield f"rule {name}: no item of the model is what `where` asks for"
