"""Constraints while a list is being filled: what may still come in, and what must."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from recommender.catalogue import NO_CATEGORY, Catalogue
from recommender.merchandising.active import ActiveRules
from recommender.merchandising.shop_rules import ConstraintRule
from recommender.terms import Int32Array

NOT_COUNTED = NO_CATEGORY
MATCHED = 0
NO_ROW = -1


@dataclass(slots=True)
class Quota:
    """One constraint and what it has counted.

    Parameters
    ----------
    values
        For each candidate, the value under which it counts, or `NOT_COUNTED`.
    at_least
        What the candidates allow of the rule's own.
    """

    name: str
    values: list[int]
    at_least: int
    at_most: int | None
    counts: Counter[int] = field(default_factory=Counter)

    def has_room(self, row: int) -> bool:
        """Whether one more item like this may come in."""
        value = self.values[row]
        return value == NOT_COUNTED or self.at_most is None or self.counts[value] < self.at_most

    def count(self, row: int) -> None:
        """Count an item that came in."""
        if (value := self.values[row]) != NOT_COUNTED:
            self.counts[value] += 1

    def allows(self, row: int, gone: int) -> bool:
        """Whether it is not broken by more when a row comes in and another goes.

        Parameters
        ----------
        row, gone
            `NO_ROW` where none comes in, or none goes.
        """
        came, left = self._value(row), self._value(gone)
        if came == left:
            return True
        return self._strain(came, 1) + self._strain(left, -1) <= 0

    def exchange(self, row: int, gone: int) -> None:
        """Count a row that came in, and no longer one that went."""
        for each, step in ((row, 1), (gone, -1)):
            if (value := self._value(each)) != NOT_COUNTED:
                self.counts[value] += step

    def _value(self, row: int) -> int:
        return NOT_COUNTED if row == NO_ROW else self.values[row]

    def _strain(self, value: int, step: int) -> int:
        """By how much more it is broken when one more, or one less, counts under a value."""
        if value == NOT_COUNTED:
            return 0
        held = self.counts[value]
        return self._broken(value, held + step) - self._broken(value, held)

    def _broken(self, value: int, held: int) -> int:
        least = self.at_least if value == MATCHED else 0
        most = held if self.at_most is None else self.at_most
        return max(0, least - held) + max(0, held - most)

    @property
    def missing(self) -> int:
        """How many items must still come in."""
        return max(0, self.at_least - self.counts[MATCHED])


def quotas_of(active: ActiveRules, items: Int32Array) -> Iterator[Quota]:
    """A quota, nothing counted yet, for each constraint that holds, over these candidates."""
    for rule in active.of(ConstraintRule):
        values = _values(active, rule, items)
        at_least = min(rule.at_least, values.count(MATCHED)) if rule.at_least else 0
        yield Quota(rule.name, values, at_least, rule.at_most)


def _values(active: ActiveRules, rule: ConstraintRule, items: Int32Array) -> list[int]:
    if rule.per is not None:
        codes = _codes(active.catalogue, rule.per)[items]
        listed: list[int] = codes.tolist()
        return listed
    matched = active.matches(rule, items).tolist()
    return [MATCHED if each else NOT_COUNTED for each in matched]


def _codes(catalogue: Catalogue, attribute: str) -> Int32Array:
    return catalogue.item_brand if attribute == "brand" else catalogue.item_category
