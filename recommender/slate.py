"""What is answered: an ordered, labelled list, and the scored candidates it was chosen from."""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class SlateItem:
    """One recommended item.

    Parameters
    ----------
    position
        1-based.
    kind
        What sort of suggestion it is; ``"item"`` for a plain one.
    source
        Candidate source that contributed most to the score.
    reason
        Neutral code, never an inference about a person.
    propensity
        Probability that the policy puts this item here given the slots above, in (0, 1].
    """

    item_id: str
    position: int
    score: float
    kind: str
    source: str
    reason: str
    propensity: float


@dataclass(frozen=True, slots=True)
class Slate:
    """One answer.

    Parameters
    ----------
    fallback_level
        The rung of `recommender.terms.LADDER` that the first item came from.
    policy
        Name of the policy that ordered it.
    eligible_count
        Items left after rules and filters, of the whole catalogue.
    filters
        How many catalogue items each rule or filter took away, by name.
    candidates
        The best scored candidates the policy chose from, as (item_id, score), best first.
    pace
        At which pace the visit goes, as far as it is known.
    style
        What that changed in this list.
    """

    items: tuple[SlateItem, ...]
    fallback_level: str
    policy: str
    eligible_count: int
    filters: tuple[tuple[str, int], ...] = ()
    candidates: tuple[tuple[str, float], ...] = ()
    pace: Pace = UNKNOWN_PACE
    style: PaceStyle = NEUTRAL
