"""The default's entries while changed ones come in: the bookkeeping of `recommender.dose`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from recommender.assembly import Chosen, placed_ways
from recommender.listing import Listing
from recommender.merchandising.active import ActiveRules, share_limits
from recommender.merchandising.quotas import NO_ROW, quotas_of
from recommender.navigation import Way
from recommender.placements import Placement
from recommender.terms import ITEM

Key = int | tuple[str, int | str | None]
_WAY = "way"
_FREE = -1


class Entries:
    """The entries of both lists as numbers: the personal ones first, each list by position.

    Attributes
    ----------
    mine, theirs
        The numbers of the personal list, and of the default.
    items, first_row
        The items of both lists, and the row with which those of the default begin.
    keys
        What tells entries apart: the index of a plain item, else the kind and the target of each.
    targets
        Index of the item of each; None for a way.
    sorts
        What is limited in number: the kind of an item, or `_WAY`.
    rows
        Row in `items` of each; `NO_ROW` for a way.
    placed
        Those that one of the shop's rules put there, and the promotion, see `Arrangement`.
    """

    def __init__(self, chosen: Chosen, default: Chosen) -> None:
        self.keys: list[Key] = []
        self.targets: list[int | None] = []
        self.sorts: list[str] = []
        self.rows: list[int] = []
        self.placed: dict[int, str | None] = {}
        self.ways: dict[int, Way] = {}
        own, rest = (
            each.arrangement.listing.first(each.active.query.limit) for each in (chosen, default)
        )
        self.items, self.first_row = own.joined(rest), len(own)
        self._add(chosen, own, 0)
        self.mine = range(len(self.keys))
        self._add(default, rest, self.first_row)
        self.theirs = range(len(self.mine), len(self.keys))

    def _add(self, chosen: Chosen, listing: Listing, first_row: int) -> None:
        first = len(self.keys)
        shown, standing = placed_ways(len(listing), chosen.ways, chosen.active.query.limit)
        items, sorts = listing.items[: len(shown)], [ITEM] * len(shown)
        self.targets += items
        if kinds := chosen.kinds:
            sorts = [kinds.get(item, ITEM) for item in items]
            labelled = zip(items, sorts, strict=True)
            self.keys += [item if sort == ITEM else (sort, item) for item, sort in labelled]
        else:
            self.keys += items
        self.sorts += sorts
        self.rows += range(first_row, first_row + len(items))
        for position, way in standing:
            number = first + position - 1
            self.ways[number] = way
            self.keys.insert(number, (way.kind, way.target))
            self.targets.insert(number, None)
            self.sorts.insert(number, _WAY)
            self.rows.insert(number, NO_ROW)
        if placed := chosen.arrangement.placed:
            for number in range(first, len(self.keys)):
                if (row := self.rows[number] - first_row) in placed and number not in self.ways:
                    self.placed[number] = placed[row]

    def place(self, entry: int) -> int:
        """Place of an entry in the list that it is from, from 0."""
        return entry if entry in self.mine else entry - len(self.mine)


def most_changed(length: int, placement: Placement) -> int:
    """How many entries of a list may be changed."""
    return int(placement.max_changed_share * length + 1e-9)


class Limits:
    """What a list must keep to, whatever it is mixed from, and what it holds so far.

    Attributes
    ----------
    length
        Entries asked for.
    """

    def __init__(
        self,
        active: ActiveRules,
        entries: Entries,
        placement: Placement,
        most_of_each: Mapping[str, int],
    ) -> None:
        self.length, self._placement = active.query.limit, placement
        self._sorts, self._rows = entries.sorts, entries.rows
        self._most = {**placement.at_most, _WAY: placement.navigation}
        self._held = dict.fromkeys(self._most, 0)
        if most_of_each:
            active = replace(active, rules=(*active.rules, *share_limits(most_of_each)))
        # Constraints over the rows of both lists.
        items = entries.items.items
        self._quotas = [*quotas_of(active, np.array(items, np.int32))] if active.rules else []

    def most_changed(self, length: int) -> int:
        """How many entries of a list of this length may be changed."""
        return most_changed(length, self._placement)

    def begin(self, entries: Collection[int]) -> None:
        """The list begins with these."""
        held, sorts = self._held, self._sorts
        for entry in entries:
            if sorts[entry] in held:
                held[sorts[entry]] += 1
        for quota in self._quotas:
            for entry in entries:
                quota.exchange(self._rows[entry], NO_ROW)

    def allow(self, entry: int, other: int | None = None) -> bool:
        """Whether an entry may come in, instead of another, and no limit is broken by more."""
        sort = self._sorts[entry]
        if sort in self._held and self._held[sort] >= self._most[sort]:
            is_like = other is not None and self._sorts[other] == sort
            if not is_like:
                return False
        if not self._quotas:
            return True
        gone = NO_ROW if other is None else self._rows[other]
        return all(quota.allows(self._rows[entry], gone) for quota in self._quotas)

    def exchange(self, entry: int, other: int | None = None) -> None:
        """One entry has come in, instead of another."""
        held, sorts = self._held, self._sorts
        if sorts[entry] in held:
            held[sorts[entry]] += 1
        if other is not None and sorts[other] in held:
            held[sorts[other]] -= 1
        for quota in self._quotas:
            quota.exchange(self._rows[entry], NO_ROW if other is None else self._rows[other])


class Mix:
    """The default's entries, while as many changed ones come in as may be.

    Attributes
    ----------
    changed
        Those that came in, best first.
    """

    def __init__(self, entries: Entries, limits: Limits) -> None:
        self.changed: list[int] = []
        self._entries, self._limits = entries, limits
        keys, placed, first = entries.keys, entries.placed, len(entries.mine)
        self._listed = [*entries.theirs]
        limits.begin(self._listed)
        self._place_of = {target: place for place, target in enumerate(entries.targets[first:])}
        # Places of what may go: from the end, and what the personal list has not before the rest.
        wanted = {*keys[:first]}
        free = [*range(len(self._listed) - 1, -1, -1)]
        if placed:
            free = [place for place in free if first + place not in placed]
        self._free = [place for place in free if keys[first + place] not in wanted]
        self._free += [place for place in free if keys[first + place] in wanted]

    def bring_in(self, new: Sequence[int]) -> None:
        """One entry more, or one instead of another, as long as changes are allowed."""
        length, placed = self._limits.length, self._entries.placed
        most = self._limits.most_changed(length)
        for entry in new:
            if entry in placed:
                continue
            if len(self.changed) >= most:
                break
            has_room = len(self._listed) < length
            if (has_room and self._append(entry)) or self._exchange(entry):
                self.changed.append(entry)

    def _may_change(self, length: int) -> bool:
        """Whether a list of this length may have one change more."""
        is_full = length == self._limits.length  # that was asked before
        return is_full or len(self.changed) < self._limits.most_changed(length)

    def _append(self, entry: int) -> bool:
        # The same item as a plain one cannot stay beside it.
        if self._same(entry) is not None or not self._may_change(len(self._listed) + 1):
            return False
        if not self._limits.allow(entry):
            return False
        self._limits.exchange(entry)
        self._listed.append(entry)
        return True

    def _exchange(self, entry: int) -> bool:
        if not self._may_change(len(self._listed)):
            return False
        same, listed, limits = self._same(entry), self._listed, self._limits
        for place in self._free:
            if (same is None or place == same) and limits.allow(entry, listed[place]):
                other, listed[place] = listed[place], entry
                limits.exchange(entry, other)
                self._free.remove(place)
                self._place_of.pop(self._entries.targets[other], None)
                return True
        return False

    def _same(self, entry: int) -> int | None:
        """Where the same item stands in the list as another kind."""
        target = self._entries.targets[entry]
        return None if target is None else self._place_of.get(target)

    def in_place(self) -> list[int]:
        """What rules placed and what is changed at its own position, the rest around it."""
        entries, placed = self._entries, self._entries.placed
        slots = [_FREE] * len(self._listed)
        held = [entry for entry in self._listed if entry in placed] if placed else []
        for entry in (*held, *self.changed):
            slots[_nearest(slots, entries.place(entry))] = entry
        moved = {*held, *self.changed}
        flow = iter([entry for entry in self._listed if entry not in moved])
        return [next(flow) if entry == _FREE else entry for entry in slots]


def _nearest(slots: Sequence[int], place: int) -> int:
    """The free slot that is nearest to a place; of two, the first."""
    for away in range(len(slots) + place):
        for slot in (place - away, place + away):
            if 0 <= slot < len(slots) and slots[slot] == _FREE:
                return slot
    raise ValueError(f"none of {len(slots)} slots is free")
