"""What rules did to a list, item by item: kept only where somebody asks for an explanation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Move:
    """One item that one rule moved.

    Parameters
    ----------
    from_position, to_position
        Before and after this rule, 1-based. None before: no source had proposed it; None after:
        the rule took it out of the list.
    """

    rule: str
    item_idx: int
    from_position: int | None
    to_position: int | None


@dataclass(slots=True)
class Trace:
    """Moves in the order in which the rules were applied."""

    moves: list[Move] = field(default_factory=list)

    def reordered(
        self, rule: str, before: Sequence[int], after: Sequence[int], about: Iterable[int]
    ) -> None:
        """Note where the items of `about` stood in two orders of the same item indices."""
        was = {item: position for position, item in enumerate(before, start=1)}
        now = {item: position for position, item in enumerate(after, start=1)}
        for item in about:
            if was[item] != now[item]:
                self.moves.append(Move(rule, item, was[item], now[item]))
