"""What is measured: the empty route, and our service with less and more of it switched on."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.latency_parts import peers, visitors
from benchmarks.latency_parts.peers import PEERS
from benchmarks.latency_parts.processes import Startable
from benchmarks.latency_parts.visitors import ASKED_ITEMS, PLACEMENT
from feature_store.atomic_file import write_atomic
from feature_store.layout import StoreLayout
from recommender.bundle_folder import POINTER
from recommender.catalogue import Catalogue
from recommender.placements import DEFAULT_FILE
from recommender.terms import ITEM
from serving.security import create_key_file
from training.demo.trial import free_port

EMPTY, CANNED, PLAIN, FULL, RULES = "empty", "canned", "plain", "full", "rules"
# `full` with vectors that are compared with all of the catalogue.
EXACT = "exact"
# `full` whose visitors' states are in a Redis server, which runs where the load is made.
REDIS = "redis"
# `full` once more, on all cores: one process, and two workers that share the model.
ALONE, WORKERS = "alone", "workers"
OWN: Final = (EMPTY, CANNED, PLAIN, FULL, RULES, EXACT, REDIS, ALONE, WORKERS)
ALL: Final = (*OWN, *PEERS)
QUICK: Final = (EMPTY, CANNED, PLAIN, FULL)
# Those that have a model and so want to know the shoppers.
MODELLED: Final = frozenset({PLAIN, FULL, RULES, EXACT, REDIS, ALONE, WORKERS})
ON_ALL_CORES: Final = frozenset({ALONE, WORKERS})
WORKER_COUNT: Final = 2
Tables = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of those that are measured.

    Parameters
    ----------
    key
        An API key of its own; empty for those that want none.
    root
        Its data folder.
    path
        What is asked for, by POST; ``/`` is asked by GET.
    """

    startable: Startable
    key: str
    root: Path
    path: str

    @property
    def name(self) -> str:
        """How it is called in the figures."""
        return self.startable.name

    @property
    def method(self) -> str:
        """How it is asked."""
        return "GET" if self.path == "/" else "POST"

    @property
    def headers(self) -> dict[str, str]:
        """What goes with each question."""
        given = {"Content-Type": "application/json", "X-API-Key": self.key}
        return {name: value for name, value in given.items() if value and self.path != "/"}

    def bodies(self, count: int) -> list[str]:
        """The questions for so many shoppers, in turn; none where it is asked by GET."""
        if self.path == "/":
            return []
        if self.name in PEERS:
            return [peers.question(self.name, number) for number in range(count)]
        return [json.dumps(visitors.question(number)) for number in range(count)]


@dataclass(frozen=True, slots=True)
class Stage:
    """What all contestants are made from.

    Parameters
    ----------
    bundles
        Delivered bundles; the contestants link to them, so that they lie on the disk once.
    factors
        What the peers load, see `benchmarks.latency_parts.large.save_factors`.
    exact
        Version of the model that `EXACT` asks; empty where it does not take part.
    redis_url
        The server of `REDIS`; empty where it does not take part.
    """

    folder: Path
    bundles: Path
    version: str
    catalogue: Catalogue
    factors: Path
    exact: str = ""
    redis_url: str = ""


def contestant(name: str, stage: Stage) -> Contestant:
    """Make the data folder of a contestant and say how to start it."""
    port, root = free_port(), stage.folder / name
    if name == EMPTY:
        floor = ("-m", "benchmarks.latency_parts.empty", "--port", f"{port}")
        return Contestant(Startable(name, floor, port, "/"), "", root, "/")
    if name in PEERS:
        startable = peers.startable(name, root, stage.factors, port)
        return Contestant(startable, "", root, peers.PATHS[name])
    key = create_key_file(root / "keys.json", os.urandom)["server"]
    if name in MODELLED:
        link_bundles(stage.bundles, StoreLayout(root).bundles)
        point(StoreLayout(root).bundles, stage.exact if name == EXACT else stage.version)
    options = _options(name, root, stage)
    workers = ("--workers", f"{WORKER_COUNT if name == WORKERS else 1}")
    command = ("-m", "serving", "--root", f"{root}", "--port", f"{port}", *workers, *options)
    return Contestant(
        Startable(name, command, port, "/health/ready"), key, root, "/v1/recommendations"
    )


