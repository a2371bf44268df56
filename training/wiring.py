"""Composition root of the verbs: from options to the objects that the workflow takes."""

from __future__ import annotations

import os
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from feature_store.console import Console
from feature_store.layout import StoreLayout
from recommender.errors import InvalidInputError
from recommender.placements import DEFAULT_FILE
from training.registry import Registry, Tracking

if TYPE_CHECKING:
    from training.spec import TrainingSpec
    from training.workflow import TrainRequest, Workbench


def make_request(
    out: Path,
    log: tuple[Path | None, str | None],
    config: Path | None,
    placements: Path | None,
    as_of: datetime | None,
) -> TrainRequest:
    """What to train. Raises `InvalidInputError` where the options do not fit together."""
    from training.workflow import LogFile, TrainRequest

    path, source_format = log
    if path is None and source_format is not None:
        raise InvalidInputError(f"--format {source_format} without --log; name the file too")
    log_file = LogFile(path, source_format or recognise(path)) if path else None
    return TrainRequest(
        StoreLayout(out), _spec(config), log_file, placements or DEFAULT_FILE, micros(as_of)
    )


def recognise(log: Path) -> str:
    """Name of the format that a log looks like. Raises `InvalidInputError` where none fits."""
    from feature_store import datasets

    if (found := datasets.recognise(log).format_name) is None:
        raise InvalidInputError(f"{log}: its format is not evident; say it with --format")
    return found


def _spec(config: Path | None) -> TrainingSpec:
    from training.spec import TrainingSpec, load_spec

    return load_spec(config) if config else TrainingSpec()


def make_workbench(out: Path, tracking_uri: str | None, console: Console) -> Workbench:
    """Engine, registry, clock and console of a run."""
    # Before numpy comes in: implicit wants one BLAS thread, it parallelises over users itself.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from training.engines.local import LocalEngine
    from training.workflow import Workbench

    registry = Registry(make_tracking(out, tracking_uri, 120.0))
    return Workbench(LocalEngine(), registry, lambda: time.time_ns() // 1000, console)


def make_tracking(out: Path, tracking_uri: str | None, timeout: float) -> Tracking:
    """Registry that was named, or the one in the folder."""
    if tracking_uri:
        return Tracking(tracking_uri, timeout_seconds=timeout)
    return Tracking.in_folder(out, timeout)


def micros(moment: datetime | None) -> int | None:
    """Microseconds since the epoch of a moment given in UTC."""
    return None if moment is None else round(moment.replace(tzinfo=UTC).timestamp() * 1e6)


def stop_event() -> threading.Event:
    """Set when the process is told to stop."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
