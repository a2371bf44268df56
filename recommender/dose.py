"""How much of a list is personal: at most `Placement.max_changed_share` of it.

The *default* is the list that the same place would have shown at the same moment to anybody: same
page, filter, rules and length, nothing about the shopper, and without what may not be shown to this
one or rests (to take away is no recommendation). An entry is *changed* where the default has no
entry of the same kind with the same item or target: an item to be bought again is changed even
where the default has that item as a plain one. With c changed entries in a list of n,

    c / n ≤ max_changed_share,

unless the default is empty: what only a known shopper can be shown (a shelf of `resume`) was asked
for as such, and is left out with a share of 0 only.

Where the personal list keeps to that, it stands as it is, its order too; only with a share of 0 the
default stands in any case. Else the list is the default with the first changed entries of the
personal one, best first, in their places; they replace what the personal list has not, from the
end. What the shop's rules placed stays, and no entry comes in that would break a constraint, or one
of the placement's own limits, that was kept before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from recommender.assembly import Chosen, placed_ways
from recommender.listing import Listing
from recommender.merchandising.active import ActiveRules, share_limits
from recommender.merchandising.arrangement import Arrangement
from recommender.merchandising.quotas import NO_ROW, quotas_of
from recommender.merchandising.shop_rules import ConstraintRule
from recommender.navigation import Way
from recommender.placements import Placement
from recommender.terms import ITEM

Key = tuple[str, int | str | None]
_WAY = "way"


class _Entries:
    """The entries of both lists as numbers: the personal ones first, each list by position.

    Attributes
    ----------
    mine, theirs
        The numbers of the personal list, and of the default.
    items, first_row
        The items of both lists, and the row with which those of the default begin.
    keys
        Kind of each, and the index of the item or the target of the way: what tells entries apart.
    sorts
        What is limited in number: the kind of an item, or `_WAY`.
    rows
        Row in `items` of each; `NO_ROW` for a way.
    placed
        Those that one of the shop's rules put there, and the promotion, see `Arrangement`.
    """

    def __init__(self, chosen: Chosen, default: Chosen) -> None:
        self.keys: list[Key] = []
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
        first, kind_of = len(self.keys), chosen.kinds.get
        shown, standing = placed_ways(len(listing), chosen.ways, chosen.active.query.limit)
        sorts = [kind_of(item, ITEM) for item in listing.items[: len(shown)]]
        self.sorts += sorts
        self.keys += zip(sorts, listing.items, strict=False)
        self.rows += range(first_row, first_row + len(sorts))
        for position, way in standing:
            number = first + position - 1
            self.sorts.insert(number, _WAY)
            self.keys.insert(number, (way.kind, way.target))
            self.rows.insert(number, NO_ROW)
            self.ways[number] = way
        if placed := chosen.arrangement.placed:
            for number in range(first, len(self.keys)):
                if (row := self.rows[number] - first_row) in placed and number not in self.ways:
                    self.placed[number] = placed[row]

    def place(self, entry: int) -> int:
        """Place of an entry in the list that it is from, from 0."""
        return entry if entry in self.mine else entry - len(self.mine)


def dosed(
    chosen: Chosen, default: Chosen, placement: Placement, most_of_each: Mapping[str, int]
) -> tuple[Chosen, float]:
    """The list with no more changes than a placement allows, and the share that is changed.

    It holds what is to be shown and nothing else, so that no policy can change more.

    Parameters
    ----------
    most_of_each
        How many items of one brand, of one category a list may hold, where that is limited.
    """
    entries = _Entries(chosen, default)
    keys, mine, share = entries.keys, entries.mine, placement.max_changed_share
    known = {*keys[len(mine) :]}
    new = [entry for entry in mine if keys[entry] not in known]
    stands = not entries.theirs or len(new) <= _most_changed(len(mine), placement)
    if share and stands:
        listed, changed = [*mine], new
    else:
        limits = _Limits(chosen.active, entries, placement, most_of_each)
        mix = _Mix(entries, limits)
        mix.bring_in(new)
        listed, changed = mix.in_place(), mix.changed
    made = _made(listed, chosen, entries)
    if not chosen.explore.is_idle:
        made = made.over(_open(made, chosen, entries, changed, most_of_each))
    return made, len(changed) / max(len(listed), 1)


def _most_changed(length: int, placement: Placement) -> int:
    """How many entries of a list may be changed."""
    return int(placement.max_changed_share * length + 1e-9)


class _Mix:
    """The default's entries, while as many changed ones come in as may be.

    Attributes
    ----------
    changed
        Those that came in, best first.
    """

    def __init__(self, entries: _Entries, limits: _Limits) -> None:
        self.changed: list[int] = []
        self._entries, self._limits = entries, limits
        keys, placed = entries.keys, entries.placed
        self._listed = [*entries.theirs]
        limits.begin(self._listed)
        self._place_of = {
            keys[entry][1]: place
            for place, entry in enumerate(self._listed)
            if entries.rows[entry] != NO_ROW
        }
        # Places of what may go: from the end, and what the personal list has not before the rest.
        wanted, first = {*keys[: len(entries.mine)]}, len(entries.mine)
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
                if other not in self._entries.ways:
                    del self._place_of[self._entries.keys[other][1]]
                return True
        return False

    def _same(self, entry: int) -> int | None:
        """Where the same item stands in the list as another kind."""
        if entry in self._entries.ways:
            return None
        return self._place_of.get(self._entries.keys[entry][1])

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


_FREE = -1


def _nearest(slots: Sequence[int], place: int) -> int:
    """The free slot that is nearest to a place; of two, the first."""
    for away in range(len(slots) + place):
        for slot in (place - away, place + away):
            if 0 <= slot < len(slots) and slots[slot] == _FREE:
                return slot
    raise ValueError(f"none of {len(slots)} slots is free")


def _made(listed: Sequence[int], chosen: Chosen, entries: _Entries) -> Chosen:
    """What these entries of both lists come to."""
    items = [entry for entry in listed if entry not in entries.ways] if entries.ways else listed
    rows = [entries.rows[entry] for entry in items]
    listing = entries.items.take(rows)
    is_one_scale = not rows or (min(rows) < entries.first_row) is (max(rows) < entries.first_row)
    if not is_one_scale:
        listing = listing.falling()  # two scales: no score is above the one before it
    placed = entries.placed
    if placed:
        placed = {at: placed[entry] for at, entry in enumerate(items) if entry in placed}
    keys = [entries.keys[entry] for entry in items]
    ways = (
        ()
        if not entries.ways
        else tuple(
            [
                entries.ways[entry]._replace(rank=position)
                for position, entry in enumerate(listed, start=1)
                if entry in entries.ways
            ]
        )
    )
    kinds = {item: kind for kind, item in keys if kind != ITEM}
    arrangement = Arrangement(listing, placed, is_one_scale=is_one_scale)
    return chosen.over(arrangement, kinds, ways)  # type: ignore[arg-type]


def _open(
    made: Chosen,
    chosen: Chosen,
    entries: _Entries,
    changed: Sequence[int],
    most_of_each: Mapping[str, int],
) -> Arrangement:
    """Leaves it to chance to show other personal items in the places of changed ones.

    So as many entries are changed as before.
    """
    arrangement, keys = made.arrangement, entries.keys
    listing, spare = arrangement.listing, arrangement.spare
    own = {keys[entry][1] for entry in changed if entry not in entries.ways}
    rows = {row for row, item in enumerate(listing.items) if item in own}
    if not (most_of_each or chosen.active.of(ConstraintRule)):
        below = chosen.arrangement.listing.joined(chosen.arrangement.spare)
        theirs = [keys[entry][1] for entry in entries.theirs if entry not in entries.ways]
        known = {*listing.items, *theirs, *chosen.kinds}
        others = (row for row, item in enumerate(below.items) if item not in known)
        spare = below.take(islice(others, chosen.explore.reach))
    return Arrangement(listing, arrangement.placed, spare, rows, arrangement.is_one_scale)


class _Limits:
    """What a list must keep to, whatever it is mixed from, and what it holds so far.

    Attributes
    ----------
    length
        Entries asked for.
    """

    def __init__(
        self,
        active: ActiveRules,
        entries: _Entries,
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
        return _most_changed(length, self._placement)

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
