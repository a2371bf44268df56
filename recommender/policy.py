"""Which of the ranked items are shown, in which order, and with what probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from recommender.ranking import Ranking


@dataclass(frozen=True, slots=True)
class Choice:
    """One slot: a row of the ranking, and its probability given the slots above, in (0, 1]."""

    row: int
    propensity: float


class SlatePolicy(Protocol):
    """Chooses a slate from a ranking."""

    @property
    def name(self) -> str:
        """Name in answers and decision records."""
        ...

    def choose(self, ranking: Ranking, limit: int) -> list[Choice]:
        """At most `limit` different rows, in the order shown."""
        ...


@dataclass(frozen=True, slots=True)
class TopPolicy:
    """The best items in their order; nothing is left to chance, so every propensity is 1."""

    name: str = "top"

    def choose(self, ranking: Ranking, limit: int) -> list[Choice]:
        """The first `limit` rows."""
        return [Choice(row, 1.0) for row in range(min(limit, len(ranking)))]
