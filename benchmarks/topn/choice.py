"""Settings chosen inside the training file: small grids, judged by the last part of each list.

The best nDCG@20 wins; of two equals the one that comes first in the grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from benchmarks.topn.lists import Pair
from benchmarks.topn.metric import Questions, Scorer
from benchmarks.topn.models import factor_model, linear_model
from recommender.errors import DataError
from recommender.terms import Float32Array, Int64Array
from training.models.als import factorise
from training.models.graph_filter import GraphFilter, Terms, fit_filter
from training.sections import AlsSpec, LinearSpec

USER_EXPONENTS = (0.3, 0.5)
POPULARITY_EXPONENTS = (0.25, 0.5)
SHARPNESS = (0.0, 0.25, 0.5, 0.75)
ALS_BASE = AlsSpec(factors=512, iterations=4, frequency_exponent=0.5)
ALS_GRID = ((10.0, 10.0), (50.0, 25.0), (50.0, 50.0))
"""alpha and regularization: what few pairs there are has to outweigh all that did not happen."""
WEIGHTS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Of the factor model, beside 1 for the linear one."""

K = 20
Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Chosen:
    """The settings that won, and what each of them reached on validation users."""

    linear: LinearSpec
    als: AlsSpec
    als_weight: float
    validation: Mapping[str, float]


def questions(pair: Pair, users: int, seed: int) -> Questions:
    """Validation users with the last part of their training lists as the answers.

    The part is as large as the test file is of both files: what is held back sets how far ahead a
    model has to see and how much it has left to learn from, and both change which settings win.

    Raises
    ------
    DataError
        No user has two items, so that nothing could be held back.
    """
    pairs = len(pair.train.items), len(pair.test.items)
    kept, held = pair.train.split(pairs[1] / sum(pairs))
    able = np.flatnonzero(np.diff(held.offsets) > 0)
    if not len(able):
        raise DataError("the training file: no user has two items; settings need some to be judged")
    rng = np.random.default_rng(seed)
    asked = np.sort(rng.choice(able, min(users, len(able)), replace=False))
    return Questions(kept.matrix(pair.items), held.matrix(pair.items), asked)


def choose(asked: Questions, announce: Announce) -> Chosen:
    """Search the grids one after the other: linear, factors, the mix of the two."""
    linear, linear_ndcg = choose_linear(asked, announce)
    als, als_scorer, als_ndcg = choose_als(asked, announce)
    scorer = linear_model(asked.known, fit_filter(asked.known, linear))
    weight, mix_ndcg = choose_weight(asked, scorer, als_scorer)
    announce(f"mix: als weight {weight}, validation nDCG@{K} {mix_ndcg:.4f}")
    found = {"linear": linear_ndcg, "als": als_ndcg, "mix": mix_ndcg}
    return Chosen(linear, als, weight, {name: round(value, 5) for name, value in found.items()})


def choose_linear(asked: Questions, announce: Announce) -> tuple[LinearSpec, float]:
    """One pass over the users per user exponent; all else follows from the same three terms."""
    best, best_ndcg = LinearSpec(), -1.0
    for user_exponent in USER_EXPONENTS:
        found = _linear_ndcg(asked, LinearSpec(user_exponent=user_exponent))
        for spec, ndcg in found.items():
            if ndcg > best_ndcg:
                best, best_ndcg = spec, ndcg
    announce(f"linear: {_said(best)}, validation nDCG@{K} {best_ndcg:.4f}")
    return best, best_ndcg


def choose_als(asked: Questions, announce: Announce) -> tuple[AlsSpec, Scorer, float]:
    """Confidence and regularisation of the factor model."""
    fits = []
    base = replace(ALS_BASE, factors=min(ALS_BASE.factors, *asked.known.shape))
    for alpha, regularization in ALS_GRID:
        spec = replace(base, alpha=alpha, regularization=regularization)
        scorer = factor_model(factorise(asked.known, spec))
        fits.append((spec, scorer, asked.ask(scorer).ndcg[K]))
        said = f"alpha {alpha}, regularization {regularization}"
        announce(f"als: {said}, validation nDCG@{K} {fits[-1][2]:.4f}")
    return max(fits, key=lambda fit: fit[2])


def choose_weight(asked: Questions, linear: Scorer, als: Scorer) -> tuple[float, float]:
    """Weight of the factor model in the mix."""
    found = asked.ask_mixes((linear, als), {str(weight): (1.0, weight) for weight in WEIGHTS})
    best = max(WEIGHTS, key=lambda weight: found[str(weight)].ndcg[K])
    return best, found[str(best)].ndcg[K]


def _linear_ndcg(asked: Questions, base: LinearSpec) -> dict[LinearSpec, float]:
    """NDCG of every popularity exponent and sharpness at one user exponent."""
    fitted = fit_filter(asked.known, base)
    settings = list(product(POPULARITY_EXPONENTS, SHARPNESS))
    totals = np.zeros(len(settings))
    for users in asked.blocks():
        part = replace(asked, users=users)
        terms = fitted.smoothed(_signal(asked, users))
        for row, (exponent, sharpness) in enumerate(settings):
            tried = replace(fitted, popularity_exponent=exponent, sharpness=sharpness)
            totals[row] += part.ask(_fixed(tried, terms)).ndcg[K] * len(users)
    specs = (replace(base, popularity_exponent=q, sharpness=c) for q, c in settings)
    return dict(zip(specs, (totals / len(asked.users)).tolist(), strict=True))


def _signal(asked: Questions, users: Int64Array) -> Float32Array:
    return np.ascontiguousarray(asked.known[users].toarray().T)


def _fixed(fitted: GraphFilter, terms: Terms) -> Scorer:
    """The scores of these terms, whoever asks: the users are those the terms are of."""
    return lambda _: np.ascontiguousarray(fitted.combined(terms).T)


def _said(spec: LinearSpec) -> str:
    names = ("user_exponent", "popularity_exponent", "sharpness")
    return ", ".join(f"{name} {getattr(spec, name)}" for name in names)
