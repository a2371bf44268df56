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

from collections.abc import Mapping, Sequence
from itertools import islice

from recommender.assembly import Chosen
from recommender.merchandising.arrangement import Arrangement
from recommender.merchandising.shop_rules import ConstraintRule
from recommender.mixing import Entries, Limits, Mix, most_changed
from recommender.navigation import Way
from recommender.placements import Placement
from recommender.terms import ITEM


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
    entries = Entries(chosen, default)
    keys, mine, share = entries.keys, entries.mine, placement.max_changed_share
    known = {*keys[len(mine) :]}
    new = [entry for entry in mine if keys[entry] not in known]
    stands = not entries.theirs or len(new) <= most_changed(len(mine), placement)
    if share and stands:
        listed, changed = [*mine], new
    else:
        limits = Limits(chosen.active, entries, placement, most_of_each)
        mix = Mix(entries, limits)
        mix.bring_in(new)
        listed, changed = mix.in_place(), mix.changed
    arrangement = _arranged(listed, entries)
    if not chosen.explore.is_idle:
        arrangement = _open(arrangement, chosen, entries, changed, most_of_each)
    kinds, ways = _labels(listed, entries)
    return chosen.over(arrangement, kinds, ways), len(changed) / max(len(listed), 1)


def _arranged(listed: Sequence[int], entries: Entries) -> Arrangement:
    """The items among these entries of both lists."""
    ways, placed = entries.ways, entries.placed
    items = [entry for entry in listed if entry not in ways] if ways else listed
    rows = [entries.rows[entry] for entry in items]
    listing = entries.items.take(rows)
    is_one_scale = not rows or (min(rows) < entries.first_row) is (max(rows) < entries.first_row)
    if not is_one_scale:
        listing = listing.falling()  # two scales: no score is above the one before it
    if placed:
        placed = {at: placed[entry] for at, entry in enumerate(items) if entry in placed}
    return Arrangement(listing, placed, is_one_scale=is_one_scale)


def _labels(listed: Sequence[int], entries: Entries) -> tuple[dict[int, str], tuple[Way, ...]]:
    """The kinds of the items among these entries that are not plain ones, and the ways."""
    kinds, ways = dict[int, str](), list[Way]()
    for position, entry in enumerate(listed, start=1):
        if entries.sorts[entry] == ITEM:
            continue
        if (target := entries.targets[entry]) is None:
            ways.append(entries.ways[entry]._replace(rank=position))
        else:
            kinds[target] = entries.sorts[entry]
    return kinds, tuple(ways)


def _open(
    arrangement: Arrangement,
    chosen: Chosen,
    entries: Entries,
    changed: Sequence[int],
    most_of_each: Mapping[str, int],
) -> Arrangement:
    """Leaves it to chance to show other personal items in the places of changed ones.

    So as many entries are changed as before.
    """
    targets, listing, spare = entries.targets, arrangement.listing, arrangement.spare
    own = {targets[entry] for entry in changed}
    rows = {row for row, item in enumerate(listing.items) if item in own}
    if not (most_of_each or chosen.active.of(ConstraintRule)):
        below = chosen.arrangement.listing.joined(chosen.arrangement.spare)
        known = {*listing.items, *targets[len(entries.mine) :], *chosen.kinds}
        others = (row for row, item in enumerate(below.items) if item not in known)
        spare = below.take(islice(others, chosen.explore.reach))
    return Arrangement(listing, arrangement.placed, spare, rows, arrangement.is_one_scale)
