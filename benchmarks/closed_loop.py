"""The same made-up shoppers against several ways to answer: real steps to purchase, conversion.

Run ``python -m benchmarks.closed_loop``; tables go to standard error, one JSON object to standard
output. A shop runs for a month on its static lists; a model is learnt from that log; then the shop
runs on, once for each policy, with the same shoppers (see `training.simulation.closed_loop`). Each
of several seeds is another shop with other people and its own model; their shoppers are pooled.

Policies: ``file`` (placements as in the file), ``explore`` (also what they leave to chance),
``next_step``, ``purchase``, ``path`` (the objective set at every placement), ``ways`` (also where
to go), ``path+ways`` (both, with any objective), ``popularity``, ``nothing`` (empty lists),
``shop`` (its static lists), ``oracle`` (knows what everybody wants: the most that lists can do).
The first that is named is what the others are compared with. Behind a policy may stand what it does
without: ``:paceless``, ``:kindless``, ``:tireless``, ``:doseless``, ``:floorless``, several of
them, or ``:plain`` for all of them.
``path@FOLDER`` asks the bundle in that folder instead of the model that was learnt. ``{seed}`` in a
folder stands for the seed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

# Before numpy comes in: lists are asked for one at a time, more threads would only wait.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from benchmarks.side_by_side import in_order
from feature_store.console import Console
from feature_store.ingest import ingest
from feature_store.layout import StoreLayout
from recommender.bundle import load_bundle, save_bundle
from recommender.errors import DesirepathError, InvalidInputError
from recommender.placements import DEFAULT_FILE, read_placements
from training.engines.local import LocalEngine
from training.evaluation.report import BLEND, shown
from training.simulation.behaviour import Behaviour
from training.simulation.catalogue import CatalogueSpec
from training.simulation.closed_loop import Arm, LoopRequest, run_arm, write_warm_up
from training.simulation.loop_report import BOTH, NUISANCE, WAY, SeedsReport, compare_seeds
from training.simulation.pipeline import answering, parsed_policy
from training.simulation.shop import ShopSpec
from training.simulation.shoppers import ShopperSpec
from training.spec import load_spec, parse_spec
from training.trainer import Trainer

START = datetime(2026, 9, 1, tzinfo=UTC)
# Pages ask on the way, not at the beginning of a week; and less is asked than by default, so that a
# run takes minutes.
ASKED_ON_THE_WAY = parse_spec(
    {
        "split": {"asked": "in_visit"},
        "ranker": {"max_questions": 4_000, "more_cuts": 0, "learning_rate": 0.08, "leaves": 31},
        "evaluation": {"max_users": 1_000},
    }
)


POLICIES: Final = ["next_step", "path", "popularity", "nothing", "shop"]
SEED: Final = "{seed}"


@dataclass(frozen=True, slots=True)
class LearningJob:
    """A model to be learnt from the log before the switch, as `desirepath train` would.

    Parameters
    ----------
    config
        Training file; None: `ASKED_ON_THE_WAY`.
    scratch
        Where the log and its tables may lie meanwhile.
    folder
        Where the bundle is to be; nothing is done where it is already.
    """

    request: LoopRequest
    config: Path | None
    placements: Path
    scratch: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class ArmJob:
    """A policy to be run in a shop, with the bundle in a folder."""

    request: LoopRequest
    policy: str
    placements: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class Timed:
    """An arm and the processor time that it took, seconds."""

    arm: Arm
    seconds: float


def learn(job: LearningJob) -> str:
    """Do the job; says how good the model is."""
    started = time.process_time()
    if job.folder.exists():
        return f"seed {job.request.seed}: the model in {job.folder}"
    spec = load_spec(job.config) if job.config else ASKED_ON_THE_WAY
    place = read_placements(job.placements)[spec.evaluation.placement]
    with tempfile.TemporaryDirectory(prefix="closed-loop-", dir=job.scratch) as scratch:
        root = Path(scratch)
        events = write_warm_up(job.request, root / "log")
        layout = StoreLayout(root / "store")
        ingest(root / "log", "desirepath-parquet", layout).refuse_nothing_kept()
        trained = Trainer(LocalEngine(), spec, place, root).train(layout)
    save_bundle(job.folder, trained.model.arrays, trained.model.info)
    report = trained.report
    blend = report.variant(BLEND).metrics[report.headline]
    return (
        f"seed {job.request.seed}: learnt from {events} events in "
        f"{time.process_time() - started:.0f} s of processor time, "
        f"{report.headline} {shown(blend)}"
    )


def run_job(job: ArmJob) -> Timed:
    """Run one arm."""
    started = time.process_time()
    policy, _, folder = job.policy.partition("@")
    bundle = load_bundle(_of_seed(Path(folder), job.request.seed) if folder else job.folder)
    way = answering(policy, bundle, read_placements(job.placements))
    arm = run_arm(job.request, job.policy, way)
    return Timed(arm, time.process_time() - started)


def request_of(arguments: argparse.Namespace, seed: int) -> LoopRequest:
    spec = ShopSpec(
        start=START,
        days=arguments.warm_up + arguments.days,
        catalogue=CatalogueSpec(items=arguments.items),
        shoppers=ShopperSpec(shoppers=arguments.shoppers),
    )
    if arguments.willing is not None:
        spec = replace(spec, behaviour=Behaviour(willing=np.full(4, arguments.willing)))
    return LoopRequest(spec, arguments.warm_up, seed, arguments.horizon)


def run(arguments: argparse.Namespace, scratch: Path, console: Console) -> SeedsReport:
    requests = [request_of(arguments, seed) for seed in arguments.seeds]
    policies, placements = arguments.policies, arguments.placements
    kept = arguments.bundle or scratch / f"model-{SEED}"
    folders = [_of_seed(kept, seed) for seed in arguments.seeds]
    learning = [
        LearningJob(request, arguments.config, placements, scratch, folder)
        for request, folder in zip(requests, folders, strict=True)
    ]
    for said in in_order(learn, learning, arguments.processes):
        console.say(said)
    jobs = [
        ArmJob(request, policy, placements, folder)
        for request, folder in zip(requests, folders, strict=True)
        for policy in policies
    ]
    arms: dict[int, list[Arm]] = {seed: [] for seed in arguments.seeds}
    for job, done in zip(jobs, in_order(run_job, jobs, arguments.processes), strict=True):
        arms[job.request.seed].append(done.arm)
        each = done.seconds / arguments.shoppers * 1000
        console.say(
            f"seed {job.request.seed}, {job.policy}: {done.arm.asked} lists, "
            f"{done.seconds:.0f} s of processor time, {each:.0f} s per 1,000 shoppers"
        )
    return compare_seeds(arms, arguments.horizon, arguments.seeds[0])


def _of_seed(folder: Path, seed: int) -> Path:
    return Path(f"{folder}".replace(SEED, f"{seed}"))


def check(arguments: argparse.Namespace) -> None:
    """Raise `InvalidInputError` before hours are spent, not after."""
    folders = [policy.partition("@")[2] for policy in arguments.policies]
    for folder in (*folders, f"{arguments.bundle or SEED}"):
        if folder and SEED not in folder and len(arguments.seeds) > 1:
            raise InvalidInputError(
                f"folder {folder} for seeds {arguments.seeds}; accepted: a folder with {SEED} in "
                "its name, because each shop has a model of its own"
            )
    if arguments.processes < 1:
        raise InvalidInputError(f"processes={arguments.processes}; accepted: 1 or more")
    for policy in arguments.policies:
        parsed_policy(policy.partition("@")[0])


def show(report: SeedsReport, console: Console) -> None:
    pooled = report.pooled
    first = pooled.arms[0].name
    title = f"{pooled.people} shoppers, {pooled.confidence:.0%} intervals"
    console.table(f"The way: {title}", report.rows(WAY))
    console.table(f"What shoppers may notice: {title}", report.rows(NUISANCE))
    console.table(f"Against {first}, the same shoppers", report.against_first())
    console.table(f"The way: minus {first}", report.difference_rows((*WAY, BOTH)))
    console.table(f"What shoppers may notice: minus {first}", report.difference_rows(NUISANCE))


def _seeds(text: str) -> list[int]:
    if not all(each.isdecimal() for each in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r}; accepted: whole numbers joined by commas")
    return list(dict.fromkeys(int(each) for each in text.split(",")))


def arguments_of(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says; None: this process's own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--policies", type=lambda text: text.split(","), default=POLICIES, help="joined by commas")
    add("--shoppers", type=int, default=20_000, help="people and bots, of each seed")
    add("--items", type=int, default=1_500)
    add("--warm-up", type=int, default=30, help="days before the switch")
    add("--days", type=int, default=7, help="days that count")
    add("--willing", type=float, help="share of visits that are made to buy")
    add("--horizon", type=int, default=20, help="of the remaining steps")
    add("--seeds", type=_seeds, default=[0], help="joined by commas; each is another shop")
    add("--processes", type=int, default=1, help="models and arms at a time")
    add("--config", type=Path, help="training file")
    add("--placements", type=Path, default=DEFAULT_FILE)
    add("--bundle", type=Path, help="keep learnt models here, or take them from here")
    add("--folder", type=Path, help="where to write; a temporary folder if unset")
    return parser.parse_args(given)


def main() -> None:
    arguments = arguments_of()
    console = Console(as_json=True)
    try:
        check(arguments)
        with tempfile.TemporaryDirectory(prefix="closed-loop-", dir=arguments.folder) as scratch:
            report = run(arguments, Path(scratch), console)
    except DesirepathError as error:
        console.say(f"refused: {error}")
        sys.exit(2)
    show(report, console)
    sys.stdout.write(report.to_json().decode() + "\n")


if __name__ == "__main__":
    main()
