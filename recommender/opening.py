"""What an answer starts from: who asks, as far as that may count, and what there is to show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from recommender.fatigue import Weariness
from recommender.merchandising.active import ActiveRules
from recommender.pace import Pace
from recommender.pace_table import PaceStyle
from recommender.placements import Placement
from recommender.query import Query
from recommender.rules import Eligibility
from recommender.seeds import Seeds
from recommender.slate import ScoredItems
from recommender.terms import BoolArray


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known, what may be shown, and what the sources propose.

    Parameters
    ----------
    query
        With what may take part, as long a list as the pace allows.
    placement
        As it is at the shopper's stage.
    eligibility
        What may be shown.
    level
        Rung of the ladder of what is proposed.
    """

    query: Query
    placement: Placement
    pace: Pace
    style: PaceStyle
    active: ActiveRules
    eligibility: Eligibility
    level: str
    seeds: Seeds
    weary: Weariness
    proposed: Mapping[str, ScoredItems]

    def asking(self, query: Query) -> Opening:
        """The same for another length of the list."""
        return self if query is self.query else replace(self, query=query)

    @property
    def open_items(self) -> BoolArray:
        """Items that may be shown and do not rest, whatever their kind, bool (items,)."""
        return self.weary.showable(self.weary.open_to(self.eligibility.mask))
