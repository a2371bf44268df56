"""From a TOML document (or its equal in JSON) to `ShopRules`; every fault is told at once."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from recommender.errors import ConfigError, InvalidInputError
from recommender.filters.expression import (
    Attribute,
    Comparison,
    Expression,
    Or,
    Product,
)
from recommender.filters.parser import parse, parse_context
from recommender.merchandising.shop_rules import (
    BoostRule,
    CalibrationRule,
    ConstraintRule,
    DiversityRule,
    ExcludeRule,
    PinRule,
    PromotionRule,
    ShopRule,
    ShopRules,
)
from recommender.placements import MAX_LIMIT

DEFAULT_FILE = Path(__file__).parent.with_name("rules.toml")
MAX_CHARACTERS = 256 * 1024
MAX_RULES = 200
MAX_NAME = 64
DIVERSITY_LEVELS: Final[Mapping[str, float]] = {
    "none": 0.0,
    "low": 0.15,
    "medium": 0.3,
    "high": 0.6,
}
BAND_PRICES: Final[Mapping[str, str]] = {"page": "context.price", "cart": "cart.price"}
PER_ATTRIBUTES = ("brand", "category")
Reader = Callable[[object], Any]


def read_rules(path: Path, placements: Collection[str]) -> tuple[ShopRules, str]:
    """A rules file and its text. Raises `ConfigError`."""
    try:
        text = path.read_text(encoding="utf-8")
        return parse_rules(text, placements), text
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_rules(document: str | Mapping[str, object], placements: Collection[str]) -> ShopRules:
    """Rules from TOML text, or from a mapping of the same form with moments as RFC 3339 texts.

    Parameters
    ----------
    placements
        Names of all placements there are.

    Raises
    ------
    ConfigError
        All that is wrong with it, one fault per rule, each on a line.
    """
    if isinstance(document, str):
        if len(document) > MAX_CHARACTERS:
            raise ConfigError(f"{len(document)} characters; accepted: up to {MAX_CHARACTERS}")
        try:
            document = tomllib.loads(document)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise ConfigError(f"no TOML: {error}") from error
    version, tables = document.get("version"), document.get("rules", [])
    if unknown := sorted(document.keys() - {"version", "rules"}):
        raise ConfigError(f"unknown key {unknown}; accepted: version, [[rules]]")
    if not isinstance(version, str) or not 1 <= len(version) <= MAX_NAME:
        raise ConfigError(f"version={version!r}; accepted: a text of 1 to {MAX_NAME} characters")
    if not isinstance(tables, list) or len(tables) > MAX_RULES:
        raise ConfigError(f"rules; accepted: up to {MAX_RULES} tables [[rules]]")
    return ShopRules(version, _rules(tables, placements))


def _rules(tables: list[object], placements: Collection[str]) -> tuple[ShopRule, ...]:
    rules, faults = [], []
    for number, table in enumerate(tables, start=1):
        try:
            rules.append(_rule(table, placements))
        except InvalidInputError as error:
            name = table.get("name") if isinstance(table, Mapping) else None
            faults.append(f"rule {number}{f' ({name})' if isinstance(name, str) else ''}: {error}")
    names = Counter(rule.name for rule in rules)
    faults += [f"name {name!r} occurs {n} times" for name, n in names.items() if n > 1]
    if faults:
        raise ConfigError("\n".join(faults))
    return tuple(rules)


def _rule(table: object, placements: Collection[str]) -> ShopRule:
    if not isinstance(table, Mapping):
        raise ConfigError(f"{table!r}; accepted: a table")
    kind = KINDS.get(word) if isinstance(word := table.get("kind"), str) else None
    if kind is None:
        raise ConfigError(f"kind={word!r}; accepted: {', '.join(KINDS)}")
    readers = {**COMMON, **kind.fields}
    if unknown := sorted(table.keys() - readers.keys() - {"kind"}):
        raise ConfigError(f"unknown key {unknown}; accepted with {word}: {', '.join(readers)}")
    if absent := sorted({"name", *kind.required} - table.keys()):
        raise ConfigError(f"{word} needs {', '.join(absent)}")
    values = {key: _read(key, readers[key], table[key]) for key in readers if key in table}
    if strange := sorted(set(values.get("placements", ())) - set(placements)):
        known = ", ".join(sorted(placements))
        raise ConfigError(f"placements {strange} are not known; accepted: {known}")
    values["since"] = values.pop("from", None)
    if values["since"] and values.get("until") and values["since"] >= values["until"]:
        raise ConfigError("until is not after from")
    return kind.build(values)


def _read(key: str, reader: Reader, value: object) -> Any:
    try:
        return reader(value)
    except InvalidInputError as error:
        raise ConfigError(f"{key}: {error}") from error


def _text(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME:
        raise ConfigError(f"{value!r}; accepted: a text of 1 to {MAX_NAME} characters")
    return value


def _names(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise ConfigError(f"{value!r}; accepted: a list of names, at least one")
    return frozenset(value)


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ConfigError("accepted: a moment with its zone, such as 2026-11-27T00:00:00Z")
    return value.astimezone(UTC)


def _filter(value: object) -> Expression:
    return parse(_filter_text(value))


def _context_filter(value: object) -> Expression:
    return parse_context(_filter_text(value))


def _filter_text(value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{value!r}; accepted: a filter, as text")
    return value


def _number(low: float, high: float) -> Reader:
    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{value!r}; accepted: a number from {low:g} to {high:g}")
        if not low <= value <= high:
            raise ConfigError(f"{value!r}; accepted: {low:g} to {high:g}")
        return float(value)

    return read


def _whole(low: int, high: int) -> Reader:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ConfigError(f"{value!r}; accepted: a whole number from {low} to {high}")
        return value

    return read


def _one_of(accepted: Collection[str]) -> Reader:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in accepted:
            raise ConfigError(f"{value!r}; accepted: {', '.join(accepted)}")
        return value

    return read


def _level(value: object) -> float:
    if isinstance(value, str):
        return DIVERSITY_LEVELS[_one_of(DIVERSITY_LEVELS)(value)]
    return float(_number(0, 1)(value))


def _pins(value: object) -> tuple[tuple[str, int], ...]:
    if not isinstance(value, Mapping) or not value:
        raise ConfigError(f"{value!r}; accepted: item ids with their positions")
    position = _whole(1, MAX_LIMIT)
    pins = tuple((str(item_id), position(where)) for item_id, where in value.items())
    if len({position for _, position in pins}) < len(pins):
        raise ConfigError("two items have one position; accepted: a position for each")
    return pins


def _constraint(values: dict[str, Any]) -> ShopRule:
    if "at_least" not in values and "at_most" not in values:
        raise ConfigError("accepted: at_least, at_most, or both")
    if ("per" in values) == ("where" in values):
        raise ConfigError("accepted: either where or per")
    if "per" in values and "at_least" in values:
        raise ConfigError("at_least with per; accepted: at_most with per, at_least with where")
    if values.get("at_least", 0) > values.get("at_most", MAX_LIMIT):
        raise ConfigError("at_least is above at_most")
    return ConstraintRule(**values)


def _band(values: dict[str, Any]) -> ShopRule:
    """A price band excludes what is known to cost less or more; an unknown price is no reason."""
    around = Attribute(BAND_PRICES[values.pop("around", "page")])
    low, high = values.pop("low", None), values.pop("high", None)
    if low is None and high is None:
        raise ConfigError("accepted: low, high, or both")
    sides = (("<", low), (">", high))
    outside = tuple(
        Comparison(Attribute("price"), sign, Product(factor, around))
        for sign, factor in sides
        if factor is not None
    )
    return ExcludeRule(where=outside[0] if len(outside) == 1 else Or(outside), **values)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a kind is read: its fields, those that it needs, and what is made of them."""

    build: Callable[[dict[str, Any]], ShopRule]
    fields: Mapping[str, Reader]
    required: tuple[str, ...] = ()


