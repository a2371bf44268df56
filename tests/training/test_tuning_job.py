from __future__ import annotations

import json
from pathlib import Path

import pytest

from feature_store.layout import StoreLayout
from recommender.errors import DataError, RefusedError
from tests.training.tiny_log import tiny_spec
from training.deliver import open_lock
from training.engines.local import LocalEngine
from training.spec import load_spec
from training.split import find_cuts
from training.tuning import Limits
from training.tuning_fits import SharedFits
from training.tuning_job import FOLDER, tune
from training.tuning_judge import Judge
from training.tuning_plots import draw_importances
from training.tuning_summary import tuning_summary
from training.workflow import TrainRequest, Workbench

pytestmark = pytest.mark.xdist_group("mlflow")


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


def test_the_three_parts_share_nobody_and_nobody_is_asked_about_the_test_period(
    tiny_store: StoreLayout, tmp_path: Path
) -> None:
    spec = tiny_spec()
    judge = Judge.prepare(TrainRequest(tiny_store, spec), SharedFits(LocalEngine()), tmp_path)
    cuts = find_cuts(judge.fitting.window.period, spec)
    parts = (judge.learn, judge.judge, judge.confirm)
    shoppers = [shopper for part in parts for shopper in part.shopper_ids]
    assert len(shoppers) == len(set(shoppers))
    assert {part.period for part in parts} == {cuts.validation_period}
    assert judge.until == cuts.validation
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_too_few_shoppers_are_an_error_that_says_so(
    tiny_store: StoreLayout, tmp_path: Path
) -> None:
    spec = tiny_spec(evaluation={"max_users": 20})
    with pytest.raises(DataError, match=r"20 shoppers .* tuning needs 30"):
        Judge.prepare(TrainRequest(tiny_store, spec), LocalEngine(), tmp_path)
