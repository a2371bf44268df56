from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
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
from training.workflow import Workbench


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
    return Workbench(LocalEngine(), registry, lambda: 1_800_000_000_000_000, Console())


@pytest.fixture
def own_store(bench: Workbench, tiny_store: StoreLayout, tmp_path: Path) -> StoreLayout:
    """A copy of the checkerboard shop's tables beside the registry of `bench`."""
    shutil.copytree(tiny_store.root, tmp_path / "store", dirs_exist_ok=True)
    return StoreLayout(tmp_path / "store")
