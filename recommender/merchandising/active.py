"""The rules of a file over the items of a model, and those that hold for one question."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, TypeVar

from recommender.catalogue import Catalogue
from recommender.filters.evaluation import asked_of, holds, is_fixed, matching
from recommender.kept import Kept
from recommender.merchandising.calibration import groups_of_items
from recommender.merchandising.shop_rules import (
    BoostRule,
    CalibrationRule,
    ConstraintRule,
    DiversityRule,
    ExcludeRule,
    PinRule,
    PromotionRule,
    ShopRule,
    ShopRules,
)
from recommender.merchandising.trace import Trace
from recommender.query import Query
from recommender.read_only import read_only
from recommender.terms import BoolArray, Int32Array

Kind = TypeVar("Kind", bound=ShopRule)
# Rules work on the best of a ranking; nobody is shown more than half of it.
WINDOW = 200
ORDERING = (BoostRule, DiversityRule, CalibrationRule, PinRule, PromotionRule, ConstraintRule)
PLACING = (PinRule, PromotionRule, ConstraintRule)
# What may be kept of items that rules are about on some page or with some cart.
_MASK_BYTES: Final = 16 << 20
# Asked when the answer does not depend on the question.
_NOBODY = Query(at=datetime(1970, 1, 1, tzinfo=UTC), placement="")


@dataclass(frozen=True, slots=True)
class BoundRules:
    """Rules made ready for the catalogue of one model.

    Parameters
    ----------
    catalogue
        None only where there is no rule.
    masks
        For each rule whose items do not depend on the question, by name: which they are, bool
        (items,).
    groups
        For each depth that a calibration asks for, `calibration.groups_of_items`.
    asked
        As `masks` of the other rules, by name and what they ask of the question.
    """

    rules: ShopRules
    catalogue: Catalogue | None = None
    masks: Mapping[str, BoolArray] = field(default_factory=dict)
    groups: Mapping[int, Int32Array] = field(default_factory=dict)
    asked: Kept[Hashable, BoolArray] = field(
        default_factory=lambda: Kept(1), repr=False, compare=False
    )

    def active(self, query: Query, catalogue: Catalogue, trace: Trace | None = None) -> ActiveRules:
        """The rules that hold for a question, in the order of the file.

        Raises
        ------
        ValueError
            They were made ready for another catalogue.
        """
        if not self.rules.rules:
            return ActiveRules(query, catalogue, self, (), trace)
        if self.catalogue is not catalogue:
            raise ValueError("the rules were bound to another catalogue")
        chosen = tuple(rule for rule in self.rules.rules if _is_active(rule, query, catalogue))
        return ActiveRules(query, catalogue, self, chosen, trace)


def bind(rules: ShopRules, catalogue: Catalogue) -> BoundRules:
    """Make rules ready for a catalogue."""
    masks = {
        rule.name: matching(rule.where, _NOBODY, catalogue)
        for rule in rules.rules
        if rule.where is not None and is_fixed(rule.where)
    }
    depths = {rule.depth for rule in rules.rules if isinstance(rule, CalibrationRule)}
    groups = {depth: read_only(groups_of_items(catalogue, depth)) for depth in depths}
    asked = Kept[Hashable, BoolArray](max(1, _MASK_BYTES // max(len(catalogue), 1)))
    return BoundRules(rules, catalogue, masks, groups, asked)


@dataclass(frozen=True, slots=True)
class ActiveRules:
    """The rules that hold for one question.

    Parameters
    ----------
    trace
        Where moves are noted; None: nobody asks.
    """

    query: Query
    catalogue: Catalogue
    bound: BoundRules
    rules: tuple[ShopRule, ...]
    trace: Trace | None = None

    def excluded(self) -> Iterator[tuple[ExcludeRule, BoolArray]]:
        """Rules that take items away, and which, bool (items,)."""
        return ((rule, self.matches(rule)) for rule in self.of(ExcludeRule))

    def of(self, kind: type[Kind]) -> tuple[Kind, ...]:
        """The rules of a kind."""
        return tuple(rule for rule in self.rules if isinstance(rule, kind))

    @property
    def is_ordering(self) -> bool:
        """Whether anything may change the order of a ranking."""
        return bool(self.query.diversity) or any(isinstance(each, ORDERING) for each in self.rules)

    @property
    def is_placing(self) -> bool:
        """Whether anything gives items a place or counts them."""
        return any(isinstance(rule, PLACING) for rule in self.rules)

    @property
    def length(self) -> int:
        """How long a ranking has to be."""
        return WINDOW if self.is_ordering else self.query.limit

    def limited(self, most_of_each: Mapping[str, int]) -> ActiveRules:
        """The same with so many items at most of one brand or category, by attribute.

        Only where rules bring items in; without them the ranking keeps to it by itself.
        """
        if not (most_of_each and self.is_placing):
            return self
        return replace(self, rules=(*self.rules, *share_limits(most_of_each)))

    def matches(self, rule: ShopRule, items: Int32Array | None = None) -> BoolArray:
        """Which items a rule is about: bool (rows,) of these indices, or bool (items,) of all.

        Masks of all items are kept for other questions: they are not to be written to.
        """
        mask = self.bound.masks.get(rule.name)
        if mask is not None:
            return mask if items is None else mask[items]
        if rule.where is None:
            raise ValueError(f"rule {rule.name} is about no items")
        if items is not None:
            return matching(rule.where, self.query, self.catalogue, items)
        asked = (rule.name, asked_of(rule.where, self.query, self.catalogue))
        if (mask := self.bound.asked.get(asked)) is None:
            mask = matching(rule.where, self.query, self.catalogue)
            self.bound.asked.keep(asked, mask)
        return mask


def share_limits(most_of_each: Mapping[str, int]) -> Iterator[ConstraintRule]:
    """So many items at most of one brand or category, by attribute, as constraints."""
    for attribute, most in most_of_each.items():
        yield ConstraintRule(name=f"{attribute}_share", at_most=most, per=attribute)


def _is_active(rule: ShopRule, query: Query, catalogue: Catalogue) -> bool:
    if rule.placements and query.placement not in rule.placements:
        return False
    if not rule.is_current(query.at):
        return False
    return rule.when is None or holds(rule.when, query, catalogue)


NO_RULES: Final = BoundRules(ShopRules(""))
