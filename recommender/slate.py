"""What is answered: an ordered, labelled list, and the scored candidates it was chosen from."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from recommender.explore_settings import NO_EXPLORATION, ExploreSettings
from recommender.fatigue_note import UNTIRED, Fatigue
from recommender.pace import UNKNOWN_PACE, Pace
from recommender.pace_table import NEUTRAL, PaceStyle
from recommender.terms import Float32Array, Int32Array


@dataclass(frozen=True, slots=True)
class ScoredItems:
    """Items with scores, best first.

    Parameters
    ----------
    item_idx
        int32 (n,), no item twice.
    scores
        float32 (n,), finite, falling.
    """

    item_idx: Int32Array
    scores: Float32Array

    def __len__(self) -> int:
        return len(self.item_idx)


class SlateItem(NamedTuple):
    """One recommended item; a tuple, because every answer makes a dozen of them.

    Parameters
    ----------
    position
        1-based, counted over items and ways together.
    kind
        What sort of suggestion it is, of `recommender.terms.ITEM_KINDS`.
    source
        Candidate source that contributed most to the score.
    reason
        Neutral code, never an inference about a person.
    propensity
        Probability that the policy puts this item here given the slots above, in (0, 1].
    promotion
        Name of the shop's promotion that brought it in; None for all others.
    acceptance
        Predicted probability that it is taken up once it was shown; None where nothing was learnt.
    team, competitive
        Of an interleaved list, see `recommender.interleaving`; None elsewhere.
    """

    item_id: str
    position: int
    score: float
    kind: str
    source: str
    reason: str
    propensity: float
    promotion: str | None = None
    acceptance: float | None = None
    team: str | None = None
    competitive: bool | None = None


class SlateWay(NamedTuple):
    """A suggestion where to go instead of what to look at.

    Parameters
    ----------
    kind
        Of `recommender.terms.NAVIGATION_KINDS`.
    target
        Category path or search term; None for the checkout.
    position, score, reason, propensity
        As those of `SlateItem`.
    worth
        Discounted purchases that go this way, per moment like this one; see
        `recommender.navigation`.
    """

    kind: str
    target: str | None
    position: int
    score: float
    reason: str
    propensity: float
    worth: float


@dataclass(frozen=True, slots=True)
class Explored:
    """What chance may have done to a list; enough to do it again.

    Parameters
    ----------
    seed
        Of the draws.
    slots
        Positions in which chance took part.
    """

    settings: ExploreSettings = NO_EXPLORATION
    seed: int | None = None
    slots: tuple[int, ...] = ()


NOT_EXPLORED = Explored()


@dataclass(frozen=True, slots=True)
class Slate:
    """One answer.

    Parameters
    ----------
    items
        Items, in order of position; where a way stands between them its position is left out.
    ways
        Suggestions where to go, in order of position.
    fallback_level
        The most personal rung of `recommender.terms.LADDER` that an item came from; what rules
        placed counts where there is nothing else.
    policy
        Name of the policy that ordered it.
    eligible_count
        Items left after rules and filters, of the whole catalogue.
    filters
        How many catalogue items each rule or filter took away, by name.
    candidates
        The best scored candidates the policy chose from, as (item_id, score), best first.
    fatigue
        What rest, caps and budgets did.
    rules_version
        Version of the shop's rules that it was made under.
    pace
        At which pace the visit goes, as far as it is known.
    style
        What that changed in this list.
    changed_share
        Share of the list that differs from what anybody would have got, see `recommender.dose`;
        None where it was not looked at.
    explored
        What was left to chance.
    """

    items: tuple[SlateItem, ...]
    fallback_level: str
    policy: str
    eligible_count: int
    filters: tuple[tuple[str, int], ...] = ()
    candidates: tuple[tuple[str, float], ...] = ()
    fatigue: Fatigue = UNTIRED
    rules_version: str = ""
    ways: tuple[SlateWay, ...] = ()

    @property
    def entries(self) -> tuple[SlateItem | SlateWay, ...]:
        """Items and ways together, in order of position."""
        if not self.ways:
            return self.items
        return tuple(sorted((*self.items, *self.ways), key=attrgetter("position")))

    pace: Pace = UNKNOWN_PACE
    style: PaceStyle = NEUTRAL
    changed_share: float | None = None
    explored: Explored = NOT_EXPLORED
