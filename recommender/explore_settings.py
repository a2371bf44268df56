"""How much of a placement's lists is left to chance. Read with the placements from TOML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from recommender.errors import ConfigError

NO_SCHEME: Final = "none"
SLOT, NEAR_TIES = "slot", "near_ties"
MOST_REACH: Final = 100

_RANGES: Final = {
    "epsilon": (0.0, 1.0),
    "position": (0, 100),
    "reach": (0, MOST_REACH),
    "temperature": (0.0, 1e6),
    "gap": (0.0, 1e6),
}


@dataclass(frozen=True, slots=True)
class ExploreSettings:
    """What one placement leaves to chance; the defaults leave nothing.

    Parameters
    ----------
    epsilon
        Probability that the exploring slot shows a candidate from below the list.
    position
        The exploring slot, counted over the items of the list from 1; 0: the last one.
    reach
        How many of the candidates below the list may be drawn, best first.
    temperature
        Of the swaps of near-ties, in units of the score: an item whose score lies one temperature
        below another's is drawn e times less often. 0: no swaps.
    gap
        Items are near-ties whose score lies at most this far from that of the best one left.
    """

    epsilon: float = 0.0
    position: int = 0
    reach: int = 20
    temperature: float = 0.0
    gap: float = 0.0

    def __post_init__(self) -> None:
        for part, (low, high) in _RANGES.items():
            if not low <= getattr(self, part) <= high:
                raise ConfigError(
                    f"explore: {part}={getattr(self, part)}; accepted: {low:g} to {high:g}"
                )

    @property
    def has_slot(self) -> bool:
        """Whether one slot may show what stands below the list."""
        return self.epsilon > 0 and self.reach > 0

    @property
    def has_swaps(self) -> bool:
        """Whether near-ties may change places."""
        return self.temperature > 0 and self.gap > 0

    @property
    def is_idle(self) -> bool:
        """Nothing is left to chance."""
        return not (self.has_slot or self.has_swaps)

    @property
    def scheme(self) -> str:
        """Name of what is left to chance, for decision records."""
        parts = ((SLOT, self.has_slot), (NEAR_TIES, self.has_swaps))
        return "+".join(name for name, is_on in parts if is_on) or NO_SCHEME


NO_EXPLORATION: Final = ExploreSettings()
