"""How good a specification is: nDCG@20 on validation shoppers, through the pipeline that serves.

The shoppers of the validation period are parted in three, and no part does the work of another:
from the first a trial learns its blend and its ranker, as training would (`Trainer.learn_order`);
by the second the trial is judged; and on the third, which no trial has seen, the winner is compared
with where the search started. Whoever judges or confirms is also left out of the questions of
earlier periods. The test period is never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recommender import metrics
from recommender.bundle import ModelBundle
from recommender.errors import DataError
from recommender.placements import Placement
from recommender.terms import Float64Array
from training.engine import Engine
from training.evaluation.bootstrap import Bootstrap, Interval
from training.evaluation.offline import answers, score_each
from training.fitting import Fitting
from training.spec import TrainingSpec
from training.split import Cuts, HoldOut, Sampling, find_cuts, hold_out
from training.trainer import Trainer, with_ranker
from training.workflow import TrainRequest

K = 20
MIN_SHOPPERS = 30
STEPS = 4  # looks at a trial while it is judged; a hopeless one ends early


@dataclass(frozen=True, slots=True)
class Judge:
    """Puts specifications before the same validation shoppers.

    Parameters
    ----------
    fitting
        Of the specification that the search starts from.
    cuts
        Of the window; models end where the validation period begins.
    judge, confirm
        Two parts of the shoppers; everybody else teaches.
    """

    fitting: Fitting
    placement: Placement
    cuts: Cuts
    judge: HoldOut
    confirm: HoldOut

    @classmethod
    def prepare(cls, request: TrainRequest, engine: Engine, workspace: Path) -> Judge:
        """Read the window and draw the shoppers.

        Raises
        ------
        DataError
            The log is too short, or has too few validation shoppers.
        """
        spec = request.spec
        fitting = Fitting.of_store(engine, request.layout, spec, request.as_of, workspace)
        window = fitting.window
        cuts = find_cuts(window.period, spec)
        sampling = Sampling(spec.evaluation.max_users, spec.blend.seed)
        asked = hold_out(engine, window, spec, cuts.validation_period, sampling, workspace)
        if len(asked) < MIN_SHOPPERS:
            raise DataError(
                f"{len(asked)} shoppers have a target in the validation period; tuning needs "
                f"{MIN_SHOPPERS}: lengthen split.validation_days, or bring in more of the log"
            )
        judge, confirm = (_part(asked, begin, 3) for begin in (1, 2))
        return cls(fitting, request.placement, cuts, judge, confirm)

    @property
    def data_digest(self) -> str:
        """Digest of the window."""
        return self.fitting.window.digest

    @property
    def known(self) -> int:
        """Shoppers of the second part of whom anything is known: only they can be served better."""
        return sum(bool(query.history or query.session) for query in self.judge.queries)

    @property
    def without(self) -> frozenset[str]:
        """Shoppers whom no trial learns its order from."""
        return frozenset(self.judge.shopper_ids + self.confirm.shopper_ids)

    def model(self, spec: TrainingSpec) -> ModelBundle:
        """Fit a specification on what was before the validation period, and learn its order."""
        fitting = replace(self.fitting, spec=spec)
        model = fitting.fit(self.cuts.validation)
        trainer = Trainer(
            fitting.engine, spec, self.placement, fitting.workspace, without=self.without
        )
        blend, ranker = trainer.learn_order(fitting, self.cuts, model)
        return with_ranker(ranker, model.with_blend(blend)).bundle()

    def value(self, spec: TrainingSpec, report: Callable[[int, float], None]) -> float:
        """nDCG@20 on the second part.

        Parameters
        ----------
        report
            Called with the number of each look and the mean so far; may raise to end it.
        """
        bundle = self.model(spec)
        scores: list[Float64Array] = []
        for step in range(STEPS):
            scores.append(self._scores(bundle, _part(self.judge, step, STEPS)))
            report(step, float(np.concatenate(scores).mean()))
        return float(np.concatenate(scores).mean())

    def gain(self, best: TrainingSpec, start: TrainingSpec) -> tuple[Interval, Interval, Interval]:
        """nDCG@20 on the third part of both, and of the first minus the second, paired."""
        theirs = self._scores(self.model(start), self.confirm)
        ours = (
            theirs if best.digest == start.digest else self._scores(self.model(best), self.confirm)
        )
        settings = self.fitting.spec.evaluation
        draws = Bootstrap.draw(
            len(self.confirm), settings.bootstrap_rounds, settings.confidence, settings.seed
        )
        found = [draws.interval(each) for each in (ours, theirs, ours - theirs)]
        return found[0], found[1], found[2]

    def _scores(self, bundle: ModelBundle, asked: HoldOut) -> Float64Array:
        rankings = answers(bundle, asked, self.placement, K)
        return score_each(metrics.ndcg, rankings, asked.targets, K)


def _part(asked: HoldOut, begin: int, step: int) -> HoldOut:
    """Every so-manieth shopper."""
    return replace(
        asked,
        queries=asked.queries[begin::step],
        targets=asked.targets[begin::step],
        shopper_ids=asked.shopper_ids[begin::step],
    )
