"""A whole training run: window → blend on validation → report on test → the model from everything.

Three fits: up to the validation period (to learn how sources are weighed), up to the test period
(to be judged), and up to the end (to serve). No fit sees anything after its own end, and nothing is
ever chosen on the test period.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from feature_store.catalogue import read_catalogue
from feature_store.layout import StoreLayout
from recommender.placements import Placement
from training.dataset import known_before
from training.engine import Engine, EventWindow, Period
from training.evaluation.offline import evaluate
from training.evaluation.report import EvaluationReport
from training.fitting import Fitted, Fitting, StageTimer, untimed
from training.models.blend import learn_weights, score_candidates
from training.questions import Questioner
from training.ranking import Classroom, Taught
from training.spec import TrainingSpec
from training.split import Cuts, HoldOut, Sampling, find_cuts, hold_out


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training run gives.

    Parameters
    ----------
    model
        Learnt from the whole window; this one is to serve.
    judged
        The same, learnt from what was before the test period; the report is about it.
    test
        The hold-out shoppers of the report, to put other models before the same questions.
    ranker
        What orders the candidates of both models; None where there was too little to learn from.
    """

    model: Fitted
    judged: Fitted
    report: EvaluationReport
    test: HoldOut
    window: EventWindow
    cuts: Cuts
    ranker: Taught | None = None


@dataclass(frozen=True, slots=True)
class Trainer:
    """Runs a specification on a shop's tables.

    Parameters
    ----------
    placement
        The place that blend weights are learnt for and that the report asks at.
    workspace
        Existing folder for files between the stages.
    timer
        See `training.fitting.Fitting`.
    """

    engine: Engine
    spec: TrainingSpec
    placement: Placement
    workspace: Path
    timer: StageTimer = untimed

    def train(self, layout: StoreLayout, as_of: int | None = None) -> Trained:
        """Train on what was known before `as_of` (microseconds; None: all of the log).

        Raises
        ------
        DataError
            The log is empty or too short to be split.
        """
        with self.timer("window"):
            window = self.engine.ingest_window(layout, self.spec, as_of, self.workspace)
            catalogue = read_catalogue(layout, known_before(as_of))
        fitting = Fitting(self.engine, window, catalogue, self.spec, self.workspace, untimed)
        cuts = find_cuts(window.period, self.spec)
        blend = self._learn_blend(fitting, cuts)
        ranker = self._learn_ranker(fitting, cuts, blend)
        with self.timer("fit_to_judge"):
            judged = _with(ranker, fitting.fit(cuts.test, blend))
        with self.timer("evaluate"):
            test = self._hold_out(window, cuts.test_period)
            report = evaluate(
                judged.bundle(),
                test,
                self.placement,
                self.spec.evaluation,
            )
        model = _with(ranker, replace(fitting, timer=self.timer).fit(cuts.end, blend))
        return Trained(model, judged, report, test, window, cuts, ranker)

    def _learn_blend(self, fitting: Fitting, cuts: Cuts) -> dict[str, float]:
        settings = self.spec.blend
        fixed = dict(settings.weights)
        if not settings.learn:
            return fixed
        with self.timer("fit_for_blend"):
            bundle = fitting.fit(cuts.validation, fixed).bundle()
        with self.timer("blend"):
            sampling = Sampling(settings.max_users, settings.seed)
            asked = hold_out(
                self.engine,
                fitting.window,
                self.spec,
                cuts.validation_period,
                sampling,
                self.workspace,
            )
            candidates = score_candidates(bundle, self.placement, asked.queries, asked.targets)
            if len(candidates.ideal) < settings.min_users:
                return fixed
            learnt = learn_weights(
                candidates, fixed, restarts=settings.restarts, seed=settings.seed
            )
        # A source that had nothing to say in the validation period keeps the weight of the spec.
        return fixed | learnt

    def _learn_ranker(
        self, fitting: Fitting, cuts: Cuts, blend: Mapping[str, float]
    ) -> Taught | None:
        settings = self.spec.ranker
        if not settings.learn:
            return None
        classroom = Classroom(self.placement, settings, os.cpu_count() or 1)
        questioner = Questioner(self.engine, fitting.window, self.spec, self.workspace)
        for period in _earlier_periods(cuts, fitting.window.period.start, settings.cuts):
            with self.timer("fit_for_ranker"):
                model = fitting.fit(period.start, blend)
            with self.timer("ask"):
                classroom.ask(model, questioner.questions(period))
        with self.timer("teach"):
            return classroom.teach()

    def _hold_out(self, window: EventWindow, period: Period) -> HoldOut:
        settings = self.spec.evaluation
        sampling = Sampling(settings.max_users, settings.seed)
        return hold_out(self.engine, window, self.spec, period, sampling, self.workspace)


def _with(ranker: Taught | None, model: Fitted) -> Fitted:
    return model if ranker is None else ranker.added_to(model)


def _earlier_periods(cuts: Cuts, begin: int, most: int) -> list[Period]:
    """The validation period and such before it, as long as half of the log lies before them."""
    length = cuts.test - cuts.validation
    periods = [
        Period(cuts.validation - back * length, cuts.test - back * length) for back in range(most)
    ]
    half = begin + (cuts.end - begin) // 2
    return [each for number, each in enumerate(periods) if not number or each.start >= half]
