"""Trains on a session file with the product's own code, and asks the pipeline that serves."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from benchmarks.sessions.protocol import Row
from benchmarks.sessions.window import Asked, read_questions, read_window
from feature_store.catalogue import CATALOGUE_SCHEMA
from recommender.bundle import ModelBundle
from recommender.pipeline import find_seeds, propose, recommend
from recommender.placements import Placement, read_placements
from recommender.policy import TopPolicy
from recommender.query import Query
from recommender.ranking import blend
from recommender.rules import eligible_items
from recommender.terms import VIEW_ITEM, Int64Array
from training.engine import EventWindow
from training.engines.local import LocalEngine
from training.evaluation.offline import by_sources_alone
from training.fitting import Fitting
from training.sections import CovisitationSpec, RankerSpec, SplitSpec
from training.spec import TrainingSpec
from training.split import Cuts
from training.stages import Stages
from training.trainer import Trainer, with_ranker

K, SHORT_K = 20, 10
CANDIDATES = (20, 50, 100, 200)
# Questions close to the end of their model teach most: of a tenth, each half has its own model.
VALIDATION_SHARE, CUTS = 0.05, 2
PATIENCE = 100
# Sources that answer by themselves, to stand beside all of them together.
ALONE = ("session_knn", "popularity")


@dataclass(frozen=True, slots=True)
class Found:
    """Lines of all models, and what lies behind those that are fitted.

    Parameters
    ----------
    facts
        By model: recall of its candidates, and what its fit cost. Of a source alone that is its own
        stage of the last fit, on interactions that are read already.
    """

    title: str
    rows: Mapping[str, Row]
    facts: Mapping[str, Mapping[str, float]]


def session_spec(questions: int) -> TrainingSpec:
    """The product's settings for a shop of which only visits are known; no file is known here.

    Of a beginning only the very next item is right, and so it is for the trees. With one right item
    a question says little, so that stopping takes more patience.
    """
    return TrainingSpec(
        split=SplitSpec(target_events=(VIEW_ITEM,), asked="in_visit"),
        covisitation=CovisitationSpec(pairs=("view_view", "seen_together")),
        ranker=RankerSpec(
            cuts=CUTS,
            more_cuts=0,
            max_questions=questions // CUTS,
            visit_decay=0.0,
            patience=PATIENCE,
        ),
    )


def measure(arguments: argparse.Namespace, stages: Stages) -> Found:
    """Learn from the training file, ask the questions of the test file."""
    with tempfile.TemporaryDirectory(prefix="desirepath-sessions-") as scratch:
        workspace = Path(scratch)
        window = read_window(arguments.train, workspace)
        placement = read_placements()["next"]
        spec = session_spec(arguments.questions)
        began = stages.timer()
        bundle = _learn(window, spec, placement, stages, workspace)
        seconds = stages.timer() - began
    asked = read_questions(arguments.test, window.period.end, K, placement.name)
    alone = by_sources_alone(bundle)
    variants = {"ranker": (bundle, placement), "blend": (replace(bundle, ranker=None), placement)}
    variants |= {name: (alone, replace(placement, sources=(name,))) for name in ALONE}
    peak_mb = max(each.peak_mb for each in stages.costs)
    costs = {"ranker": (seconds, peak_mb)}
    costs |= {
        each.stage: (each.seconds, each.peak_mb) for each in stages.costs if each.stage in ALONE
    }
    with threadpool_limits(1, "blas"):
        rows = {name: _ask(*variant, asked) for name, variant in variants.items()}
        facts = {
            name: _candidate_recall(*variants[name], asked) | _cost(*costs[name]) for name in costs
        }
    title = (
        f"{window.counts['kept']:,} clicks in {len(window.shopper_ids):,} sessions, "
        f"{len(window.item_ids):,} items, {len(asked.targets):,} questions"
    )
    return Found(title, rows, facts)


def _cost(seconds: float, peak_mb: float) -> dict[str, float]:
    return {"fit_seconds": round(seconds, 2), "peak_mib": round(peak_mb * 1e6 / 2**20, 1)}


def _learn(
    window: EventWindow, spec: TrainingSpec, placement: Placement, stages: Stages, workspace: Path
) -> ModelBundle:
    engine = LocalEngine()
    fitting = Fitting(engine, window, pl.DataFrame(schema=CATALOGUE_SCHEMA), spec, workspace)
    end = window.period.end
    validation = end - round(window.period.length * VALIDATION_SHARE)
    cuts = Cuts(validation, end, end)
    trainer = Trainer(engine, spec, placement, workspace, stages.stage)
    weights, ranker = trainer.learn_order(fitting, cuts)
    timed = replace(fitting, timer=stages.stage)
    return with_ranker(ranker, timed.fit(end, weights)).bundle()


def _ask(bundle: ModelBundle, placement: Placement, asked: Asked) -> Row:
    policy = TopPolicy()
    recommend(asked.queries[0], bundle, placement, policy)  # compiles what is not compiled yet
    places = np.zeros(len(asked.targets), np.int64)
    start = time.perf_counter()
    for number, query in enumerate(asked.queries):
        slate = recommend(query, bundle, placement, policy)
        shown = [item.item_id for item in slate.items]
        if asked.targets[number] in shown:
            places[number] = shown.index(asked.targets[number]) + 1
    seconds = time.perf_counter() - start
    return _row(places, seconds / len(places))


def _row(places: Int64Array, seconds: float) -> Row:
    found = places > 0
    ranks = np.where(found, places, 1)
    return Row(
        100 * float(found.mean()),
        100 * float((found / ranks).mean()),
        100 * float((found & (places <= SHORT_K)).mean()),
        100 * float((found / np.log2(ranks + 1)).mean()),
        seconds * 1e6,
    )


def _candidate_recall(bundle: ModelBundle, placement: Placement, asked: Asked) -> dict[str, float]:
    places = [_place(bundle, placement, *each) for each in _pairs(asked)]
    return {
        f"candidate_recall@{k}": round(float(np.mean([0 <= place < k for place in places])), 4)
        for k in CANDIDATES
    }


def _pairs(asked: Asked) -> Iterable[tuple[Query, str]]:
    return zip(asked.queries, asked.targets, strict=True)


def _place(bundle: ModelBundle, placement: Placement, query: Query, target: str) -> int:
    eligibility = eligible_items(query, bundle.catalogue, placement)
    _, seeds = find_seeds(query, bundle, placement)
    weights = bundle.ranker.shortlist if bundle.ranker else bundle.manifest.info.blend
    proposed = propose(seeds, bundle, placement, eligibility)
    best = blend(proposed, weights, max(CANDIDATES))
    found = np.flatnonzero(best.item_idx == bundle.catalogue.ids.index(target, -1))
    return int(found[0]) if len(found) else -1
