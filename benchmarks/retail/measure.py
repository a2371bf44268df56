"""Next basket on a shop's invoices: the served pipeline beside "buy what you bought".

A rolling split by time: at each cut the product trains with its defaults on what was known before,
and answers once for every shopper who buys within the horizon; right are the items of the first
basket. Everything else that is measured (baselines, popularity, single sources) answers the same
questions. The settings of the baselines are chosen on the stretch before the first cut.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.retail.baselines import (
    Known,
    Scorer,
    choices,
    personal_frequency,
    popular,
    rank,
)
from benchmarks.retail.baskets import (
    Purchases,
    described,
    named,
    next_baskets,
    rolling_periods,
    shopper_rows,
)
from benchmarks.retail.figures import (
    K,
    Questions,
    Ranking,
    Scored,
    fold_means,
    relative_gain,
)
from benchmarks.side_by_side import in_order, largest_of_others_mib
from feature_store.console import Console
from feature_store.ingest import ingest
from feature_store.layout import StoreLayout
from recommender.bundle import ModelBundle
from recommender.placements import Placement, read_placements
from recommender.terms import PURCHASE
from training.engine import EventWindow, Period
from training.engines.local import LocalEngine
from training.evaluation.offline import answers, by_sources_alone
from training.fitting import Fitting
from training.spec import TrainingSpec
from training.split import HoldOut, Sampling, find_cuts, hold_out
from training.stages import Stages
from training.trainer import Trainer, with_ranker

PRODUCT, POPULARITY, PERSONAL = "product", "popularity", "personal_frequency"
HORIZON_DAYS = 28.0
RECENT_DAYS = 28.0
EVERYBODY = Sampling(sys.maxsize, 0)


@dataclass(frozen=True, slots=True)
class Shop:
    """A log that was brought in, and where to work."""

    layout: StoreLayout
    window: EventWindow
    purchases: Purchases
    spec: TrainingSpec
    workspace: Path

    @classmethod
    def of(cls, log: Path, source_format: str, workspace: Path) -> Shop:
        """Bring a log in. Raises `RefusedError` when no row was kept."""
        layout, spec = StoreLayout(workspace / "shop"), TrainingSpec()
        ingest(log, source_format, layout).refuse_nothing_kept()
        whole = workspace / "whole"
        whole.mkdir()
        window = LocalEngine().ingest_window(layout, spec, None, whole)
        return cls(layout, window, Purchases.of(window), spec, workspace)

    @property
    def placement(self) -> Placement:
        """Where the product is asked: the place that its own evaluation asks at."""
        return read_placements()[self.spec.evaluation.placement]

    def ask(self, period: Period) -> HoldOut:
        """Every shopper who buys in the period, asked at its start for the next basket."""
        split = replace(self.spec.split, target_events=(PURCHASE,), asked="at_cut")
        spec = replace(self.spec, split=split)
        asked = hold_out(LocalEngine(), self.window, spec, period, EVERYBODY, self.workspace)
        return next_baskets(asked, self.purchases, self.window)

    def train(self, cut: int) -> ModelBundle:
        """The model that the product trains with its defaults on what was known before a cut.

        Its own report, which costs a fit and thousands of answers, is left out.
        """
        folder, engine = self.workspace / f"cut-{cut}", LocalEngine()
        folder.mkdir()
        fitting = Fitting.of_store(engine, self.layout, self.spec, cut, folder)
        cuts = find_cuts(fitting.window.period, self.spec)
        trainer = Trainer(engine, self.spec, self.placement, folder)
        blend, ranker = trainer.learn_order(fitting, cuts)
        return with_ranker(ranker, fitting.fit(cuts.end, blend)).bundle()


@dataclass(frozen=True, slots=True)
class Fold:
    """One cut: who was asked, what every recommender answered, and what it cost.

    Parameters
    ----------
    us_per_query
        Of the product, one thread.
    """

    period: Period
    asked: Questions
    rankings: Mapping[str, tuple[Ranking, ...]]
    fit_seconds: float
    us_per_query: float


@dataclass(frozen=True, slots=True)
class FoldJob:
    """One cut to be asked about."""

    shop: Shop
    number: int
    period: Period
    baselines: Mapping[str, Scorer]


def ask_at(job: FoldJob) -> Fold:
    """Train before the period and ask everybody."""
    shop, period = job.shop, job.period
    asked = shop.ask(period)
    began = time.perf_counter()
    bundle = shop.train(period.start)
    fitted = time.perf_counter()
    product = answers(bundle, asked, shop.placement, K)
    took = time.perf_counter() - fitted
    rankings = {PRODUCT: product} | _baselines(shop, asked, job.baselines)
    rankings |= _single_sources(shop, asked, bundle)
    questions = questions_of(shop, job.number, asked)
    return Fold(period, questions, rankings, fitted - began, 1e6 * took / len(asked))


def choose_baselines(shop: Shop, before: Period) -> dict[str, tuple[str, Scorer]]:
    """Of each baseline the setting with the best recall on a period that no fold asks about."""
    asked = shop.ask(before)
    questions = questions_of(shop, 0, asked)
    chosen: dict[str, tuple[str, Scorer]] = {
        POPULARITY: (f"last {RECENT_DAYS:g} days", popular),
        PERSONAL: ("", personal_frequency),
    }
    for name, options in choices().items():
        recalls = []
        for described_as, scorer in options:
            rankings = _baselines(shop, asked, {described_as: scorer})[described_as]
            recalls.append(Scored.of(rankings, questions).means[f"recall@{K}"] or 0.0)
        chosen[name] = options[int(np.argmax(recalls))]
    return chosen


def _baselines(
    shop: Shop, asked: HoldOut, scorers: Mapping[str, Scorer]
) -> dict[str, tuple[Ranking, ...]]:
    known = Known.at(shop.purchases, asked.period.start, RECENT_DAYS)
    rows = shopper_rows(asked, shop.window)
    return {
        name: named(rank(known, scorer(known, rows), K), shop.window)
        for name, scorer in scorers.items()
    }


def _single_sources(
    shop: Shop, asked: HoldOut, bundle: ModelBundle
) -> dict[str, tuple[Ranking, ...]]:
    alone = by_sources_alone(bundle)
    return {
        f"source {name}": answers(alone, asked, replace(shop.placement, sources=(name,)), K)
        for name in sorted(bundle.sources)
    }


def questions_of(shop: Shop, number: int, asked: HoldOut) -> Questions:
    """Whom a period asked, and what they had bought before."""
    past, ids = shop.purchases.before(asked.period.start), shop.window.item_ids
    rows = shopper_rows(asked, shop.window)
    own = tuple(frozenset(ids[item] for item in past.items_of(row)) for row in rows.tolist())
    return Questions(rows * 0 + number, rows, asked.targets, own)


def summarise(folds: Sequence[Fold], settings: Mapping[str, str]) -> dict[str, object]:
    """Everything that was measured, as plain JSON types."""
    asked = Questions.joined([each.asked for each in folds])
    names = [name for name in folds[0].rankings if all(name in each.rankings for each in folds)]
    scored = {
        name: Scored.of([row for each in folds for row in each.rankings[name]], asked)
        for name in names
    }
    product, personal = scored[PRODUCT].values, scored[PERSONAL].values
    variants = {
        name: each.means | {"folds": fold_means(each, asked)} for name, each in scored.items()
    }
    return {
        "protocol": "retail",
        "k": K,
        "questions": len(asked),
        "shoppers": len(set(asked.shopper.tolist())),
        "without_history": int((~asked.is_known).sum()),
        "targets": sum(map(len, asked.targets)),
        "repeat_targets": sum(map(len, asked.repeat)),
        "folds": [_fold_facts(each) for each in folds],
        "baseline_settings": dict(settings),
        "variants": variants,
        "best_single_source": _best(variants, "source "),
        "best_baseline": _best({k: v for k, v in variants.items() if k in settings}, ""),
        "gain_over_personal_frequency": {
            name: relative_gain(product[name], personal[name], asked.shopper) for name in product
        },
        "recall_gain_over": {
            name: relative_gain(product[f"recall@{K}"], each.values[f"recall@{K}"], asked.shopper)
            for name, each in scored.items()
            if name != PRODUCT
        },
    }


def _fold_facts(fold: Fold) -> dict[str, object]:
    return {
        "period": described(fold.period),
        "questions": len(fold.asked),
        "fit_seconds": round(fold.fit_seconds, 2),
        "us_per_query": round(fold.us_per_query, 1),
    }


def _best(variants: Mapping[str, Mapping[str, object]], prefix: str) -> str:
    listed = [name for name in variants if name.startswith(prefix)]
    return max(listed, key=lambda name: float(str(variants[name][f"recall@{K}"])))


def measure(
    log: Path, source_format: str, folds: int, console: Console, processes: int = 1
) -> dict[str, object]:
    """Ask everybody at each cut of a log.

    Parameters
    ----------
    processes
        Cuts at a time; what is found is the same.

    Raises
    ------
    DataError
        The log is too short for so many cuts.
    RefusedError
        No row of the log was kept.
    """
    began, stages = time.perf_counter(), Stages()
    with tempfile.TemporaryDirectory(prefix="retail-") as scratch, stages.stage("all"):
        shop = Shop.of(log, source_format, Path(scratch))
        periods = rolling_periods(shop.window.period, folds, HORIZON_DAYS)
        before = Period(periods[0].start - periods[0].length, periods[0].start)
        chosen = choose_baselines(shop, before)
        scorers = {name: scorer for name, (_, scorer) in chosen.items()}
        jobs = [FoldJob(shop, number, period, scorers) for number, period in enumerate(periods)]
        processes, measured = min(processes, len(jobs)), []
        for fold in in_order(ask_at, jobs, processes):
            measured.append(fold)
            console.say(f"  fold {len(measured)} of {folds}: {described(fold.period)}")
    settings = {name: described_as for name, (described_as, _) in chosen.items()}
    peak_mib = stages.costs[0].peak_mb * 1e6 / 2**20 + processes * largest_of_others_mib()
    return summarise(measured, settings) | {
        "processes": processes,
        "seconds": round(time.perf_counter() - began, 1),
        "peak_mib": round(peak_mib, 1),
    }
