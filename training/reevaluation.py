"""Later looks at registered models: evaluate one again, or put one through the gate again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from feature_store.layout import StoreLayout
from recommender.bundle import ModelBundle, load_bundle
from recommender.errors import ConfigError
from recommender.placements import Placement, read_placements
from training.evaluation.candidate_report import CandidateReport
from training.evaluation.candidates import candidate_report
from training.evaluation.offline import evaluate
from training.evaluation.plots_candidates import draw_candidates
from training.evaluation.report import EvaluationReport
from training.exam import Exam, Store, set_exam, window_end
from training.gate import GateReport
from training.promotion import Contender, fetch_bundle, put_through_gate
from training.registry import RegisteredModel, Registry
from training.registry_run import Run
from training.spec import TrainingSpec, parse_spec
from training.workflow import Workbench


@dataclass(frozen=True, slots=True)
class Reevaluation:
    """A report, and what it is about.

    Parameters
    ----------
    bundle_version
        The model that was named.
    asked
        Whether it was asked itself or its recipe was fitted again, see `training.exam`.
    """

    bundle_version: str
    asked: str
    report: EvaluationReport


def reevaluate(
    model: str, layout: StoreLayout, bench: Workbench, placements: Path, as_of: int | None
) -> Reevaluation:
    """Evaluate a model on the hold-out shoppers that the store has now.

    Parameters
    ----------
    model
        Alias, version number, or folder of a bundle.
    as_of
        Only what was known before counts, microseconds since the epoch; None: all of the log.
    """
    bundle, _ = named_bundle(model, bench.registry)
    with (
        _asked_fairly(bundle, layout, bench, placements, as_of) as (innocent, how, exam),
        bench.console.progress("variants", len(bundle.sources) + 1) as progress,
    ):
        report = evaluate(
            innocent,
            exam.test,
            exam.placement,
            exam.spec.evaluation,
            on_variant=lambda _: progress.advance(),
        )
    return Reevaluation(bundle.version, how, report)


@dataclass(frozen=True, slots=True)
class CandidateRecall:
    """A candidate report, what it is about, and where it was kept.

    Parameters
    ----------
    bundle_version, asked
        See `Reevaluation`.
    files
        The report as JSON and Markdown, and the picture.
    run_id
        The MLflow run that has them as well; None for a bundle that was named by its folder.
    """

    bundle_version: str
    asked: str
    report: CandidateReport
    files: tuple[Path, ...]
    run_id: str | None


def measure_candidates(
    model: str, layout: StoreLayout, bench: Workbench, placements: Path, as_of: int | None
) -> CandidateRecall:
    """Recall of a model's candidate sources, see `training.evaluation.candidates`.

    The parameters are those of `reevaluate`. The report is written into the store's folder and,
    for a registered model, to its run.
    """
    bundle, registered = named_bundle(model, bench.registry)
    with _asked_fairly(bundle, layout, bench, placements, as_of) as (innocent, how, exam):
        settings = exam.spec.evaluation
        with bench.console.progress("shoppers", len(exam.test)) as progress:
            report = candidate_report(
                innocent, exam.test, exam.placement, settings, progress.advance
            )
    files = [*report.save(layout.root), draw_candidates(report, layout.root)]
    if registered is not None:
        run = Run(bench.registry, registered.run_id, bench.clock)
        for path in files:
            run.log_file(path, "candidates")
    run_id = registered.run_id if registered else None
    return CandidateRecall(bundle.version, how, report, tuple(files), run_id)


@contextmanager
def _asked_fairly(
    bundle: ModelBundle,
    layout: StoreLayout,
    bench: Workbench,
    placements: Path,
    as_of: int | None,
) -> Iterator[tuple[ModelBundle, str, Exam]]:
    """A model that knows nothing of the hold-out period, how it came about, and the questions."""
    spec = parse_spec(bundle.manifest.info.config)
    placement = named_placement(placements, spec)
    with tempfile.TemporaryDirectory(prefix="desirepath-evaluate-") as scratch:
        exam = set_exam(Store(bench.engine, layout, Path(scratch), as_of), spec, placement)
        innocent, how = exam.innocent(bundle)
        yield innocent, how, exam


@dataclass(frozen=True, slots=True)
class Judged:
    """A registered version with what the gate says of it; nothing was changed.

    Parameters
    ----------
    spec
        That it was trained with.
    """

    registered: RegisteredModel
    spec: TrainingSpec
    gate: GateReport


def judge_again(model: str, layout: StoreLayout, bench: Workbench, placements: Path) -> Judged:
    """Put a registered version through the gate.

    The store is taken as it was known at the end of the version's data window.
    """
    registered = bench.registry.require(model)
    served = fetch_bundle(bench.registry, registered)
    spec = parse_spec(served.manifest.info.config)
    placement = named_placement(placements, spec)
    with tempfile.TemporaryDirectory(prefix="desirepath-promote-") as scratch:
        store = Store(bench.engine, layout, Path(scratch), window_end(served))
        exam = set_exam(store, spec, placement)
        judged, _ = exam.innocent(served)
        report = put_through_gate(exam, Contender(registered, judged, served), bench.registry)
    return Judged(registered, spec, report)


def named_bundle(model: str, registry: Registry) -> tuple[ModelBundle, RegisteredModel | None]:
    """The bundle of an alias, version number or folder, and the version it is registered as."""
    folder = Path(model)
    if (folder / "manifest.json").is_file():
        return load_bundle(folder), None
    registered = registry.require(model)
    return fetch_bundle(registry, registered), registered


def named_placement(placements: Path, spec: TrainingSpec) -> Placement:
    """The placement that the specification asks at. Raises `ConfigError`."""
    known = read_placements(placements)
    name = spec.evaluation.placement
    if name not in known:
        accepted = ", ".join(sorted(known))
        raise ConfigError(f"evaluation.placement={name!r}; {placements} has: {accepted}")
    return known[name]
