"""Keeping a reading: as files, and in MLflow as a run of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from feature_store.layout import StoreLayout
from recommender.errors import InvalidInputError
from training.evaluation.experiment.drafts import InterleavingReading
from training.evaluation.experiment.markdown import to_markdown
from training.evaluation.experiment.plots import draw_all
from training.evaluation.experiment.report import ExperimentReading
from training.registry_run import start_run
from training.workflow import Workbench

# What MLflow accepts in the name of a metric.
_STRANGE: Final = re.compile(r"[^A-Za-z0-9_\-./ ]")


_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def reading_folder(layout: StoreLayout, key: str) -> Path:
    """Where the readings of a test are kept. Raises `InvalidInputError` for what is no key."""
    if not _KEY.fullmatch(key):
        raise InvalidInputError(f"experiment {key!r}; accepted: letters, digits, and . _ - inside")
    return layout.root / "reports" / f"experiment-{key}"


def keep(reading: ExperimentReading, folder: Path) -> list[Path]:
    """Write ``reading.json``, ``reading.md`` and the pictures; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "reading.json", folder / "reading.md"]
    paths[0].write_bytes(reading.to_json())
    paths[1].write_text(to_markdown(reading), "utf-8")
    return [*paths, *draw_all(reading, folder)]


def record_reading(reading: ExperimentReading, folder: Path, bench: Workbench) -> str:
    """Record a kept reading as an MLflow run; returns its id. Raises `RegistryError`."""
    with start_run(bench.registry, f"experiment {reading.experiment}", bench.clock) as run:
        run.log_tags(
            {
                "experiment.key": reading.experiment,
                "experiment.phase": str(reading.phase),
                "experiment.refusal": reading.refusal or "",
            }
        )
        run.log_metrics({_STRANGE.sub("_", name): value for name, value in reading.flat.items()})
        run.log_folder(folder, "experiment")
    return run.run_id


def keep_preference(reading: InterleavingReading, folder: Path) -> Path:
    """Write ``preference.json``; returns the path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "preference.json"
    path.write_bytes(reading.to_json())
    return path


def record_preference(reading: InterleavingReading, path: Path, bench: Workbench) -> str:
    """Record a kept preference as an MLflow run; returns its id. Raises `RegistryError`."""
    with start_run(bench.registry, f"interleaving {reading.experiment}", bench.clock) as run:
        run.log_tags({"experiment.key": reading.experiment, "experiment.verdict": reading.verdict})
        figures = {"preference": reading.preference.mean, "lists": float(reading.lists)}
        if reading.always is not None:
            figures |= {
                "preference_low": reading.always.low,
                "preference_high": reading.always.high,
            }
        run.log_metrics(figures)
        run.log_file(path, "experiment")
    return run.run_id
