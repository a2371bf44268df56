"""Placements: where on the site suggestions stand, and what each place wants. Read from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from recommender.errors import ConfigError
from recommender.explore_settings import NO_EXPLORATION, ExploreSettings
from recommender.fatigue_settings import NO_FATIGUE, FatigueSettings
from recommender.pace import Pace
from recommender.pace_table import NEUTRAL, NO_PACE, PaceStyle, PaceTable, parse_pace
from recommender.stage import STAGES
from recommender.terms import (
    FULL,
    ITEM_KINDS,
    KINDS,
    PERSONALIZE_LEVELS,
    POPULAR,
    POPULAR_IN_CATEGORY,
    STATIC,
)

DEFAULT_FILE = Path(__file__).with_name("placements.toml")
SEED_KINDS = ("history", "session", "cart", "context")
FILL_RUNGS = (POPULAR_IN_CATEGORY, POPULAR, STATIC)
RULES = ("context", "cart", "dismissed", "purchased", "seen", "carted_now", "durable")
OBJECTIVES = ("next_step", "purchase", "path")
MAX_LIMIT = 100
_Settings = TypeVar("_Settings", FatigueSettings, ExploreSettings)
_TABLES = {"explore", "fatigue", "pace"}
_SENSITIVE = "sensitive_categories"
# What may be different at a stage: how much and what sort of it, never what is known or left out.
_BY_STAGE = _TABLES | {
    "limit",
    "objective",
    "purchase_share",
    "path_floor",
    "max_changed_share",
    "kinds",
    "kind_order",
    "at_most",
    "navigation",
}

_WORDS = {
    "seeds": SEED_KINDS,
    "exclude": RULES,
    "ladder": FILL_RUNGS,
    "objective": OBJECTIVES,
    "personalize": PERSONALIZE_LEVELS,
    "kinds": KINDS,
    "kind_order": ITEM_KINDS,
    "at_most": ITEM_KINDS,
}
_RANGES = {
    "limit": (1, MAX_LIMIT),
    "candidates": (1, 10_000),
    "purchased_within_days": (0, 36_500),
    "seen_within_days": (0, 36_500),
    "purchase_share": (0, 1),
    "path_floor": (0, 1),
    "max_changed_share": (0, 1),
    "navigation": (0, 3),
    "navigation_rest": (0, 100),
}


@dataclass(frozen=True, slots=True)
class Placement:
    """What one place on the site wants.

    Parameters
    ----------
    sources
        Candidate sources that take part; empty means all that the bundle has.
    seeds
        Which parts of the query the sources start from.
    limit
        List length where the caller names none.
    candidates
        How many candidates each source may propose.
    within_category
        On a page with a category, sources propose items of that category only.
    exclude
        Rules that take items away, see `recommender.rules`.
    purchased_within_days, seen_within_days
        How far back the rules ``purchased`` and ``seen`` look; 0 means for ever.
    ladder
        Rungs that fill the list when the sources do not, best first.
    static_items
        Item ids of the last rung.
    objective
        What a high rank is to predict: ``next_step``, the item of the next step; ``purchase``, the
        item bought in the end; ``path``, both. It orders what a model with such scores ranks.
    purchase_share
        With ``path``: the share of the item bought in the end in the score, 0 to 1.
    path_floor
        With ``path``: a list ends where scores fall below this share of the best one's, 0 to 1; 0
        is as long as asked for.
    personalize
        How much of the shopper may take part here at most, see `recommender.personalisation`.
    max_changed_share
        At most this share of a list differs from what anybody would get, see `recommender.dose`.
    fatigue
        Rest, caps and budgets.
    kinds
        Kinds of suggestions that may stand here, see `recommender.kinds`; at least one.
    kind_order
        Kinds of items that come first, in this order; the others follow by score.
    at_most
        How many suggestions of a kind of item there may be; a kind that is not named: any number.
    navigation
        How many suggestions may lead to a category, a search or the checkout.
    navigation_rest
        Items that a visit opens after it went to a list or a search before it is pointed there
        again; 0: at once.
    pace
        What the pace of a visit changes; nothing where `seeds` leave the session out.
    stage
        By stage, the placement as it is for shoppers at that stage; see `recommender.stage_table`.
    sensitive_categories
        Category paths that drive and explain nothing, see `recommender.discretion`.
    explore
        What is left to chance, see `recommender.exploration`.
    """

    name: str
    sources: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ("history", "session", "cart", "context")
    limit: int = 10
    candidates: int = 200
    within_category: bool = False
    exclude: tuple[str, ...] = ("context", "cart", "dismissed")
    purchased_within_days: float = 0.0
    seen_within_days: float = 0.0
    ladder: tuple[str, ...] = FILL_RUNGS
    static_items: tuple[str, ...] = ()
    objective: str = "next_step"
    purchase_share: float = 0.5
    path_floor: float = 0.0
    personalize: str = FULL
    max_changed_share: float = 1.0
    fatigue: FatigueSettings = NO_FATIGUE
    kinds: tuple[str, ...] = ITEM_KINDS
    kind_order: tuple[str, ...] = ()
    at_most: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    navigation: int = 1
    navigation_rest: int = 2
    pace: PaceTable = NO_PACE
    stage: Mapping[str, Placement] = field(default_factory=lambda: MappingProxyType({}))
    sensitive_categories: tuple[str, ...] = ()
    explore: ExploreSettings = NO_EXPLORATION

    def __post_init__(self) -> None:
        for part, accepted in _WORDS.items():
            value = getattr(self, part)
            for word in (value,) if isinstance(value, str) else value:
                if word not in accepted:
                    raise ConfigError(
                        f"placement {self.name}: {part} has {word!r}; accepted: {accepted}"
                    )
        for part, (low, high) in _RANGES.items():
            if not low <= getattr(self, part) <= high:
                raise ConfigError(
                    f"placement {self.name}: {part}={getattr(self, part)}; "
                    f"accepted: {low} to {high}"
                )
        self._check_kinds()

    def _check_kinds(self) -> None:
        for kind, most in self.at_most.items():
            if not 0 <= most <= MAX_LIMIT:
                raise ConfigError(
                    f"placement {self.name}: at_most.{kind}={most}; accepted: 0 to {MAX_LIMIT}"
                )
        if not self.kinds:
            raise ConfigError(f"placement {self.name}: kinds is empty; accepted: some of {KINDS}")

    def style(self, pace: Pace) -> PaceStyle:
        """What a visit at this pace changes here; nothing where nothing may differ."""
        if "session" not in self.seeds or not self.max_changed_share:
            return NEUTRAL
        return self.pace.style(pace)

    @property
    def purchased_within(self) -> timedelta | None:
        """How far back the rule ``purchased`` looks; None means for ever."""
        return timedelta(days=self.purchased_within_days) if self.purchased_within_days else None

    @property
    def seen_within(self) -> timedelta | None:
        """How far back the rule ``seen`` looks; None means for ever."""
        return timedelta(days=self.seen_within_days) if self.seen_within_days else None


def parse_placements(raw: Mapping[str, object]) -> dict[str, Placement]:
    """Placements from a parsed TOML document with one table ``[placements.NAME]`` each.

    The tables ``[explore]``, ``[fatigue]`` and ``[pace]`` are for all of them, such tables below
    ``[placements.NAME]`` change them for one, and ``[placements.NAME.stage.STAGE]`` changes a
    placement for shoppers at a stage. `sensitive_categories` are for all.

    Raises
    ------
    ConfigError
        An unknown key or an unacceptable value.
    """
    tables, known = raw.get("placements"), _TABLES | {_SENSITIVE}
    if raw.keys() - known != {"placements"} or not isinstance(tables, Mapping) or not tables:
        raise ConfigError(
            f"top-level keys {sorted(raw)}; accepted: tables [placements.NAME], at least one, "
            f"[explore], [fatigue] and [pace], and the list {_SENSITIVE}"
        )
    shared = Placement(
        "",
        explore=_settings("explore", raw.get("explore", {}), NO_EXPLORATION),
        fatigue=_settings("fatigue", raw.get("fatigue", {}), NO_FATIGUE),
        pace=parse_pace("pace", raw.get("pace", {})),
        sensitive_categories=_sensitive(raw.get(_SENSITIVE, [])),
    )
    return {name: _placement(name, table, shared) for name, table in tables.items()}


def read_placements(path: Path = DEFAULT_FILE) -> dict[str, Placement]:
    """Read a placement file, by default the one that ships. Raises `ConfigError`."""
    try:
        return parse_placements(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _placement(name: str, table: object, shared: Placement) -> Placement:
    accepted = {part.name for part in fields(Placement)} - {"name", _SENSITIVE}
    own = changed_placement(name, shared, table, accepted)
    if not isinstance(table, Mapping) or "stage" not in table:
        return own
    stages = table["stage"]
    if not isinstance(stages, Mapping) or stages.keys() - set(STAGES):
        raise ConfigError(
            f"placement {name}: stage={stages!r}; accepted: a table for each of some of {STAGES}"
        )
    changed = {
        stage: replace(changed_placement(f"{name}.stage.{stage}", own, part, _BY_STAGE), name=name)
        for stage, part in stages.items()
    }
    return replace(own, stage=MappingProxyType(changed))


def changed_placement(name: str, base: Placement, table: object, accepted: Set[str]) -> Placement:
    """A placement with what a table says of it. Raises `ConfigError`."""
    where = f"placement {name}"
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}={table!r}; accepted: a table")
    if unknown := sorted(table.keys() - accepted):
        raise ConfigError(f"{where}: unknown key {unknown}; accepted: {sorted(accepted)}")
    types = {part.name: str(part.type) for part in fields(Placement)}
    plain = table.keys() - _TABLES - {"stage"}
    values = {key: _value(where, key, types[key], table[key]) for key in plain}
    return replace(
        base,
        name=name,
        **values,
        explore=_settings(f"{where}: explore", table.get("explore", {}), base.explore),
        fatigue=_settings(f"{where}: fatigue", table.get("fatigue", {}), base.fatigue),
        pace=parse_pace(f"{where}: pace", table.get("pace", {}), base.pace),
    )


def _sensitive(paths: object) -> tuple[str, ...]:
    found: tuple[str, ...] = _value("placements", _SENSITIVE, "tuple[str, ...]", paths)
    for path in found:
        if not all(path.split("/")):
            raise ConfigError(f"{_SENSITIVE}: {path!r}; accepted: paths such as 'health/intimate'")
    return found


def _settings(where: str, table: object, shared: _Settings) -> _Settings:
    """The settings of all placements, changed by a table of their own."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}={table!r}; accepted: a table")
    types = {part.name: part.type for part in fields(shared)}
    if unknown := sorted(table.keys() - types.keys()):
        raise ConfigError(f"{where}: unknown key {unknown}; accepted: {sorted(types)}")
    values = {key: _value(where, key, str(types[key]), table[key]) for key in table}
    try:
        return replace(shared, **values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _value(where: str, key: str, kind: str, value: object) -> Any:
    if kind.startswith("Mapping"):
        if isinstance(value, Mapping) and all(type(part) is int for part in value.values()):
            return MappingProxyType(dict(value))
    elif kind.startswith("tuple"):
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return tuple(value)
    elif type(value) in _TYPES[kind]:
        return value
    accepted = _ACCEPTED.get(kind.partition("[")[0], f"a number ({kind})")
    raise ConfigError(f"{where}: {key}={value!r}; accepted: {accepted}")


_TYPES: Mapping[str, tuple[type, ...]] = {
    "str": (str,),
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
}
_ACCEPTED = {
    "Mapping": "a table of whole numbers",
    "tuple": "a list of texts",
    "str": "a text",
    "bool": "true or false",
}
