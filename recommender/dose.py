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

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import numpy as np

from recommender.assembly import Chosen, placed_ways
from recommender.merchandising.active import share_limits
from recommender.merchandising.arrangement import Arrangement
from recommender.merchandising.quotas import Quota, quotas_of
from recommender.merchandising.shop_rules import ConstraintRule
from recommender.navigation import Way
from recommender.placements import MAX_LIMIT, Placement
from recommender.ranking import Ranking
from recommender.terms import ITEM

_NO_ROW = -1


class Entry(NamedTuple):
    """One entry of a list.

    Parameters
    ----------
    kind, target
        Its kind, and the index of the item or the target of the way: what tells entries apart.
    row
        Row of the item in the rows of both lists, the personal ones first; -1 for a way.
    position
        In the list that it is from, 1-based.
    is_placed
        One of the shop's rules put it there.
    """

    kind: str
    target: int | str | None
    row: int
    position: int
    is_placed: bool = False
    way: Way | None = None

    @property
    def key(self) -> tuple[str, int | str | None]:
        """What tells it from others."""
        return self.kind, self.target


def dosed(
    chosen: Chosen, default: Chosen, placement: Placement, most_of_each: Mapping[str, int]
) -> tuple[Chosen, float]:
    """The list with no more changes than a placement allows, and the share that is changed.

    Its ranking holds what is to be shown and nothing else, so that no policy can change more.

    Parameters
    ----------
    most_of_each
        How many items of one brand, of one category a list may hold, where that is limited.
    """
    rows = _shown(chosen)
    first, rows = len(rows), rows.joined(_shown(default))
    items: list[int] = rows.item_idx.tolist()
    mine, theirs = _entries(chosen, items[:first], 0), _entries(default, items[first:], first)
    known = {entry.key for entry in theirs}
    new = [entry for entry in mine if entry.key not in known]
    stands = not theirs or _is_allowed(len(new), len(mine), placement)
    if placement.max_changed_share and stands:
        listed, changed = mine, new
    else:
        limits = _Limits.of(chosen, rows, placement, most_of_each)
        mixed, changed = _mixed(new, theirs, {entry.key for entry in mine}, limits)
        listed = _in_place(mixed, changed)
    made = _made(listed, chosen, default, _Rows(rows, first))
    if not chosen.explore.is_idle:
        made = replace(made, arrangement=_open(made, chosen, theirs, changed, most_of_each))
    return made, len(changed) / max(len(listed), 1)


def _is_allowed(changed: int, length: int, placement: Placement) -> bool:
    return changed <= placement.max_changed_share * length + 1e-9


def _shown(chosen: Chosen) -> Ranking:
    """The rows that the best list is made of."""
    ranking = chosen.arrangement.ranking
    return ranking.take(np.arange(min(chosen.active.query.limit, len(ranking))))


def _entries(chosen: Chosen, items: Sequence[int], offset: int) -> list[Entry]:
    """The best list, in order of position; its first item has the row `offset`."""
    shown, standing = placed_ways(len(items), chosen.ways, chosen.active.query.limit)
    placed, kind_of = chosen.arrangement.placed, chosen.kinds.get
    listed = [
        Entry(kind_of(item, ITEM), item, offset + row, position, row in placed)
        for row, (position, item) in enumerate(zip(shown, items, strict=False))
    ]
    if not standing:
        return listed
    ways = [Entry(way.kind, way.target, _NO_ROW, at, way=way) for at, way in standing]
    return sorted([*listed, *ways], key=lambda entry: entry.position)


def _mixed(
    new: Sequence[Entry], theirs: list[Entry], wanted: set[object], limits: _Limits
) -> tuple[list[Entry], list[Entry]]:
    """The default's entries with as many changed ones as may be, and these."""
    listed, changed = theirs, list[Entry]()
    strains = limits.strains(listed)
    for entry in new:
        if entry.is_placed:
            continue
        if not _is_allowed(len(changed) + 1, limits.length, limits.placement):
            break
        for option in _options(entry, listed, changed, wanted, limits.length):
            if not _is_allowed(len(changed) + 1, len(option), limits.placement):
                continue
            after = limits.strains(option)
            # No limit is to be broken by more than it was.
            if all(one >= other for one, other in zip(strains, after, strict=True)):
                listed, strains = option, after
                changed.append(entry)
                break
    return listed, changed


