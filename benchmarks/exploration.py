"""How well the draws of the exploration policy follow the probabilities that it logs.

``python -m benchmarks.exploration --draws 1000000`` draws lists under several settings and compares
how often each item stood in each slot, given the slots above, with the logged probabilities: one
chi² statistic per slot and list above it, added up per setting.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recommender.draws import seed_of
from recommender.exploration import ExploringPolicy, Slots
from recommender.explore_settings import ExploreSettings
from recommender.listing import Listing
from recommender.policy import Leeway
from recommender.ranking import Origin
from recommender.sample_ratio import chi_square_tail
from recommender.terms import PERSONALISED

SCORES = (1.0, 0.97, 0.95, 0.9, 0.89, 0.7, 0.69, 0.5, 0.3, 0.2)
LIMIT = 5
LEAST_EXPECTED = 5.0
SETTINGS = {
    "exploring slot": ExploreSettings(epsilon=0.05),
    "exploring slot 2": ExploreSettings(epsilon=0.4, position=2, reach=3),
    "near-ties": ExploreSettings(temperature=0.03, gap=0.06),
    "near-ties of the list": ExploreSettings(temperature=0.2, gap=1.0, reach=0),
    "both": ExploreSettings(epsilon=0.2, temperature=0.05, gap=0.12, reach=4),
}


@dataclass(frozen=True, slots=True)
class Fit:
    """How well draws follow their probabilities.

    Parameters
    ----------
    chi2, freedom
        Sum of the statistics of all slots, and its degrees of freedom.
    """

    name: str
    draws: int
    chi2: float
    freedom: int

    @property
    def p_value(self) -> float:
        """Probability of a sum so large by chance."""
        return chi_square_tail(self.chi2, self.freedom) if self.freedom else 1.0


def fits(draws: int, seed: int) -> Iterator[Fit]:
    """One fit per setting; decisions are seeded by their number."""
    for name, settings in SETTINGS.items():
        lists = Counter(_drawn(settings, f"{seed}/{name}/{number}") for number in range(draws))
        chi2, freedom = _chi2(lists, settings)
        yield Fit(name, draws, chi2, freedom)


def _ranking() -> Listing:
    n = len(SCORES)
    scores = np.array(SCORES, np.float32).tolist()
    return Listing([*range(n)], scores, [Origin("als", PERSONALISED)] * n)


_RANKING, _POLICY = _ranking(), ExploringPolicy()


def _drawn(settings: ExploreSettings, name: str) -> tuple[int, ...]:
    chosen = _POLICY.choose(_RANKING, LIMIT, Leeway(settings), seed_of(name))
    return tuple([choice.row for choice in chosen])


def _chi2(lists: Counter[tuple[int, ...]], settings: ExploreSettings) -> tuple[float, int]:
    """The sum over slots and what stood above; options too rare to tell are put together."""
    seen: dict[tuple[int, ...], Counter[int]] = {}
    for rows, count in lists.items():
        for slot, row in enumerate(rows):
            seen.setdefault(rows[:slot], Counter())[row] += count
    total, freedom = 0.0, 0
    for above, counts in seen.items():
        part, own = _chi2_of_slot(above, counts, settings)
        total, freedom = total + part, freedom + own
    return total, freedom


def _chi2_of_slot(
    above: tuple[int, ...], counts: Counter[int], settings: ExploreSettings
) -> tuple[float, int]:
    slots = Slots(_RANKING, LIMIT, Leeway(settings))
    for row in above:
        slots.take(row)
    n = counts.total()
    options = [(n * each.propensity, counts[each.row]) for each in slots.options(len(above))]
    if sum(observed for _, observed in options) != n:
        return math.inf, 1  # something was drawn that cannot be
    cells = [cell for cell in options if cell[0] >= LEAST_EXPECTED]
    rare = [cell for cell in options if cell[0] < LEAST_EXPECTED]
    if sum(expected for expected, _ in rare) >= LEAST_EXPECTED:
        cells.append((sum(cell[0] for cell in rare), sum(cell[1] for cell in rare)))
    elif rare:
        return 0.0, 0
    return sum((observed - e) ** 2 / e for e, observed in cells), len(cells) - 1


def main() -> None:
    """Print one line per setting; ends with 1 where a fit is as bad as one in a thousand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1_000_000, help="lists per setting")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    is_good = True
    print(f"{'setting':24}{'lists':>10}{'chi2':>12}{'df':>7}{'p':>9}")
    for fit in fits(given.draws, given.seed):
        line = f"{fit.name:24}{fit.draws:>10,}{fit.chi2:>12.1f}{fit.freedom:>7}{fit.p_value:>9.4f}"
        print(line, flush=True)
        is_good &= fit.p_value > 1e-3
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
