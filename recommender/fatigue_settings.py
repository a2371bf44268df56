"""How much of what was ignored a placement may show again. Read with the placements from TOML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recommender.errors import ConfigError
from recommender.exposures import MOST_COUNTED

DEFAULT, EMPTY, IGNORE = "default", "empty", "ignore"
WHEN_SPENT: Final = (DEFAULT, EMPTY, IGNORE)
MOST_LISTS: Final = 40
"""As many lists as a visitor's state remembers."""

_RANGES: Final = {
    "rank_constant": (0, 1_000),
    "item_per_session": (0, MOST_COUNTED),
    "item_per_week": (0, MOST_COUNTED),
    "brand_share": (0, 1),
    "category_share": (0, 1),
    "brand_per_session": (0, 900),
    "category_per_session": (0, 900),
    "session_budget": (0, MOST_LISTS),
    "day_budget": (0, MOST_LISTS),
    "min_gain": (0, 1),
}


@dataclass(frozen=True, slots=True)
class FatigueSettings:
    """Rest, caps and budgets of one placement. Zeros and ones, as here, change nothing.

    Parameters
    ----------
    discount
        Whether ignored items go down by the learnt discount.
    rank_constant
        c of the strength 1 / (rank + c), see `recommender.fatigue`: the larger, the flatter, and
        the further an ignored item goes down.
    item_per_session, item_per_week
        An item ignored so often in the session, or in seven days, rests; 0: never.
    brand_share, category_share
        A list holds at most this share of the places asked for of one brand or category, but one.
    brand_per_session, category_per_session
        A brand or category whose items were ignored so often in the session rests; 0: never.
    session_budget, day_budget
        Lists that may be ignored in a session, or in 24 hours, since a suggestion was taken up
        last; then the budget is spent. 0: without end.
    when_spent
        What is answered then, and below `min_gain`: ``default`` (the ladder alone, impersonal but
        for rules and caps), ``empty``, or ``ignore`` (as if there were no budget and no threshold).
    min_gain
        Least share of its strength that a list must keep, 0 to 1; see `recommender.fatigue`.
    """

    discount: bool = False
    rank_constant: float = 10.0
    item_per_session: int = 0
    item_per_week: int = 0
    brand_share: float = 1.0
    category_share: float = 1.0
    brand_per_session: int = 0
    category_per_session: int = 0
    session_budget: int = 0
    day_budget: int = 0
    when_spent: str = DEFAULT
    min_gain: float = 0.0

    def __post_init__(self) -> None:
        for part, (low, high) in _RANGES.items():
            if not low <= getattr(self, part) <= high:
                raise ConfigError(
                    f"fatigue: {part}={getattr(self, part)}; accepted: {low} to {high}"
                )
        if self.when_spent not in WHEN_SPENT:
            raise ConfigError(f"fatigue: when_spent={self.when_spent!r}; accepted: {WHEN_SPENT}")

    @property
    def has_shares(self) -> bool:
        """Whether a list is mixed by brand or category."""
        return self.brand_share < 1 or self.category_share < 1


def most_of(share: float, limit: int) -> int:
    """Places of `limit` that one brand or category may take; at least one."""
    return max(1, int(share * limit + 1e-9))


NO_FATIGUE: Final = FatigueSettings()
