"""What a shopper did in all, as a few numbers: what `recommender.stage` looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Counts and two moments, up to some moment of asking.

    Parameters
    ----------
    purchases
        Purchases, not their lines.
    kept_lines
        Lines bought less lines given back; may be negative where a refund came first.
    first_bought, last_bought
        Moments of the first and the last purchase, microseconds since the epoch; 0 without any.
    wishes, shares, reviews
        How often something was put on the wish-list, shared, reviewed.
    """

    purchases: int = 0
    kept_lines: int = 0
    first_bought: int = 0
    last_bought: int = 0
    wishes: int = 0
    shares: int = 0
    reviews: int = 0

    @property
    def kept_purchases(self) -> int:
        """Purchases of which something was kept, as far as counts can tell; not negative.

        As soon as fewer lines are left than purchases were made, the lines count.
        """
        return max(0, min(self.purchases, self.kept_lines))


NO_BEHAVIOUR: Final = Behaviour()
