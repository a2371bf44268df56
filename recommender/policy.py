"""Which of the ranked items are shown, in which order, and with what probability."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from recommender.explore_settings import NO_EXPLORATION, ExploreSettings
from recommender.listing import NO_LISTING, Listing
from recommender.placements import MAX_LIMIT


class Choice(NamedTuple):
    """One slot: a row of the ranking, and its probability given the slots above, in (0, 1].

    Rows from the length of the ranking on are those of `Leeway.spare`.
    """

    row: int
    propensity: float


@dataclass(frozen=True, slots=True)
class Leeway:
    """What of a ranking may be left to chance, so that no promise of the list is broken.

    Parameters
    ----------
    settings
        What the placement leaves to chance.
    fixed
        Rows that stay where they are: what rules placed, and what is not a plain item.
    replaceable
        Rows that an item from below the list may take the place of; None: all that are not fixed.
    spare
        Items that may be shown and are in no row of the ranking, best first.
    is_one_scale
        Scores of the ranking are of one scale, so that near-ties can be told.
    """

    settings: ExploreSettings = NO_EXPLORATION
    fixed: Set[int] = frozenset()
    replaceable: Set[int] | None = None
    spare: Listing = NO_LISTING
    is_one_scale: bool = True


NO_LEEWAY: Final = Leeway()


class SlatePolicy(Protocol):
    """Chooses a slate from a ranking."""

    @property
    def name(self) -> str:
        """Name in answers and decision records."""
        ...

    def choose(
        self, ranking: Listing, limit: int, leeway: Leeway, seed: int | None
    ) -> list[Choice]:
        """At most `limit` different rows, in the order shown.

        Parameters
        ----------
        seed
            Of what is left to chance; None: nothing is.
        """
        ...


@dataclass(frozen=True, slots=True)
class TopPolicy:
    """The best items in their order; nothing is left to chance, so every propensity is 1."""

    name: str = "top"

    def choose(
        self,
        ranking: Listing,
        limit: int,
        leeway: Leeway = NO_LEEWAY,  # noqa: ARG002 - part of the protocol
        seed: int | None = None,  # noqa: ARG002 - part of the protocol
    ) -> list[Choice]:
        """The first `limit` rows."""
        return [*first_rows(min(limit, len(ranking)))]


@lru_cache(maxsize=MAX_LIMIT + 1)
def first_rows(count: int) -> tuple[Choice, ...]:
    """So many rows, none of them left to chance."""
    return tuple([Choice(row, 1.0) for row in range(count)])
