"""The kernels of one bundle, on questions about its own items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from benchmarks.kernel_parts.turns import in_turns
from recommender.bundle import ModelBundle
from recommender.candidates.als import AlsSource
from recommender.pipeline import find_seeds, opened, propose, shortlisted
from recommender.placements import Placement, read_placements
from recommender.query import Interaction, Query
from recommender.ranker import Ranker
from recommender.ranking import Proposed, blend
from recommender.seeds import Seeds
from recommender.terms import VIEW_ITEM

PLACEMENT = "home"
AT = datetime(2026, 11, 1, tzinfo=UTC)
QUESTIONS, MET = 50, 10
_MINUTE = timedelta(minutes=1)


def hot_kernels(bundle: ModelBundle, repeats: int) -> list[dict[str, Any]]:
    """Microseconds of each source and of the ranker, in turns; a row each."""
    place = read_placements()[PLACEMENT]
    questions = _questions(bundle, place)
    eligible = np.ones(len(bundle.catalogue), np.bool_)
    n = place.candidates

    def asking(name: str) -> Callable[[int], object]:
        source = bundle.sources[name]
        return lambda turn: source.candidates(_fresh(questions[turn % QUESTIONS]), eligible, n)

    calls = {f"source {name}, {n} candidates": asking(name) for name in bundle.sources}
    if isinstance(als := bundle.sources.get("als"), AlsSource):
        calls["fold-in of the seeds"] = lambda turn: als.fold_in(questions[turn % QUESTIONS])
    calls |= _ranking(bundle, place, questions)
    items = f"{len(bundle.catalogue):,} items"
    taken = in_turns(calls, repeats)
    return [{"kernel": f"{name}, {items}", **asdict(spent)} for name, spent in taken.items()]


def _ranking(
    bundle: ModelBundle, place: Placement, questions: list[Seeds]
) -> dict[str, Callable[[int], object]]:
    """Features and trees together, and the trees alone on as many made-up rows."""
    if (ranker := bundle.ranker) is None:
        return {}
    proposed = [_shortlist(bundle, ranker, place, seeds) for seeds in questions]
    most = max(len(each.item_idx) for each in proposed)
    forest = next(iter(ranker.heads.values()))
    shape = (most, forest.feature_count)
    rows = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def rank(turn: int) -> object:
        number = turn % QUESTIONS
        return ranker.scores(proposed[number], questions[number], place)

    name = f"features and trees of {most} candidates, {place.objective}"
    return {name: rank, f"trees of {most} rows, one head": lambda _: forest.score(rows)}


def _shortlist(bundle: ModelBundle, ranker: Ranker, place: Placement, seeds: Seeds) -> Proposed:
    query = Query(AT, place.name, 20)
    found = propose(seeds, bundle, place, opened(query, bundle, place).eligibility)
    return shortlisted(blend(found, ranker.shortlist, ranker.candidates, of_all=True))


def _questions(bundle: ModelBundle, place: Placement) -> list[Seeds]:
    """Seeds of visits to popular and less popular items."""
    rng = np.random.default_rng(0)
    order = bundle.catalogue.popular_order
    found = []
    for _ in range(QUESTIONS):
        met = order[(len(order) * rng.random(MET) ** 2).astype(np.int64)].tolist()
        session = tuple(
            Interaction(bundle.catalogue.ids.id(item), VIEW_ITEM, _micros(MET - step))
            for step, item in enumerate(met)
        )
        found.append(find_seeds(Query(AT, place.name, 20, session=session), bundle, place)[1])
    return found


def _micros(minutes_ago: int) -> int:
    return round((AT - minutes_ago * _MINUTE).timestamp() * 1_000_000)


def _fresh(seeds: Seeds) -> Seeds:
    """The same seeds without what an earlier turn worked out of them."""
    return Seeds.joined([seeds])
