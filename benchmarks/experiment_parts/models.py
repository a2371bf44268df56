"""A simulated shop whose log two models are learnt from: one of everything, one of popularity.

Both are trained, registered and put through the gate by `desirepath train`, each with a training
file of its own. The second one puts what is popular first, and its file's gate lets that pass: it
plays the champion that a better challenger is to replace. Both have learnt the same candidates,
and differ in what they put first: that of all sources a little is in the weaker one's order keeps
the two near enough for a log of one to tell of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.experiment_parts.verbs import verb
from feature_store.layout import StoreLayout
from recommender.bundle_folder import publish_challenger
from training.registry import CHALLENGER, CHAMPION, RegisteredModel, Registry
from training.sections import SOURCES
from training.simulation.emit import ParquetEmitter
from training.simulation.flat import Flattener
from training.simulation.recorder import EventChunk
from training.simulation.shop import DayLog, Shop, ShopSpec
from training.wiring import make_tracking

# Enough to tell the two apart, and no more: whoever trains in earnest leaves all of this out.
_SMALL: Final = """
[encoder]
min_questions = 100000000
[blend]
restarts = 2
max_users = 500
[ranker]
cuts = 1
max_questions = 2000
rounds = 60
patience = 10
learning_rate = 0.1
leaves = 31
[evaluation]
max_users = 400
[gate]
max_latency_ms = 1000
"""
_LITTLE: Final = 0.001
_POPULAR: Final = """
[encoder]
min_questions = 100000000
[blend]
learn = false
[blend.weights]
{weights}
[ranker]
learn = false
[evaluation]
max_users = 400
[gate]
must_beat_popularity = false
max_rare_loss = 1.0
max_gini_gain = 1.0
min_distinct_lists = 0.0
min_coverage = 0.0
max_ndcg_loss = 1.0
min_overlap = 0.0
max_latency_ms = 1000
"""
# Days pass in seconds, so nobody is a bot for asking often; a few dozen shoppers must do; and what
# popularity cannot help (fewer items, more answers that fit nobody) is not to be what decides.
_READING: Final = """
[experiment]
primary = "clicks_per_answer"
window_days = {window}
bot_requests_per_minute = 100000
tuned_subjects = {subjects}
least_subjects = 30
max_slow_gain = 0.5
max_fallback_gain = 0.3
max_coverage_loss = 0.9
"""


@dataclass(slots=True)
class LoopShop:
    """A shop that runs a while on its static lists, then on whatever answers it.

    Attributes
    ----------
    warm_up
        Days before the switch.
    days
        Of the shop, gone through once.
    listeners
        Told of all events.
    """

    shop: Shop
    warm_up: int
    days: Iterator[DayLog]
    listeners: list[Callable[[EventChunk], None]]


def open_shop(spec: ShopSpec, warm_up: int, seed: int) -> LoopShop:
    """A shop before its first day; the same for the same seed."""
    listeners: list[Callable[[EventChunk], None]] = []

    def hear(chunk: EventChunk) -> None:
        for each in listeners:
            each(chunk)

    shop = Shop(spec, np.random.default_rng(seed), None, hear)
    return LoopShop(shop, warm_up, shop.days(), listeners)


def write_log(running: LoopShop, folder: Path) -> int:
    """Run the warm-up and write its log; returns the number of events."""
    shop = running.shop
    emitter = ParquetEmitter(folder, Flattener(shop.catalogue, shop.identity))
    events = sum(emitter.write(next(running.days)) for _ in range(running.warm_up))
    emitter.close()
    return events


@dataclass(frozen=True, slots=True)
class Models:
    """The registered versions: the one that has learnt everything, and the one of popularity.

    Parameters
    ----------
    reading
        Training file with what tests are read by, for `read`, `promote` and `guard`.
    """

    good: RegisteredModel
    weak: RegisteredModel
    registry: Registry
    reading: Path


def learn_both(root: Path, window_days: float, subjects: int) -> Models:
    """Train both on a store's tables, and put them where a test finds them.

    The weak one is the champion and delivered; the good one stands beside it as the challenger.

    Parameters
    ----------
    window_days
        After the first answer, in which outcomes count.
    subjects
        At which the intervals of a test are to be narrowest.
    """
    layout = StoreLayout(root)
    registry = Registry(make_tracking(root, None, 120.0))
    good = _trained(root, "good", _SMALL, registry)
    weights = dict.fromkeys(SOURCES, _LITTLE) | {"popularity": 1.0}
    text = "\n".join(f"{name} = {weight}" for name, weight in weights.items())
    weak = _trained(root, "weak", _POPULAR.format(weights=text), registry)
    registry.set_alias(CHAMPION, weak.version)
    registry.set_alias(CHALLENGER, good.version)
    verb(["deliver", "--to", layout.bundles, "--again"])
    publish_challenger(registry.fetch(good, root / "challenger"), layout.bundles)
    verb(["materialise", "--store", root])
    reading = root / "reading.toml"
    reading.write_text(_READING.format(window=window_days, subjects=subjects), "utf-8")
    return Models(good, weak, registry, reading)


def _trained(root: Path, name: str, config: str, registry: Registry) -> RegisteredModel:
    path = root / f"{name}.toml"
    path.write_text(config, "utf-8")
    # 1: the gate refused it; it is registered all the same, and the test decides.
    verb(["train", "--out", root, "--config", path], (0, 1))
    return registry.require(CHALLENGER)
