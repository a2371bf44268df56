"""What fatigue did to one answer: for explanations and decision records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from recommender.exposures import Exposure
from recommender.ids import IdMap

CAPS: Final = (
    "brand_per_session",
    "category_per_session",
    "item_per_week",
    "item_per_session",
    "brand_share",
    "category_share",
)
"""What takes items away; the place in this tuple, counted from 1, is the cap's number."""


class FatigueChange(NamedTuple):
    """What happened to one item.

    Parameters
    ----------
    ignored
        Ignored exposures that are remembered.
    discount
        Of its strength, in (0, 1].
    before, after
        1-based ranks; `after` is None for an item that went away.
    cap
        What took it away; None where the discount alone acted.
    """

    item_id: str
    ignored: int
    discount: float
    before: int
    after: int | None
    cap: str | None


class Lowered(NamedTuple):
    """The items that went down or away, as numbers: every answer has some, few are explained.

    Parameters
    ----------
    ids
        Of the items.
    items
        Index of each.
    rows
        See `recommender.resting.Settled.changes`.
    ignored
        What was ignored.
    discounts
        Of each of that.
    """

    ids: IdMap
    items: Sequence[int]
    rows: Sequence[tuple[int, int, int, int]]
    ignored: Sequence[Exposure]
    discounts: Sequence[float]

    def changes(self) -> tuple[FatigueChange, ...]:
        """The same in words."""
        item_ids = self.ids.ids_at(self.items)
        return tuple(
            [
                FatigueChange(
                    item_id,
                    self.ignored[row].ignored if row >= 0 else 0,
                    self.discounts[row] if row >= 0 else 1.0,
                    place + 1,
                    after or None,
                    CAPS[cap - 1] if cap else None,
                )
                for item_id, (place, row, cap, after) in zip(item_ids, self.rows, strict=True)
            ]
        )


@dataclass(frozen=True, slots=True)
class Fatigue:
    """What fatigue did to one answer.

    Parameters
    ----------
    acted
        The budget that was spent, or ``min_gain``, where the answer is therefore the default list
        or empty; else None.
    is_suppressed
        The answer is empty on purpose.
    gain
        Share of its strength that the list kept, see `recommender.fatigue`; in 0..1.
    lowered
        Items that were or are among the first of the ranking, and that went down or away; None:
        there are none.
    """

    acted: str | None = None
    is_suppressed: bool = False
    gain: float = 1.0
    lowered: Lowered | None = None

    @property
    def changes(self) -> tuple[FatigueChange, ...]:
        """What happened to the items that went down or away."""
        return () if self.lowered is None else self.lowered.changes()

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """How often each thing acted, by name: what a decision record keeps."""
        counts: dict[str, int] = {self.acted: 1} if self.acted else {}
        for _, _, cap, _ in () if self.lowered is None else self.lowered.rows:
            name = CAPS[cap - 1] if cap else "discount"
            counts[name] = counts.get(name, 0) + 1
        return tuple(sorted(counts.items()))


UNTIRED: Final = Fatigue()
