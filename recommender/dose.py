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
from typing import NamedTuple

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


class Entry(NamedTuple):
    """One entry of a list.

    Parameters
    ----------
    key
        Its kind, and the index of the item or the target of the way: what tells entries apart.
    row
        Row of the item in the rows of both lists, the personal ones first; -1 for a way.
    position
        In the list that it is from, 1-based.
    is_placed
        One of the shop's rules put it there.
    sort
        What is limited in number: the kind of an item, or `_WAY`.
    """

    key: Key
    sort: str
    row: int
    position: int
    is_placed: bool
    way: Way | None


class _Rows(NamedTuple):
    """The rows of both lists, the personal ones first, and how many these are."""

    listing: Listing
    first: int


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
    own, rest = _shown(chosen), _shown(default)
    rows = _Rows(own.joined(rest), len(own))
    mine, theirs = _entries(chosen, own, 0), _entries(default, rest, rows.first)
    known = {entry.key for entry in theirs}
    new = [entry for entry in mine if entry.key not in known]
    stands = not theirs or _is_allowed(len(new), len(mine), placement)
    if placement.max_changed_share and stands:
        listed, changed = mine, new
    else:
        limits = _Limits(chosen.active, rows.listing, placement, most_of_each)
        mix = _Mix(theirs, {entry.key for entry in mine}, limits)
        mix.bring_in(new)
        listed, changed = mix.in_place(), mix.changed
    made = _made(listed, chosen, default, rows)
    if not chosen.explore.is_idle:
        made = made.over(_open(made, chosen, theirs, changed, most_of_each))
    return made, len(changed) / max(len(listed), 1)


def _is_allowed(changed: int, length: int, placement: Placement) -> bool:
    return changed <= placement.max_changed_share * length + 1e-9


def _shown(chosen: Chosen) -> Listing:
    """The rows that the best list is made of."""
    return chosen.arrangement.listing.first(chosen.active.query.limit)


def _entries(chosen: Chosen, listing: Listing, offset: int) -> list[Entry]:
    """The best list, in order of position; its first item has the row `offset`."""
    shown, standing = placed_ways(len(listing), chosen.ways, chosen.active.query.limit)
    placed, kind_of = chosen.arrangement.placed, chosen.kinds.get
    listed = [
        Entry((kind, item), kind, offset + row, position, row in placed, None)
        for row, (position, item) in enumerate(zip(shown, listing.items, strict=False))
        for kind in (kind_of(item, ITEM),)
    ]
    if not standing:
        return listed
    ways = [
        Entry((way.kind, way.target), _WAY, NO_ROW, at, is_placed=False, way=way)
        for at, way in standing
    ]
    return sorted([*listed, *ways], key=lambda entry: entry.position)


class _Mix:
    """The default's entries, while as many changed ones come in as may be.

    Attributes
    ----------
    changed
        Those that came in, best first.
    """

    def __init__(self, theirs: Sequence[Entry], wanted: Collection[Key], limits: _Limits) -> None:
        self.changed: list[Entry] = []
        self._listed = [*theirs]
        self._limits = limits
        limits.begin(theirs)
        self._place_of = {e.key[1]: place for place, e in enumerate(theirs) if e.way is None}
        # Places of what may go: from the end, and what the personal list has not before the rest.
        self._free = [place for place, entry in enumerate(theirs) if not entry.is_placed]
        self._free.reverse()
        self._free.sort(key=lambda place: theirs[place].key in wanted)

    def bring_in(self, new: Sequence[Entry]) -> None:
        """One entry more, or one instead of another, as long as changes are allowed."""
        length, placement = self._limits.length, self._limits.placement
        for entry in new:
            if entry.is_placed:
                continue
            if not _is_allowed(len(self.changed) + 1, length, placement):
                break
            has_room = len(self._listed) < length
            if (has_room and self._append(entry)) or self._exchange(entry):
                self.changed.append(entry)

    def _may_change(self, length: int) -> bool:
        """Whether a list of this length may have one change more."""
        return _is_allowed(len(self.changed) + 1, length, self._limits.placement)

    def _append(self, entry: Entry) -> bool:
        # The same item as a plain one cannot stay beside it.
        if self._same(entry) is not None or not self._may_change(len(self._listed) + 1):
            return False
        if not self._limits.allow(entry):
            return False
        self._limits.exchange(entry)
        self._listed.append(entry)
        return True

    def _exchange(self, entry: Entry) -> bool:
        if not self._may_change(len(self._listed)):
            return False
        same = self._same(entry)
        for place in self._free:
            if same is None or place == same:
                other = self._listed[place]
                if self._limits.allow(entry, other):
                    self._limits.exchange(entry, other)
                    self._listed[place] = entry
                    self._free.remove(place)
                    if other.way is None:
                        del self._place_of[other.key[1]]
                    return True
        return False

    def _same(self, entry: Entry) -> int | None:
        """Where the same item stands in the list as another kind."""
        return self._place_of.get(entry.key[1]) if entry.way is None else None

    def in_place(self) -> list[Entry]:
        """What rules placed and what is changed at its own position, the rest around it."""
        slots: list[Entry | None] = [None] * len(self._listed)
        held = [entry for entry in self._listed if entry.is_placed]
        for entry in (*held, *self.changed):
            slots[_nearest(slots, entry.position - 1)] = entry
        moved = {entry.key for entry in self.changed}
        flow = (e for e in self._listed if not (e.is_placed or e.key in moved))
        return [next(flow) if entry is None else entry for entry in slots]


