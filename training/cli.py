"""Verbs of training and delivery: train, tune, evaluate, report, promote, deliver, retrain.

Heavy libraries come in inside the functions, so that help and rollback are quick.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feature_store.cli_options import DEFAULT_STORE, MOMENTS, AsJson, FormatName
from feature_store.console import Console
from feature_store.layout import StoreLayout
from recommender.placements import DEFAULT_FILE
from training.registry import CHALLENGER, CHAMPION, Registry
from training.reports import cli as reports
from training.simulation.cli import simulate
from training.wiring import make_request, make_tracking, make_workbench, micros, stop_event

if TYPE_CHECKING:
    from training.deliver import Delivery
    from training.off_policy import OffPolicyRequest
    from training.workflow import Workbench

app = typer.Typer()
app.command()(simulate)
app.add_typer(reports.app, name="report")


class ChecksMode(StrEnum):
    """What a tripped data check does."""

    REFUSE = "refuse"
    REPORT = "report"


Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "--store",
        help="Folder for everything: tables, mlflow.db, artifacts, delivered bundles.",
    ),
]
Log = Annotated[Path | None, typer.Option(help="Log to bring in first: a file or folder.")]
Config = Annotated[
    Path | None, typer.Option(help="Training file, see training.toml; built-in defaults without.")
]
Placements = Annotated[
    Path | None, typer.Option(help="Placement file; without, the one that ships with the product.")
]
AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        "--at",
        formats=MOMENTS,
        help="Learn only from what was known before this moment (UTC).",
    ),
]
Checks = Annotated[
    ChecksMode,
    typer.Option(help="What a tripped data check does: end the run, or only stand in the report."),
]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        envvar="DESIREPATH_TRACKING_URI",
        help="MLflow server or database (or DESIREPATH_TRACKING_URI); without it mlflow.db in the "
        "folder is used.",
    ),
]


@app.command()
def train(
    *,
    out: Out = DEFAULT_STORE,
    log: Log = None,
    format_name: FormatName = None,
    config: Config = None,
    placements: Placements = None,
    as_of: AsOf = None,
    checks: Checks = ChecksMode.REPORT,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Train on a log, register the model, put it through the gate, and deliver it if it passes.

    Exit codes: 0 a new champion, 1 refused by the gate, 2 wrong usage.
    """
    from training.summary import show_training, training_summary
    from training.workflow import train as run

    console = Console(as_json)
    request = replace(
        make_request(out, (log, format_name), config, placements, as_of),
        refuse_bad_data=checks is ChecksMode.REFUSE,
    )
    bench = make_workbench(out, tracking_uri, console)
    outcome = run(request, bench)
    show_training(outcome, console)
    console.result(training_summary(outcome, bench.registry.tracking))
    raise typer.Exit(0 if outcome.promoted else 1)


