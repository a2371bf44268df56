"""What is measured, each in a process of its own: ``python -m benchmarks.training_parts.steps``.

A process says on its last line of standard output, as JSON, what its stages took.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
from scipy import sparse

from feature_store.ingest import ingest
from feature_store.layout import StoreLayout
from feature_store.tables import scan_stored
from recommender.bundle import save_bundle
from recommender.placements import read_placements
from recommender.terms import EVENT_TYPE, ITEM_ID, VISITOR_ID
from training.engines.local import LocalEngine
from training.evaluation.report import BLEND, POPULARITY
from training.models.als import confidence
from training.simulation.run import RunRequest, run
from training.spec import TrainingSpec, load_spec, parse_spec
from training.stages import Stages
from training.trainer import Trainer

START = datetime(2026, 9, 1, tzinfo=UTC)
DAYS = 30
# What the simulator makes of a shopper in that time, with its defaults.
EVENTS_A_SHOPPER = 16.5
SIMULATE, BARE, TRAIN = "simulate", "bare", "train"


@dataclass(slots=True)
class Costs:
    """What each stage takes: seconds that pass, processor seconds of all threads, peak memory."""

    stages: Stages
    rows: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the block."""
        began = time.process_time()
        with self.stages.stage(name):
            yield
        spent = round(time.process_time() - began, 3)
        self.rows.append({**self.stages.costs[-1].as_row(), "cpu seconds": spent})


def simulate(folder: Path, events: int, _: TrainingSpec, costs: Costs) -> dict[str, Any]:
    """A shop of about so many events, into tables."""
    request = RunRequest(
        folder / "log",
        START,
        shoppers=round(events / EVENTS_A_SHOPPER),
        days=DAYS,
        items=round(5 * math.sqrt(events)),
        output="parquet",
    )
    with costs.stage("simulate"):
        made = run(request)
    with costs.stage("ingest"):
        brought = ingest(folder / "log" / "events", "desirepath-parquet", StoreLayout(folder))
    return {"events": made.events, "rows": brought.kept, "items": request.items}


def bare(folder: Path, _: int, spec: TrainingSpec, costs: Costs) -> dict[str, Any]:
    """The least that a factor model takes: one scan of the tables, one fit of `implicit`.

    With the settings of the specification, and visitors as they are in the log.
    """
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    with costs.stage("scan"):
        user_items = _scan(StoreLayout(folder), spec)
    with costs.stage("implicit"), threadpool_limits(1, "blas"):
        als = spec.als
        model = AlternatingLeastSquares(
            factors=als.factors,
            regularization=als.regularization,
            alpha=1.0,
            iterations=als.iterations,
            random_state=als.seed,
        )
        model.fit(confidence(user_items, als.alpha), show_progress=False)
    return {"pairs": int(user_items.nnz), "shoppers": user_items.shape[0]}


def _scan(layout: StoreLayout, spec: TrainingSpec) -> sparse.csr_array:
    weights = dict(spec.event_weights)
    pairs = (
        scan_stored(layout)
        .filter(pl.col(ITEM_ID).is_not_null(), pl.col(EVENT_TYPE).is_in(list(weights)))
        .with_columns(weight=pl.col(EVENT_TYPE).replace_strict(weights, return_dtype=pl.Float64))
        .group_by(VISITOR_ID, ITEM_ID)
        .agg(pl.col("weight").sum())
        .collect()
    )
    rows, columns = (pairs[name].rank("dense").to_numpy() - 1 for name in (VISITOR_ID, ITEM_ID))
    shape = (int(rows.max()) + 1, int(columns.max()) + 1)
    return sparse.csr_array((pairs["weight"].to_numpy(), (rows, columns)), shape=shape)


def train(folder: Path, _: int, spec: TrainingSpec, costs: Costs) -> dict[str, Any]:
    """A whole training run, up to the bundle on disk."""
    placement = read_placements()[spec.evaluation.placement]
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    trainer = Trainer(LocalEngine(), spec, placement, workspace, costs.stage)
    trained = trainer.train(StoreLayout(folder))
    with costs.stage("save"):
        version = f"bundle-{os.getpid()}"
        save_bundle(folder / version, trained.model.arrays, trained.model.info)
    report = trained.report
    shown = {
        name: report.variant(name).metrics[report.headline].mean for name in (BLEND, POPULARITY)
    }
    return {"measure": report.headline, **shown}


STEPS: dict[str, Callable[[Path, int, TrainingSpec, Costs], dict[str, Any]]] = {
    SIMULATE: simulate,
    BARE: bare,
    TRAIN: train,
}


def main() -> None:
    """Arguments: the step, its folder, the number of events, and a training file or nothing."""
    step, folder, events, config = sys.argv[1:5]
    costs = Costs(Stages(lambda name: print(f"  {step}: {name}", file=sys.stderr)))
    spec = load_spec(Path(config)) if config else parse_spec({})
    said = STEPS[step](Path(folder), int(events), spec, costs)
    print(json.dumps({"step": step, "stages": costs.rows, "said": said}))


if __name__ == "__main__":
    main()
