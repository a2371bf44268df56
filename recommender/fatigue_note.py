"""What fatigue did to one answer: for explanations and decision records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple


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
    changes
        Items that were or are among the first of the ranking, and that went down or away.
    """

    acted: str | None = None
    is_suppressed: bool = False
    gain: float = 1.0
    changes: tuple[FatigueChange, ...] = ()

    @property
    def counts(self) -> tuple[tuple[str, int], ...]:
        """How often each thing acted, by name: what a decision record keeps."""
        counts: dict[str, int] = {self.acted: 1} if self.acted else {}
        for change in self.changes:
            name = change.cap or "discount"
            counts[name] = counts.get(name, 0) + 1
        return tuple(sorted(counts.items()))


UNTIRED: Final = Fatigue()
