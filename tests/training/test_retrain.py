from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from feature_store.catalogue_file import install_catalogue
from feature_store.events import EventItem, InteractionEvent
from feature_store.intake import Intake
from feature_store.layout import StoreLayout
from feature_store.online.memory import MemoryStore
from feature_store.online.visitors import Visitors
from recommender.bundle_folder import current
from recommender.terms import VIEW_ITEM
from tests.training.conftest import Shop
from tests.training.tiny_log import BEGIN, DAYS, item_id, tiny_spec, visits, write_log
from training import retrain as module
from training.deliver import open_lock, roll_back
from training.registry import CHALLENGER, CHAMPION, RegistryError
from training.retrain import EXIT_CODES, retrain
from training.workflow import LogFile, TrainRequest, Workbench

pytestmark = pytest.mark.usefixtures("no_plots")


@pytest.fixture
def request_(own_store: StoreLayout) -> TrainRequest:
    return TrainRequest(own_store, tiny_spec())


def _next_days(folder: Path, seed: int = 9) -> LogFile:
    later = visits(begin=BEGIN + timedelta(days=DAYS), days=10, seed=seed)
    return LogFile(write_log(folder / f"later-{seed}.parquet", later), "desirepath-parquet")


def test_the_first_run_promotes_and_the_second_has_nothing_new(
    request_: TrainRequest, bench: Workbench
) -> None:
    first = retrain(request_, bench)
    assert (first.outcome, first.exit_code) == ("promoted", 0)
    second = retrain(request_, bench)
    assert (second.outcome, second.exit_code) == ("nothing_new", 3)
    assert second.trained is None
    assert bench.registry.resolve("2") is None


def test_new_data_are_learnt(request_: TrainRequest, bench: Workbench, tmp_path: Path) -> None:
    first = retrain(request_, bench)
    more = replace(request_, log=_next_days(tmp_path))
    second = retrain(more, bench)
    assert second.trained is not None
    assert second.ingested[0].kept == 2000
    assert bench.registry.require(CHALLENGER).version == "2"
    assert first.trained is not None
    assert (
        second.trained.registered.tags["data_digest"]
        != first.trained.registered.tags["data_digest"]
    )
    assert retrain(more, bench).outcome == "nothing_new"


def test_what_the_service_logged_is_learnt(shop: Shop) -> None:
    now = round((BEGIN + timedelta(days=DAYS + 1)).timestamp() * 1e6)
    events = [
        InteractionEvent(
            event_id=f"{visitor}-{step}",
            event_type=VIEW_ITEM,
            ts=now - (40 - step) * 1_000_000,
            visitor_id=f"visitor-{visitor:03d}",
            items=(EventItem(item_id(2 * step + visitor % 2)),),
        )
        for visitor in range(20)
        for step in range(5)
    ]
    intake = Intake(shop.layout, Visitors(MemoryStore(lambda: now)), lambda: now)
    intake.submit(events, [b""] * len(events)).result(timeout=30)
    intake.close()
    outcome = retrain(replace(shop.request, log=None), shop.bench)
    assert [(each.source_format, each.kept) for each in outcome.ingested] == [
        ("desirepath-log", 100)
    ]
    assert outcome.trained is not None
    version = outcome.trained.registered
    assert version.tags["window_end"] > shop.outcome.registered.tags["window_end"]
    offsets = shop.bench.registry.call(
        "read",
        lambda client: client.download_artifacts(version.run_id, "lineage/log_offsets.json"),
    )
    (positions,) = json.loads(Path(offsets).read_text())["log_positions"].values()
    assert sum(positions.values()) > 1000
    assert retrain(replace(shop.request, log=None), shop.bench).outcome == "nothing_new"


def test_new_settings_are_new(shop: Shop) -> None:
    other = replace(shop.request, spec=tiny_spec(als={"factors": 9}))
    assert retrain(other, shop.bench).trained is not None


def test_a_changed_catalogue_is_new(shop: Shop, tmp_path: Path) -> None:
    assert retrain(shop.request, shop.bench).outcome == "nothing_new"
    hidden = pl.DataFrame({"item_id": [item_id(0)], "available": [False]})
    hidden.write_csv(tmp_path / "catalogue.csv")
    install_catalogue(tmp_path / "catalogue.csv", shop.layout)
    assert retrain(shop.request, shop.bench).trained is not None


def test_a_refused_version_is_not_trained_again_without_news(
    request_: TrainRequest, bench: Workbench
) -> None:
    strict = replace(request_, spec=tiny_spec(gate={"min_ndcg": 0.99}))
    refused = retrain(strict, bench)
    assert (refused.outcome, refused.exit_code) == ("refused", 1)
    assert bench.registry.resolve(CHAMPION) is None
    assert retrain(strict, bench).outcome == "nothing_new"


def test_only_one_runs_at_a_time(request_: TrainRequest, bench: Workbench) -> None:
    lock = request_.layout.root / "retrain.lock"
    lock.touch()
    with open_lock(lock, wait_seconds=0):
        outcome = retrain(request_, bench)
    assert (outcome.outcome, outcome.exit_code) == ("busy", 4)
    assert retrain(request_, bench).outcome == "promoted"


def test_a_run_that_died_before_its_verdict_is_done_again(
    request_: TrainRequest, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import training.workflow

    with monkeypatch.context() as patch:
        patch.setattr(training.workflow, "put_through_gate", _dies)
        with pytest.raises(RegistryError):
            retrain(request_, bench)
    assert bench.registry.require(CHALLENGER).version == "1"
    assert retrain(request_, bench).outcome == "promoted"
    assert bench.registry.require(CHAMPION).version == "2"


def test_a_run_that_died_before_delivery_is_delivered_by_the_next(
    request_: TrainRequest, bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import training.workflow

    with monkeypatch.context() as patch:
        patch.setattr(training.workflow, "deliver", _dies)
        with pytest.raises(RegistryError):
            retrain(request_, bench)
    assert current(request_.layout.bundles) is None
    second = retrain(request_, bench)
    assert second.outcome == "nothing_new"
    assert second.delivery is not None
    folder = current(request_.layout.bundles)
    assert folder is not None
    assert folder.name == bench.registry.require(CHAMPION).bundle_version


def _dies(*_: object, **__: object) -> None:
    raise RegistryError("killed here")


def test_what_was_rolled_back_stays_back(shop: Shop, tmp_path: Path) -> None:
    lenient = tiny_spec(gate={"max_ndcg_loss": 1.0})
    more = replace(shop.request, log=_next_days(tmp_path), spec=lenient)
    assert retrain(more, shop.bench).outcome == "promoted"
    back = roll_back(shop.layout.bundles)
    again = retrain(more, shop.bench)
    assert (again.outcome, again.delivery) == ("nothing_new", None)
    folder = current(shop.layout.bundles)
    assert folder is not None
    assert folder.name == back.bundle_version


def test_every_outcome_has_an_exit_code_of_its_own() -> None:
    outcomes = {module.PROMOTED, module.REFUSED, module.NOTHING_NEW, module.BUSY}
    assert set(EXIT_CODES) == outcomes
    assert len(set(EXIT_CODES.values())) == len(outcomes)
    assert 2 not in EXIT_CODES.values()  # wrong usage
