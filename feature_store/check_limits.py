"""The limits of the data gates, and how they are read from a mapping."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from recommender.errors import ConfigError


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """When a day is not fit to learn from. Shares are of the day's rows unless said, 0 to 1.

    Parameters
    ----------
    max_age_hours
        Age of the newest event.
    max_volume_change
        Relative distance of the day's events from the median of the days before.
    max_null_share_rise
        How much more of a column may be null than in the median of the days before.
    max_missing_item_share
        Share of views, carts, purchases and the like that name no item.
    max_duplicate_share
        Rows that repeat another of the same second in everything but the event id (a tag that fires
        twice).
    max_top_item_share
        Share of one item among the rows that name an item.
    max_new_item_share, max_new_visitor_share
        Share of the day's items and visitors that the days before do not know.
    max_out_of_range_share
        Rows with a price, quantity or value outside the range, or a time outside the day.
    max_unknown_item_share
        Rows of items that the shop's catalogue file does not name.
    max_price, max_quantity
        Ends of the ranges; both begin at 0.
    trailing_days
        Days before, to compare with.
    min_trailing_days
        Of these, stored days needed for a comparison.
    min_rows
        Rows needed before a share means something.
    """

    max_age_hours: float = 48.0
    max_volume_change: float = 0.5
    max_null_share_rise: float = 0.2
    max_missing_item_share: float = 0.05
    max_duplicate_share: float = 0.05
    max_top_item_share: float = 0.25
    max_new_item_share: float = 0.5
    max_new_visitor_share: float = 0.98
    max_out_of_range_share: float = 0.001
    max_unknown_item_share: float = 0.1
    max_price: float = 1e6
    max_quantity: float = 1e6
    trailing_days: int = 28
    min_trailing_days: int = 3
    min_rows: int = 50

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value) or value < 0:
                raise ConfigError(f"{field.name}={value!r}; accepted: a finite number from 0")
        if not 1 <= self.min_trailing_days <= self.trailing_days:
            raise ConfigError(
                f"min_trailing_days={self.min_trailing_days}; accepted: 1 to "
                f"trailing_days={self.trailing_days}"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> CheckLimits:
        """Limits with some of the defaults replaced. Raises `ConfigError` on anything unknown."""
        kinds = {field.name: type(field.default) for field in fields(cls)}
        for name, value in values.items():
            if name not in kinds:
                raise ConfigError(f"check limit {name!r}; accepted: {', '.join(kinds)}")
            if isinstance(value, bool) or not isinstance(value, int | kinds[name]):
                raise ConfigError(f"{name}={value!r}; accepted: {kinds[name].__name__}")
        return cls(**values)  # type: ignore[arg-type]  # names and types were just checked
