"""The model that is asked: a delivered one, a bundle, or one learnt from a simulated shop."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.closed_loop import START, LearningJob, learn
from benchmarks.latency_parts.large import Size, factor_model, grow, save_factors
from feature_store.console import Console
from feature_store.layout import StoreLayout
from recommender.bundle import load_bundle
from recommender.bundle_folder import current
from recommender.errors import InvalidInputError
from recommender.placements import DEFAULT_FILE
from training.demo.steps import QUICK
from training.simulation.catalogue import CatalogueSpec
from training.simulation.closed_loop import LoopRequest
from training.simulation.shop import ShopSpec
from training.simulation.shoppers import ShopperSpec

SEED, HORIZON = 0, 20
MOST_LEARNT = 2_000
FEWEST_SHOPPERS = 1_000
TO_GROW_SHOPPERS = 8_000  # fewer leave too little for a ranker to learn from


@dataclass(frozen=True, slots=True)
class Model:
    """The model to ask, and what the peers are given."""

    bundle: Path
    factors: Path


def model_of(given: argparse.Namespace, scratch: Path, console: Console) -> Model:
    """A model as the command line wants it; what takes long is kept in ``--cache``.

    More than `MOST_LEARNT` items are not simulated but grown, see `benchmarks.latency_parts.large`.

    Raises
    ------
    InvalidInputError
        ``--root`` holds none.
    """
    cache = given.cache or scratch
    if given.bundle or given.root or given.items <= MOST_LEARNT:
        bundle = bundle_folder(given, cache, console)
        size = Size(len(load_bundle(bundle).catalogue), max(given.shoppers, given.visitors))
        factors = scratch / "factors"
        save_factors(factor_model(size), factors)
        return Model(bundle, factors)
    shoppers = max(given.known, given.visitors, FEWEST_SHOPPERS)
    size = Size(given.items, shoppers, given.factors, given.width)
    folder = cache / size.name
    if not folder.exists():
        sizes = {"bundle": given.grow_from, "items": MOST_LEARNT, "shoppers": TO_GROW_SHOPPERS}
        small = bundle_folder(argparse.Namespace(**vars(given) | sizes), cache, console)
        console.say(f"growing it to {size.name}")
        model, fresh = factor_model(size), folder.with_name(f"{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        grow(load_bundle(small), size, model, fresh / "bundle")
        save_factors(model, fresh / "factors")
        fresh.rename(folder)
    return Model(folder / "bundle", folder / "factors")


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
    folder = scratch / f"learnt-{given.items}-{given.shoppers}-{given.days}"
    request = LoopRequest(spec, given.days, SEED, HORIZON)
    console.say(learn(LearningJob(request, QUICK, DEFAULT_FILE, scratch, folder)))
    return folder
