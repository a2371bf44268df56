"""Whether tests are read truly, on simulated shoppers with a known truth.

Run ``python -m benchmarks.experiments``; the table goes to standard error, with ``--json`` one JSON
object to standard output. Exit code 1 where a figure is not what is accepted. Everything follows
from the seed.

1. A/A: of tests between equal arms about 5 % are below 0.05, in each kind of metric.
2. Sample ratio: alarms at sound tests, and at tests that lost 2 % of one arm.
3. Intervals that hold at every look: how many tests they cover at all looks, beside the
   intervals of one look.
4. Interleaving: no preference between equal rankers, and the better one preferred on either side.
5. Independence: of tests with different seeds, no two share more subjects' arms than chance has it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from feature_store.console import Console
from recommender.interleaving import fair_coin, team_draft
from recommender.many_buckets import buckets_of
from recommender.preference import Preference, credits_of, preference
from recommender.sample_ratio import sample_ratio
from recommender.terms import BoolArray, Float64Array
from training.evaluation.experiment.contrast import Sample, contrast
from training.evaluation.experiment.sequential import LEAST, half_width, tuned_rho

ALPHA: Final = 0.05
ARM: Final = 250_000
PLACES: Final = 10
ITEMS: Final = 40
ENDS: Final = ("low", "high")


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is simulated; the defaults are the full measurement."""

    same: int = 200
    same_shoppers: int = 4_000
    ratio: int = 20_000
    sequences: int = 1_000
    sequence_shoppers: int = 20_000
    lists: int = 4_000
    seeds: int = 50
    subjects: int = 100_000


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure beside what is accepted, both ends included."""

    name: str
    value: float
    low: float
    high: float

    @property
    def passed(self) -> bool:
        """Whether it is what is accepted."""
        return self.low <= self.value <= self.high


def same_arms(sizes: Sizes, rng: np.random.Generator) -> Iterator[Figure]:
    """Share of A/A tests below 0.05: a rare conversion, a heavy-tailed revenue, a ratio."""
    below: dict[str, list[bool]] = {}
    for _ in range(sizes.same):
        metrics = _shoppers(sizes.same_shoppers, rng)
        is_treated = rng.permutation(sizes.same_shoppers) % 2 == 0
        for name, sample in metrics.items():
            found = contrast(sample[~is_treated], sample[is_treated], 1 - ALPHA)
            below.setdefault(name, []).append(found is not None and found.p_value < ALPHA)
    for name, each in below.items():
        yield Figure(f"A/A tests below 0.05, {name}", float(np.mean(each)), 0.02, 0.08)


def _shoppers(n: int, rng: np.random.Generator) -> dict[str, Sample]:
    """Shoppers with a liking for buying that shows before the test as well."""
    liking = rng.gamma(0.5, 0.12, n)
    before, orders = rng.poisson(liking).astype(float), rng.poisson(liking).astype(float)
    spent = orders * rng.lognormal(3.0, 0.8, n)
    answers = 1.0 + rng.negative_binomial(1, 0.15, n)
    clicks = rng.binomial(answers.astype(np.int64), rng.beta(1.0, 12.0, n)).astype(float)
    return {
        "conversion": Sample((orders > 0).astype(float), None, before),
        "revenue": Sample(spent, None, before),
        "clicks per answer": Sample(clicks, answers),
    }


def ratio_alarms(sizes: Sizes, rng: np.random.Generator) -> Iterator[Figure]:
    """Alarms of the sample ratio at sound tests, and at tests that lost 2 % of one arm."""
    of_one = rng.binomial(2 * ARM, 0.5, sizes.ratio)
    yield Figure("sample ratio: false alarms", _alarms(of_one, 2 * ARM - of_one), 0.0, 0.005)
    left = rng.binomial(2 * ARM - of_one, 0.98)
    yield Figure("sample ratio: found 2 % lost in one arm", _alarms(of_one, left), 0.99, 1.0)


def _alarms(one: Sequence[int], other: Sequence[int]) -> float:
    weights = {"one": 0.5, "other": 0.5}
    found = (
        sample_ratio({"one": int(a), "other": int(b)}, weights).is_mismatch()
        for a, b in zip(one, other, strict=True)
    )
    return float(np.mean(list(found)))


def every_look(sizes: Sizes, rng: np.random.Generator) -> Iterator[Figure]:
    """Share of tests whose true difference is inside the interval at every look of the test."""
    always, once = [], []
    rho = tuned_rho(sizes.sequence_shoppers / 2, ALPHA)
    for _ in range(sizes.sequences):
        estimate, error, subjects, truth = _looks(sizes.sequence_shoppers, rng)
        gap = np.abs(estimate - truth)
        always.append(bool((gap <= half_width(error, subjects, rho, ALPHA)).all()))
        once.append(bool((gap <= NormalDist().inv_cdf(1 - ALPHA / 2) * error).all()))
    yield Figure("covered at every look", float(np.mean(always)), 0.95, 1.0)
    # Not a promise of ours: what looking again and again does to the other kind of interval.
    yield Figure("covered at every look, by intervals of one look", float(np.mean(once)), 0.0, 0.9)


def _looks(
    n: int, rng: np.random.Generator
) -> tuple[Float64Array, Float64Array, Float64Array, float]:
    """Difference, its standard error and the subjects so far at a hundred looks, and the truth."""
    is_treated = rng.uniform(size=n) < 0.5
    spent = rng.binomial(1, 0.1, n) * rng.lognormal(0.0, 0.5, n) + 0.01 * is_treated
    looks = np.unique(np.linspace(2 * LEAST, n, 100).astype(np.int64))
    (a, ma, va), (b, mb, vb) = (_so_far(spent, arm, looks) for arm in (~is_treated, is_treated))
    subjects = looks.astype(np.float64)
    return mb - ma, np.sqrt(va / a + vb / b), subjects, 0.01


def _so_far(
    values: Float64Array, arm: BoolArray, looks: np.ndarray
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Number, mean and variance of an arm's values up to each look."""
    number, total, squares = (
        np.cumsum(each)[looks - 1] for each in (arm, values * arm, values**2 * arm)
    )
    mean = total / number
    return number.astype(np.float64), mean, (squares / number - mean**2) * number / (number - 1)


