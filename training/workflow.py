"""One training run from log to champion, with everything that happened in one MLflow run.

ingest → checks → temporal split → fit → blend → evaluation → fit on everything → bundle → MLflow
run and registered version (alias ``challenger``) → gate → alias ``champion`` → delivered folder.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from feature_store.catalogue import catalogue_digest
from feature_store.checks import CheckReport
from feature_store.console import Console
from feature_store.ingest import IngestOptions, ingest
from feature_store.ingest_report import IngestReport
from feature_store.layout import StoreLayout
from recommender.bundle import ModelBundle, load_bundle, save_bundle
from recommender.errors import ConfigError
from recommender.placements import DEFAULT_FILE, Placement, read_placements
from training.data_checks import check_data, check_metrics, refuse_tripped
from training.dataset import known_before
from training.deliver import Delivery, deliver
from training.engine import Engine
from training.evaluation.plots import draw_all
from training.evaluation.plots_ranker import draw_ranker
from training.evaluation.report import EvaluationReport
from training.exam import Exam, Store
from training.gate import GateReport
from training.lineage import lineage_of
from training.promotion import Contender, put_through_gate, settle
from training.registry import (
    CATALOGUE_DIGEST_TAG,
    CHALLENGER,
    CHAMPION,
    RegisteredModel,
    Registry,
)
from training.registry_run import Run, start_run
from training.spec import TrainingSpec
from training.stages import StageCost, Stages
from training.trainer import Trained, Trainer


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log to bring in before training; `source_format` is a name of the loader registry."""

    path: Path
    source_format: str


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What to train.

    Parameters
    ----------
    log
        Brought in first; None trains on what the tables hold.
    placements
        Placement file: where evaluation asks, and what the registered model answers with.
    as_of
        Only what was known before this moment counts, microseconds since the epoch; None: all.
    refuse_bad_data
        A tripped data gate ends the run; False only reports it.
    """

    layout: StoreLayout
    spec: TrainingSpec
    log: LogFile | None = None
    placements: Path = DEFAULT_FILE
    as_of: int | None = None
    refuse_bad_data: bool = False

    @property
    def placement(self) -> Placement:
        """The place that the model is judged at. Raises `ConfigError`."""
        known = read_placements(self.placements)
        name = self.spec.evaluation.placement
        if name not in known:
            raise ConfigError(
                f"evaluation.placement={name!r} is not in {self.placements}; "
                f"accepted: {', '.join(sorted(known))}"
            )
        return known[name]


@dataclass(frozen=True, slots=True)
class Workbench:
    """What every training run works with.

    Parameters
    ----------
    clock
        Microseconds since the epoch, UTC; for the record of the run only, never for the model.
    """

    engine: Engine
    registry: Registry
    clock: Callable[[], int]
    console: Console


@dataclass(frozen=True, slots=True)
class TrainOutcome:
    """What a training run gave.

    Parameters
    ----------
    ingested
        None when no log was given.
    delivery
        None when the gate refused.
    """

    registered: RegisteredModel
    report: EvaluationReport
    gate: GateReport
    checks: CheckReport
    counts: Mapping[str, int]
    stages: tuple[StageCost, ...]
    ingested: IngestReport | None
    delivery: Delivery | None

    @property
    def promoted(self) -> bool:
        """Whether the new version is the champion."""
        return self.gate.passed


def train(request: TrainRequest, bench: Workbench) -> TrainOutcome:
    """Train, record, register, judge, and deliver if the gate lets it through.

    Raises
    ------
    DataError
        The log is not what its format says, too short, or fails a check.
    RefusedError
        No row of the log was kept; or a data gate tripped, and the request says that this ends the
        run.
    RegistryError
        MLflow does not answer.
    """
    placement = request.placement
    stages = Stages(announce=lambda stage: bench.console.say(f"  {stage} …"))
    with start_run(bench.registry, "train", bench.clock) as run:
        run.log_params(request.spec.resolved)
        ingested = bring_in(request, stages, bench.console)
        checks = _check(run, request, stages)
        with tempfile.TemporaryDirectory(prefix="desirepath-train-") as scratch:
            workspace = Path(scratch)
            trainer = Trainer(bench.engine, request.spec, placement, workspace, stages.stage)
            trained = trainer.train(request.layout, request.as_of)
            trained.report.save(request.layout.root)
            _log_training(run, request, trained, ingested)
            contender = _register(run, request, trained, stages, workspace)
            store = Store(bench.engine, request.layout, workspace, request.as_of)
            exam = Exam(store, request.spec, placement, trained.cuts, trained.test)
            with stages.stage("gate"):
                gate = put_through_gate(exam, contender, bench.registry)
                settle(bench.registry, contender.registered, gate)
        delivery = _deliver(request.layout, bench.registry, stages) if gate.passed else None
        run.log_metrics(stages.metrics | gate.metrics)
    return TrainOutcome(
        contender.registered,
        trained.report,
        gate,
        checks,
        dict(trained.window.counts),
        tuple(stages.costs),
        ingested,
        delivery,
    )


def bring_in(request: TrainRequest, stages: Stages, console: Console) -> IngestReport | None:
    """Ingest the request's log, if it has one. Raises `RefusedError` when no row was kept."""
    if request.log is None:
        return None
    with stages.stage("ingest"), console.progress("rows", None) as progress:
        options = IngestOptions(on_rows=progress.advance)
        report = ingest(request.log.path, request.log.source_format, request.layout, options)
    report.refuse_nothing_kept()
    return report


