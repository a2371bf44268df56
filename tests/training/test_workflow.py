from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from feature_store.checks import CheckReport, Gate
from feature_store.layout import StoreLayout
from recommender.bundle import load_bundle
from recommender.bundle_folder import current
from recommender.errors import ConfigError, DataError, RefusedError
from tests.training.conftest import Shop
from tests.training.tiny_log import tiny_spec, write_log
from training.registry import CHALLENGER, CHAMPION, Registry
from training.workflow import LogFile, TrainOutcome, TrainRequest, Workbench, train


def _artifacts(registry: Registry, run_id: str, folder: str) -> set[str]:
    found = registry.call("list", lambda client: client.list_artifacts(run_id, folder))
    return {Path(each.path).name for each in found}


def _run(registry: Registry, run_id: str) -> Any:
    return registry.call("read", lambda client: client.get_run(run_id))


@pytest.fixture
def outcome(finished_shop: Shop) -> TrainOutcome:
    finished_shop.bench.registry.require(CHAMPION)  # MLflow looks at this store from here on
    return finished_shop.outcome


def test_a_run_leaves_a_champion_and_a_delivered_bundle(
    outcome: TrainOutcome, finished_shop: Shop
) -> None:
    bench = finished_shop.bench
    assert outcome.promoted, outcome.gate.reasons
    assert bench.registry.require(CHAMPION).version == outcome.registered.version
    assert bench.registry.require(CHALLENGER).version == outcome.registered.version
    folder = current(finished_shop.layout.bundles)
    assert folder is not None
    assert load_bundle(folder).version == outcome.registered.bundle_version


def test_the_run_tells_everything(outcome: TrainOutcome, finished_shop: Shop) -> None:
    run = _run(finished_shop.bench.registry, outcome.registered.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["als.factors"] == "8"
    metrics = run.data.metrics
    assert metrics["ingest_rows_in"] == metrics["ingest_kept"] == 2000
    assert metrics["ndcg_at_10"] == pytest.approx(outcome.report.metrics["ndcg_at_10"])
    assert "popularity_ndcg_at_10" in metrics
    assert metrics["stage_als_seconds"] >= 0
    assert metrics["stage_als_peak_mb"] > 10
    assert metrics["gate_users"] == outcome.report.users
    (data,) = run.inputs.dataset_inputs
    digest = outcome.registered.tags["data_digest"]
    assert digest.startswith(data.dataset.digest)
    assert run.data.tags["data_digest"] == digest
    assert len(run.outputs.model_outputs) == 1


def test_the_run_keeps_report_plots_lineage_and_verdict(
    outcome: TrainOutcome, finished_shop: Shop
) -> None:
    registry, run_id = finished_shop.bench.registry, outcome.registered.run_id
    names = _artifacts(registry, run_id, "evaluation")
    assert {"evaluation.json", "evaluation.md", "ranker.png"} <= names
    assert sum(name.endswith(".png") for name in names) >= 3
    assert _artifacts(registry, run_id, "lineage") == {"libraries.json", "log_offsets.json"}
    path = registry.call(
        "read", lambda client: client.download_artifacts(run_id, "lineage/log_offsets.json")
    )
    (source,) = json.loads(Path(path).read_text())["sources"]
    assert (source["name"], source["rows_in"]) == ("log.parquet", 2000)
    verdict = registry.call(
        "read", lambda client: client.download_artifacts(run_id, "gate/gate.json")
    )
    assert json.loads(Path(verdict).read_text())["passed"] is True
    assert registry.require(CHAMPION).tags["gate"] == "passed"


@pytest.mark.usefixtures("no_plots")
def test_the_same_input_gives_the_same_bundle(shop: Shop) -> None:
    again = train(shop.request, shop.bench)
    assert again.registered.version != shop.outcome.registered.version
    assert again.registered.tags["bundle_digest"] == shop.outcome.registered.tags["bundle_digest"]
    assert again.ingested is not None
    assert again.ingested.kept == 0


@pytest.mark.usefixtures("no_plots")
def test_the_same_log_elsewhere_gives_the_same_bundle(
    bench: Workbench, finished_shop: Shop, tmp_path: Path
) -> None:
    log = LogFile(write_log(tmp_path / "copy.parquet"), "desirepath-parquet")
    other = train(TrainRequest(StoreLayout(tmp_path / "store"), tiny_spec(), log), bench)
    first = finished_shop.outcome.registered
    assert other.registered.tags["bundle_digest"] == first.tags["bundle_digest"]


@pytest.mark.usefixtures("no_plots")
def test_a_refused_model_does_not_serve(shop: Shop) -> None:
    first = shop.outcome.registered
    refused = train(replace(shop.request, spec=tiny_spec(gate={"min_ndcg": 0.99})), shop.bench)
    assert not refused.promoted
    assert refused.delivery is None
    assert any(reason.startswith("ndcg is") for reason in refused.gate.reasons)
    assert shop.bench.registry.require(CHAMPION).version == first.version
    assert shop.bench.registry.require(CHALLENGER).version == refused.registered.version
    assert shop.bench.registry.require(CHALLENGER).tags["gate"] == "refused"
    folder = current(shop.layout.bundles)
    assert folder is not None
    assert folder.name == first.bundle_version


@pytest.mark.usefixtures("no_plots")
def test_only_what_was_known_counts(shop: Shop) -> None:
    as_of = 1_771_000_000_000_000  # 13 February 2026
    earlier = train(replace(shop.request, as_of=as_of, log=None), shop.bench)
    assert earlier.registered.tags["window_end"] == "2026-02-13T16:26:40+00:00"
    assert earlier.counts["kept"] < shop.outcome.counts["kept"]


@pytest.fixture
def request_(tmp_path: Path) -> TrainRequest:
    return TrainRequest(StoreLayout(tmp_path / "store"), tiny_spec())


def test_a_failed_run_is_recorded_with_its_reason(
    bench: Workbench, request_: TrainRequest, tmp_path: Path
) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"this is no log")
    broken = replace(request_, log=LogFile(tmp_path / "broken.parquet", "desirepath-parquet"))
    with pytest.raises(DataError):
        train(broken, bench)
    (run,) = bench.registry.call(
        "read",
        lambda client: client.search_runs(
            [client.get_experiment_by_name("desirepath").experiment_id]
        ),
    )
    assert run.info.status == "FAILED"
    assert "DataError" in run.data.tags["error"]