def interleaving(sizes: Sizes, rng: np.random.Generator) -> Iterator[Figure]:
    """Preferences in standard errors; of equal rankers and of unequal ones, on either side."""
    worth = np.sort(rng.beta(1.0, 6.0, ITEMS))[::-1]
    good, poor = (_ranker(worth, noise) for noise in (0.02, 0.5))
    same = _preferred(worth, lambda draw: (one := good(draw), one), sizes.lists, rng)
    alike = _preferred(worth, lambda draw: (good(draw), good(draw)), sizes.lists, rng)
    ahead = _preferred(worth, lambda draw: (good(draw), poor(draw)), sizes.lists, rng)
    behind = _preferred(worth, lambda draw: (poor(draw), good(draw)), sizes.lists, rng)
    yield Figure("interleaving, s.e.: identical rankers", _errors(same), -3.0, 3.0)
    yield Figure("interleaving, s.e.: equally good rankers", _errors(alike), -3.0, 3.0)
    yield Figure("interleaving, s.e.: the better one first", _errors(ahead), 3.0, np.inf)
    yield Figure("interleaving, s.e.: the better one second", _errors(behind), -np.inf, -3.0)


Ranker = Callable[[np.random.Generator], list[str]]


def _ranker(worth: Float64Array, noise: float) -> Ranker:
    return lambda rng: [
        str(item) for item in np.argsort(-worth + rng.normal(0, noise, ITEMS))[:PLACES]
    ]


def _preferred(
    worth: Float64Array,
    rankings: Callable[[np.random.Generator], tuple[list[str], list[str]]],
    lists: int,
    rng: np.random.Generator,
) -> Preference:
    """Preference of shoppers who see one list each and click by worth and position.

    Every place counts, also those that are not competitive: identical rankers have no other.
    """
    credit = np.zeros((lists, 2))
    for shopper in range(lists):
        picks, _ = team_draft(*rankings(rng), PLACES, fair_coin(int(rng.integers(1 << 62))))
        chance = worth[[int(each.item_id) for each in picks]] / np.sqrt(1 + np.arange(len(picks)))
        clicks = (rng.uniform(size=len(picks)) < chance).astype(float).tolist()
        places = [(each.team, each.competitive) for each in picks]
        credit[shopper] = credits_of(places, clicks, competitive_only=False)
    return preference(credit[:, 0], credit[:, 1])


def _errors(found: Preference) -> float:
    return found.value / found.standard_error


def independence(sizes: Sizes, rng: np.random.Generator) -> Iterator[Figure]:
    """Chi-square of independence between the halves that each two seeds make of the same ids."""
    ids = [f"visitor-{number}" for number in rng.permutation(10 * sizes.subjects)[: sizes.subjects]]
    halves = np.array(
        [np.where(buckets_of(f"test-{seed}", ids) < 0.5, 1.0, -1.0) for seed in range(sizes.seeds)]
    )
    likeness = np.corrcoef(halves)[np.triu_indices(sizes.seeds, 1)]
    chi2 = sizes.subjects * likeness**2
    # One degree of freedom: its mean is 1, its variance 2.
    error = math.sqrt(2 / len(chi2))
    yield Figure(
        "pairs of seeds: mean chi-square", float(chi2.mean()), 1 - 3 * error, 1 + 3 * error
    )
    # Of so many pairs one in a thousand sets has one beyond.
    most = NormalDist().inv_cdf(1 - 0.001 / len(chi2) / 2) ** 2
    yield Figure("pairs of seeds: largest chi-square", float(chi2.max()), 0.0, most)


# Each takes a generator of its own, so that another one beside them changes no figure.
CHECKS: Final = (same_arms, ratio_alarms, every_look, interleaving, independence)


def measure(sizes: Sizes, seed: int) -> list[Figure]:
    """All figures, in order."""
    return [
        figure
        for number, check in enumerate(CHECKS)
        for figure in check(sizes, np.random.default_rng([seed, number]))
    ]


def main() -> None:
    """Measure, print, and say whether everything is accepted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(Sizes(), given.seed)
    Console().table("Tests read on simulated shoppers", [_row(each) for each in found])
    if given.json:
        figures = [_plain(each) for each in found]
        print(json.dumps({"seed": given.seed, "figures": figures}))
    sys.exit(0 if all(each.passed for each in found) else 1)


def _plain(figure: Figure) -> dict[str, object]:
    """As JSON has it: no bound where it is infinite."""
    bounds = {end: value if np.isfinite(value := getattr(figure, end)) else None for end in ENDS}
    return asdict(figure) | bounds | {"passed": figure.passed}


def _row(figure: Figure) -> dict[str, object]:
    return {
        "figure": figure.name,
        "value": f"{figure.value:.4f}",
        "accepted": f"{figure.low:g} to {figure.high:g}",
        "verdict": "accepted" if figure.passed else "NOT ACCEPTED",
    }


if __name__ == "__main__":
    main()
