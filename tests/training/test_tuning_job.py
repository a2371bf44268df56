from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from feature_store.layout import StoreLayout
from recommender.errors import DataError, RefusedError
from tests.training.tiny_log import tiny_spec
from training.deliver import open_lock
from training.engine import Period
from training.engines.local import LocalEngine
from training.evaluation.bootstrap import Interval
from training.questions import Question, Questioner
from training.spec import load_spec
from training.split import Sampling, find_cuts, hold_out
from training.trainer import Trainer, with_ranker
from training.tuning import Limits
from training.tuning_fits import SharedFits
from training.tuning_job import FOLDER, is_confirmed, tune
from training.tuning_judge import Judge
from training.tuning_plots import draw_importances
from training.tuning_summary import tuning_summary
from training.workflow import TrainRequest, Workbench

RANKER = {"min_questions": 10, "max_questions": 200, "rounds": 5, "min_leaf": 2}


def test_a_search_leaves_a_training_file_and_a_run(
    own_store: StoreLayout, bench: Workbench, tmp_path: Path
) -> None:
    request = TrainRequest(own_store, tiny_spec())
    outcome = tune(request, Limits(2, None, 1), bench)
    assert outcome.file == own_store.root / "tuning" / "training.toml"
    found = load_spec(outcome.file)
    assert (found.digest == request.spec.digest) == (not outcome.is_better)
    assert outcome.counts == {"complete": 2}
    assert outcome.gain.low <= outcome.gain.mean <= outcome.gain.high
    summary = json.loads(json.dumps(tuning_summary(outcome, bench.registry.tracking)))
    assert summary["trials"] == {"complete": 2}
    assert summary["known_shoppers"] == outcome.known > 10

    def run_of(client):
        run = client.search_runs([client.get_experiment_by_name("desirepath").experiment_id])[0]
        files = {each.path for each in client.list_artifacts(run.info.run_id, "tuning")}
        return run.info.status, run.data.metrics["gain_mean"], files

    status, gain, files = bench.registry.call("look", run_of)
    assert status == "FINISHED"
    assert gain == pytest.approx(outcome.gain.mean)
    assert files == {f"tuning/{name}" for name in ("history.png", "training.toml", "trials.json")}

    again = tune(request, Limits(2, None, 1), bench)
    assert again.resumed == 2
    assert (again.rows, again.gain) == (outcome.rows, outcome.gain)
    draw_importances({"als.factors": 0.75, "als.alpha": 0.25}, tmp_path / "importances.png")
    assert (tmp_path / "importances.png").stat().st_size > 1_000


def test_only_one_search_runs_in_a_store(own_store: StoreLayout, bench: Workbench) -> None:
    (own_store.root / FOLDER).mkdir()
    with open_lock(own_store.root / FOLDER, 0.0), pytest.raises(RefusedError, match="another"):
        tune(TrainRequest(own_store, tiny_spec()), Limits(1, None, 1), bench)


@pytest.fixture
def judge(tiny_store: StoreLayout, tmp_path: Path) -> Judge:
    request = TrainRequest(tiny_store, tiny_spec(ranker=RANKER))
    return Judge.prepare(request, SharedFits(LocalEngine()), tmp_path)


def test_two_parts_share_nobody_and_nobody_is_asked_about_the_test_period(judge: Judge) -> None:
    cuts = find_cuts(judge.fitting.window.period, tiny_spec())
    parts = (judge.judge, judge.confirm)
    assert len(judge.without) == sum(map(len, parts))
    assert {part.period for part in parts} == {cuts.validation_period}
    assert judge.cuts == cuts
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_trial_learns_its_order_as_training_would_but_not_from_those_who_judge(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int, frozenset[str]]] = []
    questions = Questioner.questions

    def noted(self: Questioner, period: Period) -> list[Question]:
        asked.append((period.start, period.end, self.without))
        return questions(self, period)

    monkeypatch.setattr(Questioner, "questions", noted)
    spec, fitting = judge.fitting.spec, judge.fitting
    bundle = judge.model(spec)
    assert bundle.ranker is not None
    assert asked
    assert all(end <= judge.cuts.test for _, end, _ in asked)
    assert {without for *_, without in asked} == {judge.without}

    trainer = Trainer(fitting.engine, spec, judge.placement, tmp_path, without=judge.without)
    blend, ranker = trainer.learn_order(fitting, judge.cuts)
    expected = with_ranker(ranker, fitting.fit(judge.cuts.validation, blend)).bundle()
    assert bundle.manifest.info.blend == expected.manifest.info.blend
    assert bundle.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(bundle.arrays[name], array, err_msg=name)


def test_what_the_judging_shoppers_do_teaches_no_trial(judge: Judge, tmp_path: Path) -> None:
    window, period = judge.fitting.window, judge.cuts.validation_period
    spec = judge.fitting.spec
    everybody = Questioner(judge.fitting.engine, window, spec, tmp_path)
    some = replace(everybody, without=judge.without)
    left_out = {window.shopper_ids.index(name) for name in judge.without}
    assert set(everybody._moments(period)["shopper_idx"]) & left_out
    assert not set(some._moments(period)["shopper_idx"]) & left_out
    assert some.questions(period)
    asked = hold_out(
        judge.fitting.engine, window, spec, period, Sampling(1000, 0, judge.without), tmp_path
    )
    assert len(asked)
    assert not set(asked.shopper_ids) & judge.without


@pytest.mark.parametrize(
    ("gain", "confirmed"),
    [
        (Interval(0.02, 0.01, 0.03), True),
        (Interval(0.02, -0.01, 0.05), True),
        (Interval(0.0, -0.01, 0.01), False),
        (Interval(-0.01, -0.03, 0.01), False),
        (Interval(-0.02, -0.03, -0.01), False),
        (Interval(0.01, -0.03, -0.01), False),
    ],
)
def test_a_gain_is_confirmed_unless_the_shoppers_that_no_trial_saw_contradict(
    gain: Interval, confirmed: bool
) -> None:
    assert is_confirmed(gain) == confirmed


def test_too_few_shoppers_are_an_error_that_says_so(
    tiny_store: StoreLayout, tmp_path: Path
) -> None:
    spec = tiny_spec(evaluation={"max_users": 20})
    with pytest.raises(DataError, match=r"20 shoppers .* tuning needs 30"):
        Judge.prepare(TrainRequest(tiny_store, spec), LocalEngine(), tmp_path)
