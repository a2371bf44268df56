from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before anything imports MLflow

from feature_store.console import Console
from feature_store.ingest import ingest
from feature_store.layout import StoreLayout
from recommender.bundle import ModelBundle
from recommender.placements import read_placements
from tests.training.tiny_log import tiny_spec, write_log
from training.engines.local import LocalEngine
from training.exam import Exam, Store
from training.registry import Registry, Tracking
from training.trainer import Trained, Trainer
from training.workflow import LogFile, TrainOutcome, TrainRequest, Workbench, train


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database with its tables; making one takes seconds, a copy none."""
    folder = tmp_path_factory.mktemp("mlflow")
    registry = Registry(Tracking(f"sqlite:///{folder / 'mlflow.db'}"))
    registry.call("create the tables", lambda client: client.search_experiments())
    return folder / "mlflow.db"


@pytest.fixture
def new_registry(migrated_database: Path) -> Callable[[Path], Registry]:
    """Makes a registry in a folder, from a copy of the migrated database."""

    def make(folder: Path) -> Registry:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(migrated_database, folder / "mlflow.db")
        return Registry(Tracking.in_folder(folder))

    return make


@pytest.fixture
def registry(new_registry: Callable[[Path], Registry], tmp_path: Path) -> Registry:
    return new_registry(tmp_path / "store")


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> StoreLayout:
    """Tables of the checkerboard shop. To be read only."""
    folder = tmp_path_factory.mktemp("shop")
    layout = StoreLayout(folder / "store")
    ingest(write_log(folder / "log.parquet"), "desirepath-parquet", layout)
    return layout


@dataclass(frozen=True)
class Trial:
    """A trained model of the checkerboard shop, and the questions that it was judged by."""

    exam: Exam
    trained: Trained

    @property
    def served(self) -> ModelBundle:
        return self.trained.model.bundle()

    @property
    def judged(self) -> ModelBundle:
        return self.trained.judged.bundle()


@pytest.fixture(scope="session")
def trial(tiny_store: StoreLayout, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    workspace = tmp_path_factory.mktemp("trial")
    spec, placement = tiny_spec(), read_placements()["next"]
    trained = Trainer(LocalEngine(), spec, placement, workspace).train(tiny_store)
    store = Store(LocalEngine(), tiny_store, workspace)
    return Trial(Exam(store, spec, placement, trained.cuts, trained.test), trained)


@pytest.fixture
def bench(registry: Registry) -> Workbench:
    """What training works with, in a store of its own."""
    return _bench(registry)


@pytest.fixture
def own_store(bench: Workbench, tiny_store: StoreLayout, tmp_path: Path) -> StoreLayout:
    """A copy of the checkerboard shop's tables beside the registry of `bench`."""
    shutil.copytree(tiny_store.root, tmp_path / "store", dirs_exist_ok=True)
    return StoreLayout(tmp_path / "store")


@dataclass(frozen=True)
class Shop:
    """A store in which one training run has ended, with its champion."""

    layout: StoreLayout
    bench: Workbench
    request: TrainRequest
    outcome: TrainOutcome


def _bench(registry: Registry) -> Workbench:
    return Workbench(LocalEngine(), registry, lambda: 1_800_000_000_000_000, Console())


@pytest.fixture(scope="session")
def finished_shop(migrated_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """To be read only; `shop` is a copy."""
    root = tmp_path_factory.mktemp("finished")
    shutil.copy(migrated_database, root / "mlflow.db")
    bench = _bench(Registry(Tracking.in_folder(root)))
    log = LogFile(write_log(root / "log.parquet"), "desirepath-parquet")
    request = TrainRequest(StoreLayout(root), tiny_spec(), log)
    return Shop(request.layout, bench, request, train(request, bench))


@pytest.fixture
def shop(finished_shop: Shop, tmp_path: Path) -> Shop:
    """A copy to work on; only the artifacts of the first run stay where they are."""
    root = tmp_path / "shop"
    shutil.copytree(finished_shop.layout.root, root, ignore=shutil.ignore_patterns("artifacts"))
    layout = StoreLayout(root)
    bench = _bench(Registry(Tracking.in_folder(root)))
    request = replace(finished_shop.request, layout=layout)
    return Shop(layout, bench, request, finished_shop.outcome)


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes a second; the tests of the workflow look at the pictures' names once."""
    for name in ("draw_all", "draw_ranker"):
        monkeypatch.setattr(f"training.workflow.{name}", lambda *_: [])
