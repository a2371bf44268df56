"""Off-policy estimates on made-up lists whose true worth is known.

``python -m benchmarks.off_policy --runs 200``: in each run, lists are drawn by the exploration
policy of the service, shoppers react to them by known probabilities, and what another policy would
have earned is estimated from the log. Printed is the share of runs in which the estimate lies
within three of its standard errors of the truth, and what is said of a policy that the log cannot
tell anything about.

``--world shop`` takes the shoppers of the simulator instead, see `benchmarks.off_policy_shop`.

Reactions: item a in slot k of context c is taken up with probability worth[c, a] / (1 + k / 4),
times 0.6 where the item above it is of the same colour. So whole lists and RIPS are right, and an
estimator that takes slots for independent would not be.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.off_policy_shop import run_world
from recommender.draws import seed_of
from recommender.exploration import ExploringPolicy, likelihood
from recommender.explore_settings import ExploreSettings
from recommender.listing import Listing
from recommender.policy import Choice, Leeway
from recommender.ranking import Origin
from recommender.terms import PERSONALISED, Float64Array
from training.evaluation.off_policy import LoggedChoices, Verdict, judge
from training.evaluation.off_policy_slates import LoggedSlates, judge_slates

CONTEXTS, ITEMS, SLOTS, COLOURS = 6, 12, 4, 3
NEAR_TIES = ExploreSettings(temperature=0.1, gap=0.045, reach=0)
SLOT = ExploreSettings(epsilon=0.2, reach=4)
TARGET_EPSILON = 0.6
ENOUGH = 0.95
"""Share of the runs that must be within three standard errors."""
_POLICY = ExploringPolicy()


@dataclass(frozen=True, slots=True)
class World:
    """What is shown in which context, and what it is worth.

    Parameters
    ----------
    rankings
        One per context, ITEMS rows.
    worth
        Of each item (row of the ranking) in each context, float64 (CONTEXTS, ITEMS).
    colour
        int64 (ITEMS,).
    """

    rankings: tuple[Listing, ...]
    worth: Float64Array
    colour: tuple[int, ...]

    @classmethod
    def make(cls, seed: int) -> World:
        """A world in which neighbours are about as good."""
        rng = np.random.default_rng(seed)
        scores = 1 - np.cumsum(rng.uniform(0.01, 0.06, (CONTEXTS, ITEMS)), axis=1)
        worth = rng.uniform(0.05, 0.6, (CONTEXTS, ITEMS))
        rankings = tuple(_ranking(row) for row in scores)
        return cls(rankings, worth, tuple(rng.integers(COLOURS, size=ITEMS).tolist()))

    def taken_up(self, context: int, rows: Sequence[int]) -> list[float]:
        """Probability that each slot of a list is taken up."""
        above = (-1, *(self.colour[row] for row in rows))
        return [
            float(self.worth[context, row])
            / (1 + slot / 4)
            * (0.6 if self.colour[row] == above[slot] else 1.0)
            for slot, row in enumerate(rows)
        ]


def _ranking(scores: Float64Array) -> Listing:
    n, own = len(scores), scores.astype(np.float32).tolist()
    return Listing([*range(n)], own, [Origin("als", PERSONALISED)] * n)


def swapped(world: World, context: int) -> list[int]:
    """A list that the swaps of near-ties can make: pairs change places where they are close."""
    rows, leeway = list(range(SLOTS)), Leeway(NEAR_TIES)
    for first in range(0, SLOTS, 2):
        tried = list(rows)
        tried[first], tried[first + 1] = tried[first + 1], tried[first]
        if min(likelihood(world.rankings[context], SLOTS, leeway, tried)) > 0:
            rows = tried
    return rows


@dataclass(slots=True)
class Tally:
    """How the runs came out.

    Parameters
    ----------
    hits
        By estimator, whether each run was within three standard errors of the truth.
    errors
        By estimator, estimate less truth.
    """

    hits: dict[str, list[bool]] = field(default_factory=dict)
    errors: dict[str, list[float]] = field(default_factory=dict)
    ess: list[float] = field(default_factory=list)
    refused: int = 0

    def add(self, verdict: Verdict, truth: float) -> None:
        """Note one run."""
        self.ess.append(verdict.diagnosis.ess)
        self.refused += verdict.refusal is not None
        for each in verdict.estimates:
            error = each.value - truth
            self.hits.setdefault(each.name, []).append(abs(error) <= 3 * each.error)
            self.errors.setdefault(each.name, []).append(error)

    def share(self, name: str) -> float:
        """Share of the runs of an estimator that were close enough."""
        return float(np.mean(self.hits[name]))


def reordering(world: World, seed: int, lists: int) -> tuple[LoggedSlates, float]:
    """Lists with near-ties swapped, asked about fixed other lists; and the truth."""
    leeway, rng = Leeway(NEAR_TIES), np.random.default_rng(seed)
    targets = [swapped(world, context) for context in range(CONTEXTS)]
    reward, p, t = (np.zeros((lists, SLOTS)) for _ in range(3))
    for row, context, chosen in _logged(world, leeway, seed, lists):
        rows = [choice.row for choice in chosen]
        reward[row] = rng.uniform(size=SLOTS) < world.taken_up(context, rows)
        p[row] = [choice.propensity for choice in chosen]
        t[row] = np.equal(rows, targets[context])
    truth = np.mean([sum(world.taken_up(c, rows)) for c, rows in enumerate(targets)])
    return LoggedSlates(reward, p, t, np.zeros(lists)), float(truth)


def exploring_more(world: World, seed: int, lists: int) -> tuple[LoggedChoices, float]:
    """Lists with an exploring slot, asked what its slot would earn with another epsilon."""
    leeway, rng = Leeway(SLOT), np.random.default_rng(seed)
    reward, p, t, q = (np.zeros(lists) for _ in range(4))
    own, each = 1 - TARGET_EPSILON, TARGET_EPSILON / SLOT.reach
    # A model that knows the worth of items, but neither slots nor colours.
    options = [SLOTS - 1, *range(SLOTS, SLOTS + SLOT.reach)]
    odds = np.array([own, *(each,) * SLOT.reach])
    v = np.zeros(lists)
    for row, context, chosen in _logged(world, leeway, seed, lists):
        rows, last = [choice.row for choice in chosen], chosen[-1]
        reward[row] = rng.uniform() < world.taken_up(context, rows)[-1]
        p[row], t[row] = last.propensity, own if last.row == SLOTS - 1 else each
        q[row], v[row] = world.worth[context, last.row], odds @ world.worth[context, options]
    fixed = list(range(SLOTS - 1))
    truth = np.mean(
        [
            odds @ [world.taken_up(context, [*fixed, option])[-1] for option in options]
            for context in range(CONTEXTS)
        ]
    )
    return LoggedChoices(reward, p, t, q, v, np.zeros(lists)), float(truth)


def _logged(
    world: World, leeway: Leeway, seed: int, lists: int
) -> Iterator[tuple[int, int, list[Choice]]]:
    """Number, context and choices of each list."""
    for row in range(lists):
        context = row % CONTEXTS
        drawn = seed_of(f"{seed}/{row}")
        yield row, context, _POLICY.choose(world.rankings[context], SLOTS, leeway, drawn)


def simulate(runs: int, lists: int, seed: int) -> tuple[Tally, Tally]:
    """The runs of both questions, each with a world of its own."""
    slates, slot = Tally(), Tally()
    for run in range(runs):
        world = World.make(seed + run)
        log, truth = reordering(world, seed + run, lists)
        slates.add(judge_slates(log), truth)
        choices, truth = exploring_more(world, seed + run, lists)
        slot.add(judge(choices), truth)
    return slates, slot


def beyond_support(lists: int, seed: int) -> Verdict:
    """What is said of a policy that shows the worst items, which logging never does."""
    log, _ = reordering(World.make(seed), seed, lists)
    return judge_slates(LoggedSlates(log.reward, log.propensity, 0 * log.target, np.ones(lists)))


def simulate_shops(runs: int, shoppers: int, seed: int) -> dict[str, tuple[Tally, Tally]]:
    """By policy asked about: its lists slot by slot, and as one choice; each run in a new shop."""
    found: dict[str, tuple[Tally, Tally]] = {}
    for run in range(runs):
        for name, asked in run_world(seed + run, shoppers).items():
            slates, choices = found.setdefault(name, (Tally(), Tally()))
            slates.add(judge_slates(asked.slates), asked.truth)
            choices.add(judge(asked.choices), asked.truth)
    return found


def show(title: str, tally: Tally) -> bool:
    """Print how the runs came out; whether enough of them were close to the truth."""
    ess = np.mean(tally.ess)
    print(f"{title}: effective sample size, mean: {ess:.0f}; refused: {tally.refused}")
    is_good = bool(tally.hits)
    for name in tally.hits:
        bias, share = float(np.mean(tally.errors[name])), tally.share(name)
        runs = len(tally.hits[name])
        print(f"{name:26}within 3 s.e. {share:7.1%} of {runs}   mean error {bias:+.5f}")
        is_good &= name == "DM" or "clipped" in name or share >= ENOUGH
    return is_good


def main() -> int:
    """Print the shares; 1 where one is too low, or where nothing is refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", choices=["lists", "shop"], default="lists")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--lists", type=int, default=3000, help="lists per run")
    parser.add_argument("--shoppers", type=int, default=4000, help="of each shop")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.world == "shop":
        shops = simulate_shops(given.runs, given.shoppers, given.seed)
        good = [
            show(f"{name}, {way}", tally)
            for name, tallies in shops.items()
            for way, tally in zip(("slot by slot", "as one choice"), tallies, strict=True)
        ]
        return 0 if all(good) else 1
    slates, slot = simulate(given.runs, given.lists, given.seed)
    good = [show("near-ties", slates), show("exploring slot", slot)]
    refused = beyond_support(given.lists, given.seed)
    print(f"beyond the support: refused: {refused.refusal}")
    return 0 if all(good) and refused.refusal else 1


if __name__ == "__main__":
    sys.exit(main())