@app.command()
def retrain(
    *,
    out: Out = DEFAULT_STORE,
    log: Log = None,
    format_name: FormatName = None,
    config: Config = None,
    placements: Placements = None,
    as_of: AsOf = None,
    checks: Checks = ChecksMode.REFUSE,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Train again if there is anything new: the one command for cron. Safe to repeat.

    The service's own log in the folder is brought in, and --log beside it.

    Exit codes: 0 promoted, 1 refused by the gate or a data check, 2 wrong usage, 3 nothing new,
    4 another one runs.
    """
    from training.retrain import retrain as run
    from training.summary import retraining_summary, show_training

    console = Console(as_json)
    request = replace(
        make_request(out, (log, format_name), config, placements, as_of),
        refuse_bad_data=checks is ChecksMode.REFUSE,
    )
    bench = make_workbench(out, tracking_uri, console)
    outcome = run(request, bench)
    if outcome.trained is not None:
        show_training(outcome.trained, console)
    console.result(retraining_summary(outcome, bench.registry.tracking))
    raise typer.Exit(outcome.exit_code)


@app.command()
def evaluate(
    *,
    out: Out = DEFAULT_STORE,
    model: Annotated[
        str, typer.Option(help="Alias, version number, or folder of a bundle.")
    ] = CHAMPION,
    candidates: Annotated[
        bool,
        typer.Option(
            "--candidates",
            help="Recall at 50, 100 and 200 candidates of each source and of their union, and "
            "what each adds; kept as candidates.json, .md and .png.",
        ),
    ] = False,
    placements: Placements = None,
    as_of: AsOf = None,
    journeys: Annotated[
        bool,
        typer.Option(
            "--journeys",
            help="Replay the hold-out journeys to a purchase instead: how many steps earlier could "
            "the bought item have been shown? Writes journeys.json, journeys.md and pictures.",
        ),
    ] = False,
    off_policy: Annotated[
        bool,
        typer.Option(
            "--off-policy",
            help="Estimate instead what --candidate would have earned on the service's log; "
            "refuses where the log cannot tell. Writes off_policy.json, .md and .png.",
        ),
    ] = False,
    candidate: Annotated[
        str, typer.Option(help="With --off-policy: alias, version number, or folder of a bundle.")
    ] = CHALLENGER,
    reward: Annotated[
        str, typer.Option(help="With --off-policy: taken_up or purchase, of items in lists.")
    ] = "taken_up",
    experiment: Annotated[
        str | None,
        typer.Option(
            help="With --off-policy: only answers to who took part in this experiment, asked at "
            "the placements as its arms change them."
        ),
    ] = None,
    arm: Annotated[
        str | None, typer.Option(help="With --off-policy: only this arm of the experiment.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            help="With --off-policy: another bundle, as --candidate, to compare on the same lists."
        ),
    ] = None,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Ask a model for the store's latest hold-out shoppers, beside popularity and each source.

    A model that has learnt from the hold-out period is not asked itself: its recipe is, fitted
    on what was before. The result says which of the two it was.

    Exit codes: 0 a result, 1 an off-policy estimate refused, 2 wrong usage.
    """
    from training import summary
    from training.reevaluation import measure_candidates, reevaluate

    console = Console(as_json)
    bench = make_workbench(out, tracking_uri, console)
    place = placements or DEFAULT_FILE
    if off_policy:
        from training.off_policy import OffPolicyRequest
        from training.off_policy_answers import Part

        part = Part(experiment, arm, micros(as_of))
        layout = StoreLayout(out)
        _evaluate_off_policy(
            OffPolicyRequest(candidate, layout, place, reward, part, against), bench
        )
        return
    if journeys:
        _evaluate_journeys(model, StoreLayout(out), bench, (place, as_of))
        return
    question = (model, StoreLayout(out), bench, place, micros(as_of))
    if candidates:
        recalled = measure_candidates(*question)
        summary.show_candidates(recalled.report, console)
        console.result(summary.candidates_summary(recalled))
        return
    found = reevaluate(*question)
    summary.show_evaluation(found.report, console)
    console.result(summary.evaluation_summary(found))


def _evaluate_journeys(
    model: str, layout: StoreLayout, bench: Workbench, question: tuple[Path, datetime | None]
) -> None:
    from training.journeys import JourneyRequest, journey_report
    from training.summary import journey_summary, show_journeys

    placements, as_of = question
    request = JourneyRequest(model, layout, placements, micros(as_of))
    report = journey_report(request, bench)
    show_journeys(report, bench.console)
    bench.console.result(journey_summary(report, as_json=bench.console.as_json))


def _evaluate_off_policy(request: OffPolicyRequest, bench: Workbench) -> None:
    from training.off_policy import off_policy_report
    from training.summary import off_policy_summary, show_off_policy

    report = off_policy_report(request, bench)
    show_off_policy(report, bench.console)
    bench.console.result(off_policy_summary(report, as_json=bench.console.as_json))
    raise typer.Exit(1 if report.refusal else 0)


@app.command()
def tune(
    *,
    out: Out = DEFAULT_STORE,
    log: Log = None,
    format_name: FormatName = None,
    config: Config = None,
    placements: Placements = None,
    as_of: AsOf = None,
    trials: Annotated[
        int, typer.Option(min=1, help="Trials in the study, those of an earlier start included.")
    ] = 50,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds after which no further trial begins.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the search.")] = 42,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Search for better settings on the validation period, and write them as a training file.

    Sources, decays, blend and ranker are learnt anew in each trial, as `train` would. Settings are
    better only if shoppers that no trial saw say so too; else the file is the starting point.

    The test period is never looked at. A search that was stopped goes on where it was; the study
    and the winning training.toml are in the folder `tuning` of the store.

    Exit codes: 0 better settings were found, 1 none were, 2 wrong usage.
    """
    from training.tuning import Limits
    from training.tuning_job import tune as run
    from training.tuning_summary import show_tuning, tuning_summary

    console = Console(as_json)
    request = make_request(out, (log, format_name), config, placements, as_of)
    bench = make_workbench(out, tracking_uri, console)
    outcome = run(request, Limits(trials, timeout, seed), bench)
    show_tuning(outcome, console)
    console.result(tuning_summary(outcome, bench.registry.tracking))
    raise typer.Exit(0 if outcome.is_better else 1)


@app.command()
def promote(
    *,
    out: Out = DEFAULT_STORE,
    model: Annotated[str, typer.Option(help="Alias or version number.")] = CHALLENGER,
    experiment: Annotated[
        str | None,
        typer.Option(help="Key of the test that the version ran in; ingest the log first."),
    ] = None,
    treatment: Annotated[
        str | None,
        typer.Option(help="Arm that the version answered in. Default: the only one beside it."),
    ] = None,
    preference: Annotated[
        str | None,
        typer.Option(help="Key of a test that interleaved its arms; both kinds may be named."),
    ] = None,
    control: Annotated[
        str | None, typer.Option(help="Arm to compare with, as for `experiment read`.")
    ] = None,
    off_policy: Annotated[
        Path | None,
        typer.Option(
            help="off_policy.json of `evaluate --off-policy` about the bundle of this version."
        ),
    ] = None,
    journeys: Annotated[
        bool,
        typer.Option("--journeys", help="Replay the hold-out journeys beside the last champion."),
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            help="Training file with [experiment] and [verdict]; by default those that the "
            "version was trained with."
        ),
    ] = None,
    placements: Placements = None,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Decide on a version: ship, hold or roll back, from all that is known of it.

    The gate is always asked; a test, an off-policy estimate and journeys where they are named. Ship
    makes it the champion; roll back, where it is the champion, brings back the one before. The
    decision with its reasons is written on the version and its run in MLflow.

    Exit codes: 0 it is the champion, 1 held or rolled back with the reasons, 2 wrong usage.
    """
    from training.promote import PromoteRequest
    from training.promote import promote as run
    from training.summary import promotion_summary, show_promotion

    console = Console(as_json)
    bench = make_workbench(out, tracking_uri, console)
    found = run(
        PromoteRequest(
            model,
            StoreLayout(out),
            placements or DEFAULT_FILE,
            (experiment, control, treatment),
            off_policy,
            config,
            replay=journeys,
            preference=preference,
        ),
        bench,
    )
    show_promotion(found, console)
    console.result(promotion_summary(found))
    raise typer.Exit(0 if found.is_shipped else 1)


@app.command()
def deliver(
    *,
    to: Annotated[
        Path, typer.Option(help="Folder that the service reads bundles from.")
    ] = DEFAULT_STORE / "bundles",
    alias: Annotated[
        str | None,
        typer.Option(help="Alias or version number to deliver; by default the champion."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of mlflow.db; by default the one above --to.")
    ] = None,
    tracking_uri: TrackingUri = None,
    watch: Annotated[
        bool, typer.Option(help="Go on until stopped: deliver whatever is new.")
    ] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between looks.")] = 30.0,
    timeout: Annotated[float, typer.Option(min=0.1, help="Longest wait for the registry.")] = 120.0,
    rollback: Annotated[
        bool, typer.Option(help="Go back to the bundle before; the registry is not asked.")
    ] = False,
    again: Annotated[
        bool, typer.Option(help="Deliver it although it was rolled back here.")
    ] = False,
    beside: Annotated[
        bool,
        typer.Option(
            help="Put it beside the one in use, as the challenger of experiments; "
            "by default the one that the registry calls so."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the champion's bundle to the service: verified, then put in place in one step.

    Whatever fails, the bundle in use stays. Exit codes: 0 in place, 1 it could not be delivered.
    """
    from training import deliver as job
    from training import watching

    console = Console(as_json)
    if rollback:
        console.result(job.roll_back(to).summary)
        return
    registry = Registry(make_tracking(out or to.parent, tracking_uri, timeout))

    def once() -> Delivery:
        if beside:
            return job.deliver_beside(registry, alias or CHALLENGER, to)
        return job.deliver(registry, alias or CHAMPION, to, again=again)

    if not watch:
        console.result(once().summary)
        return
    stop = stop_event()
    for each in watching.watch(once, watching.Schedule(interval), stop.wait):
        if isinstance(each, job.Delivery):
            _report_delivery(each, console)
        else:
            console.say(f"not delivered, the bundle in use stays: {each}")


def _report_delivery(delivery: Delivery, console: Console) -> None:
    if delivery.outcome != "unchanged":
        console.result(delivery.summary)