COMMON: Final[dict[str, Reader]] = {
    "name": _text,
    "placements": _names,
    "when": _context_filter,
    "from": _moment,
    "until": _moment,
}
KINDS: Final[Mapping[str, _Kind]] = {
    "exclude": _Kind(lambda given: ExcludeRule(**given), {"where": _filter}, ("where",)),
    "price_band": _Kind(
        _band,
        {"around": _one_of(BAND_PRICES), "low": _number(0, 1), "high": _number(1, 1000)},
    ),
    "boost": _Kind(
        lambda given: BoostRule(**given),
        {"where": _filter, "factor": _number(1, 100)},
        ("where", "factor"),
    ),
    "bury": _Kind(
        lambda given: BoostRule(**given),
        {"where": _filter, "factor": _number(0.01, 1)},
        ("where", "factor"),
    ),
    "diversity": _Kind(lambda given: DiversityRule(**given), {"level": _level}, ("level",)),
    "calibration": _Kind(
        lambda given: CalibrationRule(**given),
        {
            "strength": _number(0, 1),
            "min_history": _whole(1, 100_000),
            "depth": _whole(1, 20),
        },
        ("strength",),
    ),
    "pin": _Kind(lambda given: PinRule(**given), {"items": _pins}, ("items",)),
    "promotion": _Kind(
        lambda given: PromotionRule(**given),
        {"where": _filter, "share": _number(0, 1), "from_position": _whole(1, MAX_LIMIT)},
        ("where", "share"),
    ),
    "constraint": _Kind(
        _constraint,
        {
            "where": _filter,
            "per": _one_of(PER_ATTRIBUTES),
            "at_least": _whole(1, MAX_LIMIT),
            "at_most": _whole(0, MAX_LIMIT),
        },
    ),
}
