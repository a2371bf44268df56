"""The shop's rules, one frozen class for each kind; `rules_file` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from recommender.filters.expression import Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopRule:
    """What every rule has.

    Parameters
    ----------
    name
        Unique within the file; explanations and answers name the rule by it.
    placements
        Where it holds; empty means everywhere.
    when
        What must be true of the question, an expression over the context alone.
    since, until
        When it holds: from `since` on, before `until`; UTC, None leaves the end open.
    where
        Which items it is about; None where the kind takes none.
    """

    name: str
    placements: frozenset[str] = frozenset()
    when: Expression | None = None
    since: datetime | None = None
    until: datetime | None = None
    where: Expression | None = None

    def is_current(self, at: datetime) -> bool:
        """Whether it holds at this moment."""
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExcludeRule(ShopRule):
    """Items that are never shown. A price band is one, over prices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostRule(ShopRule):
    """Items move up (`factor` above 1) or down (below 1): position p becomes about p / factor."""

    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DiversityRule(ShopRule):
    """How much the items of a list are to differ, 0..1."""

    level: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRule(ShopRule):
    """How much the categories of a list are to follow the shopper's own mix.

    Parameters
    ----------
    strength
        0..1.
    min_history
        Interactions that the shopper must have for it to hold.
    depth
        Levels of the category path that count as one category.
    """

    strength: float
    min_history: int = 10
    depth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PinRule(ShopRule):
    """Items in fixed positions: ``(item_id, position)``, 1-based."""

    items: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionRule(ShopRule):
    """Items that are brought into the list, up to a share of its slots.

    Parameters
    ----------
    share
        0..1 of the slots, rounded down.
    from_position
        First position that a promoted item may take, 1-based.
    """

    share: float
    from_position: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintRule(ShopRule):
    """How many items of a sort a list may or must have.

    Parameters
    ----------
    at_least
        Of the items of `where`; as far as the candidates allow.
    at_most
        Of the items of `where`, or of each distinct value of `per`; never exceeded.
    per
        ``brand`` or ``category``: `at_most` counts each value on its own, items without one not
        at all.
    """

    at_least: int = 0
    at_most: int | None = None
    per: str | None = None


@dataclass(frozen=True, slots=True)
class ShopRules:
    """A rules file.

    Parameters
    ----------
    version
        Text of the shop; decision records and explanations carry it.
    """

    version: str
    rules: tuple[ShopRule, ...] = ()