def _options(
    entry: Entry, listed: list[Entry], changed: list[Entry], wanted: set[object], length: int
) -> Iterator[list[Entry]]:
    """Lists with one entry more, or one instead of another, the best first."""
    # The same item as a plain one cannot stay beside it.
    same = [each for each in listed if entry.way is each.way and each.target == entry.target]
    if not same and len(listed) < length:
        yield [*listed, entry]
    free = [each for each in reversed(same or listed) if not each.is_placed]
    for is_wanted in (False, True):
        for other in free:
            if (other.key in wanted) is is_wanted and other not in changed:
                yield [entry if each is other else each for each in listed]


def _in_place(listed: list[Entry], changed: list[Entry]) -> list[Entry]:
    """What rules placed and what is changed at its own position, the rest around it in order."""
    slots: list[Entry | None] = [None] * len(listed)
    held = [each for each in listed if each.is_placed]
    for entry in (*held, *changed):
        free = [place for place, each in enumerate(slots) if each is None]
        slots[min(free, key=lambda place: abs(place + 1 - entry.position))] = entry
    rest = [each for each in listed if not each.is_placed and each not in changed]
    flow = iter(sorted(rest, key=lambda each: each.position))
    return [next(flow) if entry is None else entry for entry in slots]


class _Rows(NamedTuple):
    """The rows of both lists, the personal ones first, and how many these are."""

    ranking: Ranking
    first: int


def _made(entries: Sequence[Entry], chosen: Chosen, default: Chosen, rows: _Rows) -> Chosen:
    """What these entries of both lists come to."""
    first = rows.first
    listed = [entry for entry in entries if entry.way is None]
    ranking = rows.ranking.take([entry.row for entry in listed])
    is_one_scale = len({entry.row < first for entry in listed}) < 2
    if not is_one_scale:
        # Two scales: no score is above the one before it.
        ranking = replace(ranking, scores=np.minimum.accumulate(ranking.scores))
    by_rules = dict(chosen.arrangement.placed)
    by_rules |= {first + row: name for row, name in default.arrangement.placed.items()}
    return replace(
        chosen,
        arrangement=Arrangement(
            ranking,
            {at: by_rules[each.row] for at, each in enumerate(listed) if each.is_placed},
            is_one_scale=is_one_scale,
        ),
        kinds={int(each.target): each.kind for each in listed if each.kind != ITEM},  # type: ignore[arg-type]
        ways=tuple(
            entry.way._replace(rank=position)
            for position, entry in enumerate(entries, start=1)
            if entry.way is not None
        ),
    )


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
    arrangement, own = made.arrangement, {entry.target for entry in changed if entry.way is None}
    items: list[int] = arrangement.ranking.item_idx.tolist()
    rows = {row for row, item in enumerate(items) if item in own}
    if most_of_each or chosen.active.of(ConstraintRule):
        return replace(arrangement, replaceable=rows)
    below = chosen.arrangement.ranking.joined(chosen.arrangement.spare)
    known = {*items, *(entry.target for entry in theirs if entry.way is None), *chosen.kinds}
    ranked = enumerate(below.item_idx.tolist())
    spare = list(islice((row for row, item in ranked if item not in known), chosen.explore.reach))
    return replace(arrangement, replaceable=rows, spare=below.take(spare))


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a list must keep to, whatever it is mixed from.

    Parameters
    ----------
    length
        Entries asked for.
    quotas
        Constraints over the rows of both lists.
    """

    length: int
    placement: Placement
    quotas: tuple[Quota, ...]

    @classmethod
    def of(
        cls, chosen: Chosen, rows: Ranking, placement: Placement, most_of_each: Mapping[str, int]
    ) -> _Limits:
        active = chosen.active
        active = replace(active, rules=(*active.rules, *share_limits(most_of_each)))
        quotas = tuple(quotas_of(active, rows.item_idx))
        return cls(active.query.limit, placement, quotas)

    def strains(self, entries: Sequence[Entry]) -> list[int]:
        """By how much each limit is broken."""
        kinds = [entry.kind for entry in entries if entry.way is None]
        found = [max(0, kinds.count(kind) - most) for kind, most in self.placement.at_most.items()]
        found.append(max(0, len(entries) - len(kinds) - self.placement.navigation))
        return [*found, *self._of_quotas(entries)]

    def _of_quotas(self, entries: Sequence[Entry]) -> Iterator[int]:
        rows = [entry.row for entry in entries if entry.way is None] if self.quotas else []
        for quota in self.quotas:
            counted = replace(quota, counts=Counter())
            for row in rows:
                counted.count(row)
            most = MAX_LIMIT if counted.at_most is None else counted.at_most
            yield counted.missing + sum(max(0, each - most) for each in counted.counts.values())
