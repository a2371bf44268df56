"""A whole training run: window → order on validation → report on test → the model from everything.

Three fits: up to the validation period (to learn how candidates are ordered), up to the test period
(to be judged), and up to the end (to serve). No fit sees anything after its own end, and nothing is
ever chosen on the test period.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from feature_store.cores import usable_cores
from feature_store.layout import StoreLayout
from recommender.bundle import ModelBundle
from recommender.placements import Placement
from training.engine import Engine, EventWindow, Period
from training.evaluation.expectation import expectation_metrics
from training.evaluation.offline import evaluate
from training.evaluation.report import EvaluationReport
from training.fitting import Fitted, Fitting, StageTimer, untimed
from training.known_exposures import shown_items
from training.models.blend import learn_weights, score_candidates
from training.models.feature_file import FeatureFile
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
    expectation
        Predicted against delivered acceptance of what was shown in the test period, as flat
        figures; none where the log says too little of that.
    """

    model: Fitted
    judged: Fitted
    report: EvaluationReport
    test: HoldOut
    window: EventWindow
    cuts: Cuts
    ranker: Taught | None = None
    expectation: Mapping[str, float] = field(default_factory=dict)


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
    without
        Shoppers (outside ids) whom weights and ranker learn nothing from: they are to judge them.
    """

    engine: Engine
    spec: TrainingSpec
    placement: Placement
    workspace: Path
    timer: StageTimer = untimed
    without: frozenset[str] = frozenset()

    def train(self, layout: StoreLayout, as_of: int | None = None) -> Trained:
        """Train on what was known before `as_of` (microseconds; None: all of the log).

        Raises
        ------
        DataError
            The log is empty or too short to be split.
        """
        with self.timer("window"):
            fitting = Fitting.of_store(self.engine, layout, self.spec, as_of, self.workspace)
        window = fitting.window
        cuts = find_cuts(window.period, self.spec)
        blend, ranker = self.learn_order(fitting, cuts)
        with self.timer("fit_to_judge"):
            judged = with_ranker(ranker, fitting.fit(cuts.test, blend))
        with self.timer("evaluate"):
            test, bundle = self._hold_out(window, cuts.test_period), judged.bundle()
            shown, tolerance = shown_items(window, cuts.test_period), self.spec.acceptance.tolerance
            expectation = expectation_metrics(bundle.acceptance, shown, tolerance)
            report = evaluate(
                bundle,
                test,
                self.placement,
                self.spec.evaluation,
            )
        model = with_ranker(ranker, replace(fitting, timer=self.timer).fit(cuts.end, blend))
        return Trained(model, judged, report, test, window, cuts, ranker, expectation)

    def learn_order(
        self, fitting: Fitting, cuts: Cuts, model: Fitted | None = None
    ) -> tuple[dict[str, float], Taught | None]:
        """Source weights and ranker, learnt on what came after earlier models.

        The models end where the validation period begins and, as the spec says, where such periods
        before it do; there are more of them where the first ones leave few questions.

        Parameters
        ----------
        model
            The first of them, where the caller has it.
        """
        blend = shortlist = dict(self.spec.blend.weights)
        if not (self.spec.blend.learn or self.spec.ranker.learn):
            return blend, None
        begin, ranker = fitting.window.period.start, self.spec.ranker
        periods = _earlier_periods(cuts, begin, ranker.cuts + ranker.more_cuts)
        if model is None:
            with self.timer("fit_to_learn"):
                model = fitting.fit(periods[0].start, blend)
        if self.spec.blend.learn:
            with self.timer("blend"):
                blend, shortlist = self._learn_weights(fitting, model.bundle(), periods[0])
        if not self.spec.ranker.learn:
            return blend, None
        return blend, self._learn_ranker(fitting, model, periods, shortlist)

    def _learn_weights(
        self, fitting: Fitting, bundle: ModelBundle, period: Period
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Source weights for lists that are shown, and for the ranker's shortlists.

        A source that had nothing to say in the period keeps the weight of the spec.
        """
        settings, ranker = self.spec.blend, self.spec.ranker
        fixed = dict(settings.weights)
        sampling = Sampling(settings.max_users, settings.seed, self.without)
        asked = hold_out(self.engine, fitting.window, self.spec, period, sampling, self.workspace)
        candidates = score_candidates(bundle, self.placement, asked.queries, asked.targets)
        if len(candidates.targets) < settings.min_users:
            return fixed, fixed
        search = {"restarts": settings.restarts, "seed": settings.seed}
        shown = learn_weights(candidates, fixed, **search)
        if not ranker.learn:
            return fixed | shown, fixed
        return fixed | shown, fixed | learn_weights(
            candidates, fixed, **search, k=ranker.candidates
        )

    def _learn_ranker(
        self,
        fitting: Fitting,
        model: Fitted,
        periods: Sequence[Period],
        shortlist: Mapping[str, float],
    ) -> Taught | None:
        ranker = self.spec.ranker
        questioner = Questioner(
            self.engine, fitting.window, self.spec, self.workspace, self.without
        )
        with FeatureFile(self.workspace) as file:
            classroom = Classroom(self.placement, ranker, shortlist, file, usable_cores())
            for number, period in enumerate(periods, start=1):
                if number > ranker.cuts and classroom.asked >= ranker.max_questions:
                    break
                if number > 1:
                    with self.timer(f"fit_to_learn_{number}"):
                        model = fitting.fit(period.start)
                with self.timer(f"ask_{number}"):
                    classroom.ask(model, questioner.questions(period))
            with self.timer("teach"):
                return classroom.teach()

    def _hold_out(self, window: EventWindow, period: Period) -> HoldOut:
        settings = self.spec.evaluation
        sampling = Sampling(settings.max_users, settings.seed)
        return hold_out(self.engine, window, self.spec, period, sampling, self.workspace)


def with_ranker(ranker: Taught | None, model: Fitted) -> Fitted:
    """The model, with a ranker where there is one."""
    return model if ranker is None else ranker.added_to(model)


def _earlier_periods(cuts: Cuts, begin: int, most: int) -> list[Period]:
    """The validation period and such before it, as long as half of the log lies before them."""
    length = cuts.test - cuts.validation
    periods = [
        Period(cuts.validation - back * length, cuts.test - back * length) for back in range(most)
    ]
    half = begin + (cuts.end - begin) // 2
    return [each for number, each in enumerate(periods) if not number or each.start >= half]