def link_bundles(shared: Path, folder: Path) -> None:
    """Have the same bundles in another folder, whose pointer is its own."""
    folder.mkdir(parents=True)
    for each in shared.iterdir():
        if each.is_dir():
            (folder / each.name).symlink_to(each.resolve())


def point(bundles: Path, version: str) -> None:
    """Put a delivered version in use."""
    write_atomic(bundles / POINTER, json.dumps({"version": version, "previous": []}).encode())


def _options(name: str, root: Path, stage: Stage) -> tuple[str, ...]:
    """What it is given beside what every contestant gets: nothing where it is as shipped."""
    catalogue = stage.catalogue
    changes: Mapping[str, Callable[[Tables], Tables]] = {
        CANNED: lambda shipped: canned(shipped, popular(catalogue, ASKED_ITEMS)),
        PLAIN: plain,
    }
    if change := changes.get(name):
        file = root / "placements.toml"
        file.write_text(toml_of(change(shipped_placements())), encoding="utf-8")
        return ("--placements", f"{file}")
    if name == REDIS:
        return ("--online-store", "redis", "--redis-url", stage.redis_url)
    if name == RULES:
        file = root / "rules.toml"
        file.write_text(toml_of(ten_rules(catalogue)), encoding="utf-8")
        return ("--rules", f"{file}")
    return ()


def shipped_placements() -> Tables:
    """The placements of the release."""
    return tomllib.loads(DEFAULT_FILE.read_text(encoding="utf-8"))


def canned(shipped: Tables, item_ids: list[str]) -> Tables:
    """The same list for everybody. Without a model the service answers it by itself."""
    place = shipped["placements"][PLACEMENT] | {"static_items": item_ids}
    return shipped | {"placements": shipped["placements"] | {PLACEMENT: place}}


def plain(shipped: Tables) -> Tables:
    """Items alone: without pace, kinds, fatigue and a dose."""
    extras = {"fatigue", "pace", "at_most", "kind_order", "navigation", "max_changed_share"}
    places = {
        name: {key: value for key, value in table.items() if key not in extras} | {"kinds": [ITEM]}
        for name, table in shipped["placements"].items()
    }
    return {"placements": places}


def ten_rules(catalogue: Catalogue) -> Tables:
    """Ten rules of every kind, about brands, categories and items that this shop has."""
    order = catalogue.popular_order.tolist()
    brands = _distinct(catalogue.brand_of, order)
    categories = _distinct(catalogue.category_of, order)
    item = catalogue.ids.id(order[0])
    rules: tuple[Tables, ...] = (
        {"kind": "exclude", "where": f"category = {json.dumps(categories[-1])}"},
        {"kind": "price_band", "around": "cart", "low": 0.01, "high": 100},
        {"kind": "boost", "where": f"brand = {json.dumps(brands[0])}", "factor": 2},
        {"kind": "boost", "where": "price < 1.5 * context.price", "factor": 1.3},
        {"kind": "bury", "where": f"category = {json.dumps(categories[0])}", "factor": 0.5},
        {"kind": "diversity", "level": "medium"},
        {"kind": "calibration", "strength": 0.3, "min_history": 5},
        {"kind": "pin", "items": {item: 3}},
        {
            "kind": "promotion",
            "where": f"brand = {json.dumps(brands[-1])}",
            "share": 0.2,
            "from_position": 2,
        },
        {"kind": "constraint", "per": "brand", "at_most": 5},
    )
    named = [{"name": f"rule {at}", **rule} for at, rule in enumerate(rules, start=1)]
    return {"version": "measured", "rules": named}


def popular(catalogue: Catalogue, count: int) -> list[str]:
    """Ids of the most popular items."""
    return [catalogue.ids.id(int(each)) for each in catalogue.popular_order[:count]]


def _distinct(attribute: Callable[[int], str | None], order: list[int]) -> list[str]:
    """The values that there are, those of popular items first; one empty text where none is."""
    found = dict.fromkeys(attribute(item) for item in order)
    return [each for each in found if each] or [""]


def toml_of(tables: Mapping[str, object]) -> str:
    """A TOML document of these keys; what lies deeper is written inline."""
    return "".join(f"{json.dumps(name)} = {_value(each)}\n" for name, each in tables.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        inner = (f"{json.dumps(key, ensure_ascii=False)} = {_value(v)}" for key, v in value.items())
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
