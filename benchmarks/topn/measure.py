"""Fits and asks every model of the top-n protocol, and measures what fitting costs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.topn.choice import Announce, Chosen, choose, questions
from benchmarks.topn.lists import Pair, read_pair
from benchmarks.topn.metric import Quality, Questions, Scorer
from benchmarks.topn.models import factor_model, item_knn, linear_model, popularity
from benchmarks.topn.protocol import Row
from training.models.als import factorise
from training.models.graph_filter import fit_filter
from training.sections import AlsSpec, ItemKnnSpec
from training.stages import StageCost, Stages

_BYTES_PER_MB, _BYTES_PER_MIB = 1e6, 2**20


@dataclass(slots=True)
class Bench:
    """One run over one pair of files."""

    pair: Pair
    asked: Questions
    chosen: Chosen
    stages: Stages
    title: str

    @classmethod
    def read(cls, arguments: argparse.Namespace, stages: Stages, announce: Announce) -> Bench:
        """Read the files and choose the settings, by the training file alone."""
        pair = read_pair(arguments.train, arguments.test, arguments.seed)
        with stages.stage("choose"):
            validation = questions(pair, arguments.validation_users, arguments.seed)
            chosen = choose(validation, announce)
        known, wanted = pair.train.matrix(pair.items), pair.test.matrix(pair.items)
        asked = Questions(known, wanted, np.flatnonzero(np.diff(wanted.indptr) > 0))
        pairs = f"{known.nnz:,} pairs to learn from, {wanted.nnz:,} to guess"
        title = f"{len(asked.users):,} users, {pair.items:,} items: {pairs}"
        return cls(pair, asked, chosen, stages, title)

    def rows(self) -> dict[str, Row]:
        """Every model's line, ours first."""
        known, chosen = self.asked.known, self.chosen
        linear, linear_cost = self._fit(
            "linear", lambda: linear_model(known, fit_filter(known, chosen.linear))
        )
        als, als_cost = self._fit("als_tuned", lambda: factor_model(factorise(known, chosen.als)))
        costs = {
            "mix": (linear_cost, als_cost, self._cost("choose")),
            "linear": (linear_cost,),
            "als_tuned": (als_cost,),
        }
        mixes = {"mix": (1.0, chosen.als_weight), "linear": (1.0, 0.0), "als_tuned": (0.0, 1.0)}
        ours = self.asked.ask_mixes((linear, als), mixes)
        rows = {name: _row(ours[name], *costs[name]) for name in mixes}
        for name, fit in self._plain():
            scorer, cost = self._fit(name, fit)
            rows[name] = _row(self.asked.ask(scorer), cost)
        return rows

    def facts(self) -> dict[str, object]:
        """What was chosen, by what, and what choosing cost."""
        chosen = self.chosen
        return {
            "users": len(self.asked.users),
            "items": self.pair.items,
            "choose_seconds": round(self._cost("choose").seconds, 2),
            "chosen": {
                "linear": asdict(chosen.linear),
                "als": asdict(chosen.als),
                "als_weight": chosen.als_weight,
                "validation_ndcg@20": dict(chosen.validation),
            },
        }

    def _plain(self) -> Iterator[tuple[str, Callable[[], Scorer]]]:
        """The three that nobody tuned: the defaults of `training.toml`."""
        known = self.asked.known
        yield "als_plain", lambda: factor_model(factorise(known, AlsSpec()))
        yield "item_knn", lambda: item_knn(known, ItemKnnSpec())
        yield "popularity", lambda: popularity(known)

    def _fit(self, name: str, fit: Callable[[], Scorer]) -> tuple[Scorer, StageCost]:
        with self.stages.stage(name):
            scorer = fit()
        return scorer, self._cost(name)

    def _cost(self, name: str) -> StageCost:
        return next(cost for cost in self.stages.costs if cost.stage == name)


def _row(quality: Quality, *costs: StageCost) -> Row:
    seconds = sum(cost.seconds for cost in costs)
    peak = max(cost.peak_mb for cost in costs) * _BYTES_PER_MB / _BYTES_PER_MIB
    return Row(quality.recall, quality.ndcg, seconds, peak)
