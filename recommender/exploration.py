"""The best items in their order, but for what a placement leaves to chance; docs/off-policy.md.

Notation, for a list of n items with the rows r = 0..n-1 of a ranking, below which the rows n..m-1
may be shown as well (`reach` of them at most):

*Exploring slot.* One row e of the list has a slot of its own. The slot shows e with probability
1 - ε, and each of the a rows below the list that were not drawn into a slot above with ε / a; e
with 1 where there are none.

*Near-ties.* The other slots are filled from the rows that wait, in their order. The first that
waits, h, and those behind it without a break whose score s lies at most `gap` from s(h) and that
came from the same rung are near-ties; each is drawn with

    p(r) = exp((s(r) - max s) / T) / Σ exp((s - max s) / T),     T = `temperature`,

which is Plackett and Luce's model, cut off at the gap. What is not drawn waits for the next slot,
at the same place.

Rows that must stay stand in their slots with probability 1. So each p is that of an item in its
slot *given the slots above*, in closed form, and their product is that of the whole list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from recommender.draws import Draws
from recommender.listing import Listing
from recommender.policy import Choice, Leeway, TopPolicy, first_rows

_TOP = TopPolicy()


class Slots:
    """The slots of one list while it is filled: what the next one may show, and how likely.

    Parameters
    ----------
    limit
        List length asked for.
    """

    def __init__(self, ranking: Listing, limit: int, leeway: Leeway) -> None:
        settings, own = leeway.settings, len(ranking)
        self.length = min(limit, own)
        self._settings = settings
        self._origins = ranking.origins
        end = min(self.length + settings.reach, own + len(leeway.spare))
        self._below = [row for row in range(self.length, end) if row not in leeway.fixed]
        self._exploring = self._exploring_row(leeway)
        self._waiting: list[int] = []
        if settings.has_swaps and leeway.is_one_scale:
            stays = leeway.fixed | {self._exploring}
            self._waiting = [row for row in range(min(end, own)) if row not in stays]
        self._moves = set(self._waiting)
        self._scores = ranking.scores

    def _exploring_row(self, leeway: Leeway) -> int:
        """The last row that may be replaced, up to the slot that is set; -1: none."""
        if not (self._settings.has_slot and self._below):
            return -1
        last = min(self._settings.position or self.length, self.length)
        for row in reversed(range(last)):
            is_open = leeway.replaceable is None or row in leeway.replaceable
            if is_open and row not in leeway.fixed:
                return row
        return -1

    def open(self) -> list[int]:
        """The slots in which chance may take part, in their order; all others show their row."""
        own = {self._exploring} if self._exploring >= 0 else set()
        return sorted(own.union(slot for slot in self._moves if slot < self.length))

    def options(self, slot: int) -> list[Choice]:
        """What the slot may show, given those above it, each with p > 0; slots from 0."""
        if slot == self._exploring:
            return self._explored()
        if slot not in self._moves:
            return [Choice(slot, 1.0)]
        return self._near_ties()

    def drawn(self, slot: int, draws: Draws) -> Choice:
        """What the slot shows; nothing is drawn where it may show one thing only."""
        stays = 1 - self._settings.epsilon
        if slot == self._exploring and self._below and stays > 0:
            uniform = draws.uniform()
            # It mostly stays, and then the others need not be looked at.
            return Choice(slot, stays) if uniform < stays else drawn(self._explored(), uniform)
        options = self.options(slot)
        return options[0] if len(options) == 1 else drawn(options, draws.uniform())

    def take(self, row: int) -> None:
        """The slot shows this row."""
        if row in self._moves:
            self._waiting.remove(row)
        if row >= self.length:
            self._below.remove(row)

    def _explored(self) -> list[Choice]:
        row, epsilon = self._exploring, self._settings.epsilon
        if not self._below:
            return [Choice(row, 1.0)]
        each = epsilon / len(self._below)
        stays = [Choice(row, 1 - epsilon)] if epsilon < 1 else []
        return stays + [Choice(other, each) for other in self._below]

    def _near_ties(self) -> list[Choice]:
        head, origins, scores = self._waiting[0], self._origins, self._scores
        gap, level = self._settings.gap, origins[head].level
        tied = [head]
        for row in self._waiting[1:]:
            if abs(scores[row] - scores[head]) > gap or origins[row].level != level:
                break
            tied.append(row)
        if len(tied) == 1:
            return [Choice(head, 1.0)]
        return softmax(tied, [scores[row] for row in tied], self._settings.temperature)


def softmax(rows: Sequence[int], scores: Sequence[float], temperature: float) -> list[Choice]:
    """Each row with a probability that rises with its score; without rows that are never drawn."""
    best = max(scores)
    weights = [exp((score - best) / temperature) for score in scores]
    total = sum(weights)
    return [
        Choice(row, weight / total)
        for row, weight in zip(rows, weights, strict=True)
        if weight / total > 0
    ]


def drawn(options: Sequence[Choice], uniform: float) -> Choice:
    """The option at which the sum of the probabilities passes a number in [0, 1)."""
    passed = 0.0
    for option in options:
        passed += option.propensity
        if uniform < passed:
            return option
    return options[-1]


@dataclass(frozen=True, slots=True)
class ExploringPolicy:
    """The best items in their order, but for what the placement leaves to chance."""

    name: str = "top"

    def choose(
        self, ranking: Listing, limit: int, leeway: Leeway, seed: int | None
    ) -> list[Choice]:
        """The rows of the list; the same seed gives the same."""
        if seed is None or leeway.settings.is_idle:
            return _TOP.choose(ranking, limit)
        slots, draws = Slots(ranking, limit, leeway), Draws(seed)
        chosen = [*first_rows(slots.length)]
        for slot in slots.open():
            chosen[slot] = slots.drawn(slot, draws)
            slots.take(chosen[slot].row)
        return chosen


def likelihood(ranking: Listing, limit: int, leeway: Leeway, rows: Sequence[int]) -> list[float]:
    """With which probability `ExploringPolicy` shows these rows, slot by slot given those above.

    Zeros from the first slot on that cannot show its row.
    """
    slots, found = Slots(ranking, limit, leeway), list[float]()
    for slot, row in enumerate(rows[: slots.length]):
        options = {choice.row: choice.propensity for choice in slots.options(slot)}
        if row not in options:
            break
        slots.take(row)
        found.append(options[row])
    return found + [0.0] * (len(rows) - len(found))
