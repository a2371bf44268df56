"""What anybody would be shown at a place, kept: it is asked for beside nearly every personal list.

Kept is the list with room to spare, of a question that has nothing personal in it. What one shopper
may not be shown, or rests for them, is taken out, and what stands below moves up; only where too
little is left is the list made anew. A list that the shop's rules have ordered goes by all that
they looked at: it stands as it is where all of that may be shown, else it is made anew.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from recommender.assembly import Chosen
from recommender.merchandising.active import NO_RULES
from recommender.merchandising.arrangement import Arrangement
from recommender.merchandising.shop_rules import ShopRule
from recommender.placements import Placement
from recommender.query import Query
from recommender.rules import Eligibility
from recommender.terms import BoolArray, Int32Array

SPARE: Final = 100
"""Items below a list that are kept with it."""
_UNTOLD: Final = Eligibility(np.empty(0, np.bool_), (), 0)


@dataclass(frozen=True, slots=True)
class DefaultList:
    """A list that is the same for everybody.

    Parameters
    ----------
    chosen
        Its list goes on below what is shown. What was eligible is not kept with it.
    is_whole
        Nothing stands below it.
    item_idx
        The items of the list, int32 (n,); where rules have ordered it, all that they looked at.
    """

    placement: Placement
    chosen: Chosen
    is_whole: bool
    item_idx: Int32Array

    @classmethod
    def of(cls, placement: Placement, chosen: Chosen, length: int) -> DefaultList:
        """The list of a placement, made with room for so many items."""
        items, looked_at = chosen.arrangement.listing.items, chosen.arrangement.looked_at
        item_idx = np.array(items, np.int32) if looked_at is None else looked_at
        # Masks of the whole catalogue are of no use any more, and would be most of what is kept.
        active = replace(chosen.active, bound=NO_RULES)
        bare = replace(chosen, active=active, eligibility=_UNTOLD)
        return cls(placement, bare, len(items) < length, item_idx)

    def without(self, open_items: BoolArray) -> Chosen | None:
        """The list of these items alone; None where more of the ranking would be needed.

        Parameters
        ----------
        open_items
            What may be shown to the one who asks, bool (items,).
        """
        chosen, limit = self.chosen, self.chosen.active.query.limit
        if chosen.arrangement.looked_at is not None:
            return chosen if open_items[self.item_idx].all() else None
        rows: list[int] = np.flatnonzero(open_items[self.item_idx])[:limit].tolist()
        if len(rows) < limit and not self.is_whole:
            return None
        listing = chosen.arrangement.listing
        is_head = not rows or rows[-1] == len(rows) - 1
        # Nothing but the listing is kept of an arrangement: no rule has ordered it.
        return chosen.over(Arrangement(listing.first(len(rows)) if is_head else listing.take(rows)))


def question_of(
    anybody: Query, placement: Placement, rules: tuple[ShopRule, ...] = ()
) -> Hashable | None:
    """What tells questions of nobody in particular apart; None where the list is not to be kept.

    Device, language and currency are looked at by the shop's rules only.

    Parameters
    ----------
    rules
        Those that hold for it.
    """
    if anybody.filter or anybody.exclude_items or anybody.diversity:
        return None
    by_rules: Hashable = None
    if rules:  # the list that is kept holds them, so that no other rule can have their numbers
        numbers = tuple([id(rule) for rule in rules])
        by_rules = (numbers, anybody.device, anybody.locale, anybody.currency)
    return (
        id(placement),
        anybody.limit,
        anybody.context_items,
        anybody.category,
        anybody.kinds,
        anybody.page_type,
        by_rules,
    )
