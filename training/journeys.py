"""The journey report of a model on a store, beside popularity and the last champion; it is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from feature_store.layout import StoreLayout
from recommender.bundle import ModelBundle
from recommender.errors import BundleError, ConfigError
from recommender.placements import Placement, read_placements
from training.evaluation.journey_replay import Variant
from training.evaluation.journey_report import JourneyReport
from training.evaluation.journey_sample import sample_journeys
from training.evaluation.journeys import Contest, report_journeys
from training.evaluation.offline import by_sources_alone
from training.evaluation.plots_journeys import draw_all
from training.evaluation.report import POPULARITY
from training.exam import Store, innocent
from training.promotion import fetch_bundle, last_champion
from training.reevaluation import named_bundle, named_placement
from training.registry import RegisteredModel
from training.registry_run import Run
from training.spec import parse_spec
from training.split import Cuts, find_cuts
from training.workflow import Workbench

MODEL: Final = "model"
LAST_CHAMPION: Final = "last champion"


@dataclass(frozen=True, slots=True)
class JourneyRequest:
    """Whose journeys to report.

    Parameters
    ----------
    model
        Alias, version number, or folder of a bundle.
    placements
        Placement file.
    as_of
        Only what was known before counts, microseconds since the epoch; None: all of the log.
    """

    model: str
    layout: StoreLayout
    placements: Path
    as_of: int | None = None


def journey_report(request: JourneyRequest, bench: Workbench) -> JourneyReport:
    """Replay the store's hold-out journeys, write the report into the store, and record it.

    The report (``journeys.json``, ``journeys.md``, pictures) goes into the store's folder, and
    into the MLflow run of the model where it is a registered version.

    Raises
    ------
    DataError
        No journey lies in the hold-out period.
    """
    bundle, registered = named_bundle(request.model, bench.registry)
    spec = parse_spec(bundle.manifest.info.config)
    placement = named_placement(request.placements, spec)
    with tempfile.TemporaryDirectory(prefix="desirepath-journeys-") as scratch:
        store = Store(bench.engine, request.layout, Path(scratch), request.as_of)
        window = store.engine.ingest_window(store.layout, spec, store.as_of, store.workspace)
        cuts = find_cuts(window.period, spec)
        sample = sample_journeys(store, window, spec, cuts.test_period)
        contest = _contest(bundle, placement, request, bench, (store, cuts))
        rounds = len(contest.variants) + len(contest.pages)
        with bench.console.progress("journeys", rounds * len(sample.journeys)) as progress:
            report = report_journeys(sample, contest, spec, progress.advance)
    _keep(report, request.layout.root, registered, bench)
    return report


def _contest(
    bundle: ModelBundle,
    placement: Placement,
    request: JourneyRequest,
    bench: Workbench,
    question: tuple[Store, Cuts],
) -> Contest:
    model, how = innocent(bundle, *question)
    alone = by_sources_alone(model)
    variants = [
        Variant(MODEL, model, placement),
        Variant(POPULARITY, alone, replace(placement, sources=(POPULARITY,))),
    ]
    asked = {MODEL: (bundle.version, how), POPULARITY: (bundle.version, how)}
    for version, champion, how_champion in _last_champion(bundle, bench, question):
        variants.append(Variant(LAST_CHAMPION, champion, placement))
        asked[LAST_CHAMPION] = (version, how_champion)
    places = read_placements(request.placements).values()
    pages = tuple(Variant(MODEL, model, place, on_page=True) for place in places)
    return Contest(tuple(variants), pages, asked)


def _last_champion(
    bundle: ModelBundle, bench: Workbench, question: tuple[Store, Cuts]
) -> Iterator[tuple[str, ModelBundle, str]]:
    """The last champion as it can be asked, or nothing: with a word about why."""
    registered = last_champion(bench.registry, bundle.version)
    if registered is None:
        bench.console.say("no champion but this model: nothing to put beside it")
        return
    try:
        champion = fetch_bundle(bench.registry, registered)
        yield champion.version, *innocent(champion, *question)
    except (BundleError, ConfigError) as error:
        bench.console.say(f"version {registered.version} is left out: {error}")


def _keep(
    report: JourneyReport, root: Path, registered: RegisteredModel | None, bench: Workbench
) -> None:
    report.save(root)
    draw_all(report, root)
    if registered is None:
        return
    with tempfile.TemporaryDirectory(prefix="desirepath-report-") as scratch:
        folder = Path(scratch)
        report.save(folder)
        draw_all(report, folder)
        Run(bench.registry, registered.run_id, bench.clock).log_folder(folder, "journeys")
