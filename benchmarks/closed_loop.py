"""The same made-up shoppers against several ways to answer: real steps to purchase, conversion.

Run ``python -m benchmarks.closed_loop``; tables go to standard error, one JSON object to standard
output. A shop runs for a month on its static lists; a model is learnt from that log; then the shop
runs on, once for each policy, with the same shoppers (see `training.simulation.closed_loop`).

Policies: ``file`` (placements as in the file), ``next_step``, ``purchase``, ``path`` (the objective
set at every placement), ``popularity``, ``nothing`` (empty lists), ``shop`` (its static lists),
``oracle`` (knows what everybody wants: the most that lists can do). The first that is named is what
the others are compared with. With ``:tireless`` behind it, such as ``path:tireless``, a policy
takes no notice of what was ignored. ``path@FOLDER`` asks the bundle in that folder instead of the
model that was learnt.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

# Before numpy comes in: lists are asked for one at a time, more threads would only wait.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from feature_store.console import Console
from feature_store.ingest import ingest
from feature_store.layout import StoreLayout
from recommender.bundle import ModelBundle, load_bundle, save_bundle
from recommender.placements import DEFAULT_FILE, read_placements
from training.engines.local import LocalEngine
from training.evaluation.report import BLEND, shown
from training.simulation.behaviour import Behaviour
from training.simulation.catalogue import CatalogueSpec
from training.simulation.closed_loop import LoopRequest, run_arm, write_warm_up
from training.simulation.loop_report import LoopReport, compare
from training.simulation.pipeline import answering
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
        "ranker": {"max_questions": 4_000, "learning_rate": 0.08, "leaves": 31},
        "evaluation": {"max_users": 1_000},
    }
)


def request_of(arguments: argparse.Namespace) -> LoopRequest:
    spec = ShopSpec(
        start=START,
        days=arguments.warm_up + arguments.days,
        catalogue=CatalogueSpec(items=arguments.items),
        shoppers=ShopperSpec(shoppers=arguments.shoppers),
    )
    if arguments.willing is not None:
        spec = replace(spec, behaviour=Behaviour(willing=np.full(4, arguments.willing)))
    return LoopRequest(spec, arguments.warm_up, arguments.seed, arguments.horizon)


def learn(request: LoopRequest, arguments: argparse.Namespace, console: Console) -> ModelBundle:
    """The model that `desirepath train` would learn from the log before the switch."""
    if arguments.bundle is not None and arguments.bundle.exists():
        return load_bundle(arguments.bundle)
    spec = load_spec(arguments.config) if arguments.config else ASKED_ON_THE_WAY
    place = read_placements(arguments.placements)[spec.evaluation.placement]
    with tempfile.TemporaryDirectory(prefix="closed-loop-", dir=arguments.folder) as scratch:
        root = Path(scratch)
        console.say(f"{write_warm_up(request, root / 'log')} events before the switch")
        layout = StoreLayout(root / "store")
        ingest(root / "log", "desirepath-parquet", layout).refuse_nothing_kept()
        trained = Trainer(LocalEngine(), spec, place, root).train(layout)
    blend = trained.report.variant(BLEND).metrics[trained.report.headline]
    console.say(f"learnt a model: {trained.report.headline} {shown(blend)}")
    if arguments.bundle is not None:
        save_bundle(arguments.bundle, trained.model.arrays, trained.model.info)
    return trained.model.bundle()


def run(arguments: argparse.Namespace, console: Console) -> LoopReport:
    request = request_of(arguments)
    bundle = learn(request, arguments, console)
    placements = read_placements(arguments.placements)
    arms = []
    for name in arguments.policies.split(","):
        policy, _, folder = name.partition("@")
        way = answering(policy, load_bundle(Path(folder)) if folder else bundle, placements)
        with console.progress(name, request.spec.days) as progress:
            arms.append(run_arm(request, name, way, progress.advance))
        console.say(f"{name}: {arms[-1].asked} lists")
    return compare(arms, request.horizon, arguments.seed)


def show(report: LoopReport, console: Console) -> None:
    console.table(f"{report.people} shoppers, {report.confidence:.0%} intervals", report.rows())
    console.table("Against the first, the same shoppers", report.difference_rows())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--policies", default="next_step,path,popularity,nothing,shop")
    parser.add_argument("--shoppers", type=int, default=20_000, help="people and bots")
    parser.add_argument("--items", type=int, default=1_500)
    parser.add_argument("--warm-up", type=int, default=30, help="days before the switch")
    parser.add_argument("--days", type=int, default=7, help="days that count")
    parser.add_argument("--willing", type=float, help="share of visits that are made to buy")
    parser.add_argument("--horizon", type=int, default=20, help="of the remaining steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", type=Path, help="training file")
    parser.add_argument("--placements", type=Path, default=DEFAULT_FILE)
    parser.add_argument(
        "--bundle", type=Path, help="keep the learnt model here, or take it from here"
    )
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder if unset")
    arguments = parser.parse_args()
    console = Console(as_json=True)
    report = run(arguments, console)
    show(report, console)
    sys.stdout.write(report.to_json().decode() + "\n")


if __name__ == "__main__":
    main()
