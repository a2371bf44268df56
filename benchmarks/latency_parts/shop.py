"""The model that is asked: a delivered one, a bundle, or one learnt from a simulated shop."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.closed_loop import START, LearningJob, learn
from feature_store.console import Console
from feature_store.layout import StoreLayout
from recommender.bundle_folder import current
from recommender.errors import InvalidInputError
from recommender.placements import DEFAULT_FILE
from training.demo.steps import QUICK
from training.simulation.catalogue import CatalogueSpec
from training.simulation.closed_loop import LoopRequest
from training.simulation.shop import ShopSpec
from training.simulation.shoppers import ShopperSpec

SEED, HORIZON = 0, 20


def bundle_folder(given: argparse.Namespace, scratch: Path, console: Console) -> Path:
    """Folder of the bundle to ask. Raises `InvalidInputError` where --root holds none."""
    if given.bundle:
        return Path(given.bundle)
    if given.root:
        if (delivered := current(StoreLayout(given.root).bundles)) is None:
            raise InvalidInputError(
                f"--root {given.root} holds no delivered bundle; accepted: a folder as "
                "`desirepath demo` or `desirepath deliver` leaves it"
            )
        return delivered
    spec = ShopSpec(
        start=START,
        days=given.days + 1,  # the day of the switch, which is not simulated, is one of them
        catalogue=CatalogueSpec(items=given.items),
        shoppers=ShopperSpec(shoppers=given.shoppers),
    )
    folder = scratch / "learnt"
    request = LoopRequest(spec, given.days, SEED, HORIZON)
    console.say(learn(LearningJob(request, QUICK, DEFAULT_FILE, scratch, folder)))
    return folder