def _check(run: Run, request: TrainRequest, stages: Stages) -> CheckReport:
    with stages.stage("checks"):
        report = check_data(request.layout, request.as_of)
    run.log_metrics(check_metrics(report))
    run.log_dict(msgspec.to_builtins(report), "checks/checks.json")
    if request.refuse_bad_data:
        refuse_tripped(report)
    return report


def _log_training(
    run: Run, request: TrainRequest, trained: Trained, ingested: IngestReport | None
) -> None:
    counts = {f"window_{name}": float(n) for name, n in trained.window.counts.items()}
    if ingested is not None:
        counts |= ingest_metrics(ingested)
    run.log_metrics(counts | trained.report.metrics | dict(trained.expectation))
    log = request.log.path if request.log else None
    run.log_data(lineage_of(request.layout, trained.window, log))
    with tempfile.TemporaryDirectory(prefix="desirepath-report-") as scratch:
        folder = Path(scratch)
        trained.report.save(folder)
        draw_all(trained.report, folder)
        if trained.ranker is not None:
            draw_ranker(trained.ranker.heads, folder)
        run.log_folder(folder, "evaluation")
    if trained.ranker is not None:
        run.log_metrics(trained.ranker.metrics)
        run.log_dict(trained.ranker.summary, "ranker/ranker.json")
    if ingested is not None:
        run.log_dict(ingest_summary(ingested), "ingest/ingest.json")


def _register(
    run: Run, request: TrainRequest, trained: Trained, stages: Stages, workspace: Path
) -> Contender:
    with stages.stage("bundle"):
        folder = workspace / "bundle"
        save_bundle(folder, trained.model.arrays, trained.model.info)
        served = load_bundle(folder)
    with stages.stage("register"):
        run.log_tags({"mlflow.runName": served.version, "bundle_version": served.version})
        run.log_dict(dict(served.manifest.info.libraries), "lineage/libraries.json")
        question = example_question(served, request.placement.name)
        registered = run.register(served, folder, request.placements, question)
        digest = catalogue_digest(request.layout, known_before(request.as_of))
        run.registry.set_tags(registered.version, {CATALOGUE_DIGEST_TAG: digest})
        run.registry.set_alias(CHALLENGER, registered.version)
    return Contender(registered, trained.judged.bundle(), served, trained.report)


def _deliver(layout: StoreLayout, registry: Registry, stages: Stages) -> Delivery:
    with stages.stage("deliver"):
        # A model that has just passed the gate is delivered on purpose, also where an equal one
        # was rolled back before.
        return deliver(registry, CHAMPION, layout.bundles, again=True)


def example_question(bundle: ModelBundle, placement: str) -> dict[str, object]:
    """A question that the registered model is shipped with: two popular items, nobody's history."""
    info, catalogue = bundle.manifest.info, bundle.catalogue
    popular = [catalogue.ids.id(int(index)) for index in catalogue.popular_order[:2]]
    return {"placement": placement, "at": info.window_end, "context_items": popular, "limit": 5}


def ingest_metrics(report: IngestReport) -> dict[str, float]:
    """Counts of an ingest as flat figures: in, kept, and rejected by reason."""
    flat = {
        "ingest_rows_in": report.rows_in,
        "ingest_kept": report.kept,
        "ingest_duplicates": report.duplicates,
        "ingest_rejected": report.rejected_rows,
    }
    flat |= {f"ingest_rejected_{reason}": n for reason, n in report.rejected.items()}
    return {name: float(value) for name, value in flat.items()}


def ingest_summary(report: IngestReport) -> dict[str, object]:
    """Counts of an ingest for people and for the run."""
    return {
        "source": report.source,
        "format": report.source_format,
        "digest": report.source_digest,
        "rows_in": report.rows_in,
        "kept": report.kept,
        "duplicates": report.duplicates,
        "rejected": report.rejected,
        "skipped": report.skipped,
    }
