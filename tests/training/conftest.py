from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before anything imports MLflow

from training.registry import Registry, Tracking


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