def _nearest(slots: Sequence[Entry | None], place: int) -> int:
    """The free slot that is nearest to a place; of two, the first."""
    for away in range(len(slots) + place):
        for slot in (place - away, place + away):
            if 0 <= slot < len(slots) and slots[slot] is None:
                return slot
    raise ValueError(f"none of {len(slots)} slots is free")


def _made(entries: Sequence[Entry], chosen: Chosen, default: Chosen, rows: _Rows) -> Chosen:
    """What these entries of both lists come to."""
    first = rows.first
    listed = [entry for entry in entries if entry.way is None]
    listing = rows.listing.take([entry.row for entry in listed])
    is_one_scale = len({entry.row < first for entry in listed}) < 2
    if not is_one_scale:
        listing = listing.falling()  # two scales: no score is above the one before it
    by_rules = chosen.arrangement.placed
    if default.arrangement.placed:
        below = default.arrangement.placed.items()
        by_rules = {**by_rules, **{first + row: name for row, name in below}}
    placed = {at: by_rules[each.row] for at, each in enumerate(listed) if each.is_placed}
    kinds = {each.key[1]: each.key[0] for each in listed if each.key[0] != ITEM}
    ways = [
        entry.way._replace(rank=position)
        for position, entry in enumerate(entries, start=1)
        if entry.way is not None
    ]
    arrangement = Arrangement(listing, placed, is_one_scale=is_one_scale)
    return chosen.over(arrangement, kinds, tuple(ways))  # type: ignore[arg-type]


def _open(
    made: Chosen,
    chosen: Chosen,
    theirs: Sequence[Entry],
    changed: Sequence[Entry],
    most_of_each: Mapping[str, int],
) -> Arrangement:
    """Leaves it to chance to show other personal items in the places of changed ones.

    So as many entries are changed as before.
    """
    arrangement, own = made.arrangement, {entry.key[1] for entry in changed if entry.way is None}
    listing, spare = arrangement.listing, arrangement.spare
    rows = {row for row, item in enumerate(listing.items) if item in own}
    if not (most_of_each or chosen.active.of(ConstraintRule)):
        below = chosen.arrangement.listing.joined(chosen.arrangement.spare)
        known = {*listing.items, *(each.key[1] for each in theirs if each.way is None)}
        known |= chosen.kinds.keys()
        others = (row for row, item in enumerate(below.items) if item not in known)
        spare = below.take(islice(others, chosen.explore.reach))
    placed, is_one_scale = arrangement.placed, arrangement.is_one_scale
    return Arrangement(listing, placed, spare, rows, is_one_scale)


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
        rows: Listing,
        placement: Placement,
        most_of_each: Mapping[str, int],
    ) -> None:
        self.length, self.placement = active.query.limit, placement
        self._most = {**placement.at_most, _WAY: placement.navigation}
        self._held = dict.fromkeys(self._most, 0)
        if most_of_each:
            active = replace(active, rules=(*active.rules, *share_limits(most_of_each)))
        # Constraints over the rows of both lists.
        self._quotas = [*quotas_of(active, np.array(rows.items, np.int32))] if active.rules else []

    def begin(self, entries: Sequence[Entry]) -> None:
        """The list begins with these."""
        held = self._held
        for entry in entries:
            if entry.sort in held:
                held[entry.sort] += 1
        for quota in self._quotas:
            for entry in entries:
                quota.exchange(entry.row, NO_ROW)

    def allow(self, entry: Entry, other: Entry | None = None) -> bool:
        """Whether an entry may come in, instead of another, and no limit is broken by more."""
        sort = entry.sort
        is_like = other is not None and other.sort == sort
        if not is_like and sort in self._held and self._held[sort] >= self._most[sort]:
            return False
        if not self._quotas:
            return True
        gone = NO_ROW if other is None else other.row
        return all(quota.allows(entry.row, gone) for quota in self._quotas)

    def exchange(self, entry: Entry, other: Entry | None = None) -> None:
        """One entry has come in, instead of another."""
        held = self._held
        if entry.sort in held:
            held[entry.sort] += 1
        if other is not None and other.sort in held:
            held[other.sort] -= 1
        for quota in self._quotas:
            quota.exchange(entry.row, NO_ROW if other is None else other.row)