def test_a_log_of_which_nothing_is_kept_ends_the_run(shop: Shop, tmp_path: Path) -> None:
    """Even where the tables hold enough to train on: a new model would look like a new log."""
    text = tmp_path / "events.jsonl"
    text.write_text("no json\n")
    request = replace(shop.request, log=LogFile(text, "desirepath-jsonl"))
    with pytest.raises(RefusedError, match=r"none of its 1 rows was kept \(bad_json 1\)"):
        train(request, shop.bench)


def test_bad_data_end_the_run_if_asked_to(
    bench: Workbench,
    request_: TrainRequest,
    monkeypatch: pytest.MonkeyPatch,
    own_store: StoreLayout,
) -> None:
    bad = Gate("volume", 0.7, 0.5, is_tripped=True, detail="10 events, usual 33")
    report = CheckReport("2026-02-28", 10, (bad,))
    monkeypatch.setattr("training.workflow.check_data", lambda *_: report)
    careful = replace(request_, layout=own_store, refuse_bad_data=True)
    with pytest.raises(RefusedError, match=r"volume is 0\.7, limit 0\.5"):
        train(careful, bench)
    assert bench.registry.resolve(CHALLENGER) is None


def test_an_unknown_placement_is_refused_before_anything_happens(
    bench: Workbench, request_: TrainRequest
) -> None:
    wrong = replace(request_, spec=tiny_spec(evaluation={"placement": "attic"}))
    with pytest.raises(ConfigError, match="attic"):
        train(wrong, bench)
    assert bench.registry.call("read", lambda c: c.get_experiment_by_name("desirepath")) is None


def test_the_registered_model_carries_a_question_it_can_answer(
    outcome: TrainOutcome,
) -> None:
    import mlflow.pyfunc

    model = mlflow.pyfunc.load_model(f"models:/desirepath@{CHAMPION}")
    (answer,) = model.predict(model.input_example)
    assert answer.model_version == outcome.registered.bundle_version
    assert len(answer.items) == 5
