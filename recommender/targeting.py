"""Whether the attributes of a subject meet a condition, in the manner of the GrowthBook SDKs.

A condition is a JSON object: attribute (a path with dots) → a plain value, or an object of
operators. All parts must hold. JavaScript's rules of comparison are those of the specification:
a number and a text compare as numbers, and what is missing compares as 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Set
from typing import Any, Final, TypeAlias

from recommender.errors import InvalidInputError

Groups: TypeAlias = Mapping[str, list[Any]]
Operator: TypeAlias = Callable[[Any, Any, Groups], bool]
NO_GROUPS: Final[Groups] = {}
LOGICAL: Final = ("$or", "$nor", "$and", "$not")
_OF_LISTS: Final = ("$or", "$nor", "$and", "$in", "$nin", "$ini", "$nini", "$all", "$alli")
PATTERNS: Final = ("$regex", "$regexi", "$notRegex", "$notRegexi")
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
    "null": (type(None),),
}


def meets(
    attributes: Mapping[str, Any], condition: Mapping[str, Any], groups: Groups = NO_GROUPS
) -> bool:
    """Whether attributes meet a condition; an empty one is met by all.

    Parameters
    ----------
    groups
        Lists that ``$inGroup`` and ``$notInGroup`` name.
    """
    return all(_part(attributes, name, wanted, groups) for name, wanted in condition.items())


def check_condition(condition: object, accepted: Set[str]) -> None:
    """Raise `InvalidInputError` for a condition that no subject could meet as it is meant.

    Parameters
    ----------
    accepted
        Names of the operators that may be used.
    """
    if not isinstance(condition, Mapping):
        raise InvalidInputError(f"condition {condition!r}; accepted: an object")
    for name, part in condition.items():
        if name.startswith("$") and name not in accepted:
            raise InvalidInputError(f"operator {name!a}; accepted: {sorted(accepted)}")
        if name in _OF_LISTS and not isinstance(part, list):
            raise InvalidInputError(f"{name}: {part!r}; accepted: a list")
        for each in part if name in LOGICAL and isinstance(part, list) else [part]:
            if name in LOGICAL or isinstance(each, Mapping):
                check_condition(each, accepted)


def _part(attributes: Any, name: str, wanted: Any, groups: Groups) -> bool:
    if name == "$or":
        return not wanted or _any(attributes, wanted, groups)
    if name == "$nor":
        return not (not wanted or _any(attributes, wanted, groups))
    if name == "$and":
        return isinstance(wanted, list) and all(_meets(attributes, c, groups) for c in wanted)
    if name == "$not":
        return not _meets(attributes, wanted, groups)
    return _value_meets(_at(attributes, name), wanted, groups)


def _any(attributes: Any, wanted: Any, groups: Groups) -> bool:
    return isinstance(wanted, list) and any(_meets(attributes, c, groups) for c in wanted)


def _meets(attributes: Any, condition: Any, groups: Groups) -> bool:
    """`meets` for what may be no condition, which nobody meets."""
    return isinstance(condition, Mapping) and meets(attributes, condition, groups)


def _at(attributes: Any, path: str) -> Any:
    found = attributes
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _value_meets(value: Any, wanted: Any, groups: Groups) -> bool:
    if _is_operators(wanted):
        return all(_operates(name, value, part, groups) for name, part in wanted.items())
    if wanted is None:
        return value is None
    if isinstance(wanted, bool):
        return value is not None and (bool(value) or isinstance(value, list | dict)) == wanted
    if isinstance(wanted, str):
        return _text(value) == wanted
    if isinstance(wanted, int | float):
        return _number(value) == wanted
    return bool(_same(value, wanted))


def _is_operators(wanted: Any) -> bool:
    return (
        isinstance(wanted, Mapping)
        and bool(wanted)
        and all(name.startswith("$") for name in wanted)
    )


def _operates(name: str, value: Any, wanted: Any, groups: Groups) -> bool:
    operator = OPERATORS.get(name)
    return operator is not None and operator(value, wanted, groups)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else f"{value}"


def _number(value: Any) -> float:
    """A value as JavaScript takes it for a number; NaN for what is none."""
    if value is None or value == "":
        return 0.0
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _same(value: Any, wanted: Any) -> bool:
    """Equal without conversion: true is not 1."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(map(_same, value, wanted))
    if isinstance(value, Mapping) and isinstance(wanted, Mapping):
        return value.keys() == wanted.keys() and all(_same(value[k], wanted[k]) for k in value)
    return bool(value == wanted)


def _pair(value: Any, wanted: Any) -> tuple[Any, Any]:
    if isinstance(value, str) and isinstance(wanted, str):
        return value, wanted
    return _number(value), _number(wanted)


def _folded(value: Any) -> Any:
    if isinstance(value, list):
        return [_folded(each) for each in value]
    return value.lower() if isinstance(value, str) else value


def _is_in(value: Any, wanted: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(_same(each, accepted) for each in values for accepted in wanted)


def _in(value: Any, wanted: Any, _: Groups) -> bool:
    return isinstance(wanted, list) and _is_in(value, wanted)


def _not_in(value: Any, wanted: Any, _: Groups) -> bool:
    return isinstance(wanted, list) and not _is_in(value, wanted)


def _all(value: Any, wanted: Any, groups: Groups) -> bool:
    if not isinstance(value, list) or not isinstance(wanted, list):
        return False
    return all(any(_value_meets(each, one, groups) for each in value) for one in wanted)


def _has_element(value: Any, wanted: Any, groups: Groups) -> bool:
    check = _value_meets if _is_operators(wanted) else _meets
    return isinstance(value, list) and any(check(each, wanted, groups) for each in value)


def _has_size(value: Any, wanted: Any, groups: Groups) -> bool:
    return isinstance(value, list) and _value_meets(len(value), wanted, groups)


def _is_type(value: Any, wanted: Any, _: Groups) -> bool:
    if isinstance(value, bool):
        return bool(wanted == "boolean")
    return isinstance(wanted, str) and isinstance(value, _TYPES.get(wanted, ()))


def _matches(flags: int) -> Operator:
    def matches(value: Any, wanted: Any, _: Groups) -> bool:
        try:
            return re.search(wanted, _text(value), flags) is not None
        except (re.error, TypeError):
            return False

    return matches


def _not(operator: Operator) -> Operator:
    return lambda value, wanted, groups: not operator(value, wanted, groups)


def _insensitive(operator: Operator) -> Operator:
    return lambda value, wanted, groups: operator(_folded(value), _folded(wanted), groups)


def _compared(compare: Callable[[Any, Any], bool]) -> Operator:
    return lambda value, wanted, _: bool(compare(*_pair(value, wanted)))


def _versions(compare: Callable[[str, str], bool]) -> Operator:
    return lambda value, wanted, _: compare(padded_version(value), padded_version(wanted))


def padded_version(value: Any) -> str:
    """A version so that the order of texts is that of versions; a pre-release comes first."""
    text = _text(value) if value else "0"
    parts = re.split(r"[-.]", re.sub(r"^v|\+.*$", "", text))
    if len(parts) == 3:
        parts.append("~")  # behind every letter: a release comes after its pre-releases
    return "-".join(part.rjust(5) if part.isascii() and part.isdigit() else part for part in parts)


OPERATORS: Final[Mapping[str, Operator]] = {
    "$eq": lambda value, wanted, _: _same(value, wanted),
    "$ne": lambda value, wanted, _: not _same(value, wanted),
    "$lt": _compared(lambda value, wanted: value < wanted),
    "$lte": _compared(lambda value, wanted: value <= wanted),
    "$gt": _compared(lambda value, wanted: value > wanted),
    "$gte": _compared(lambda value, wanted: value >= wanted),
    "$veq": _versions(lambda value, wanted: value == wanted),
    "$vne": _versions(lambda value, wanted: value != wanted),
    "$vlt": _versions(lambda value, wanted: value < wanted),
    "$vlte": _versions(lambda value, wanted: value <= wanted),
    "$vgt": _versions(lambda value, wanted: value > wanted),
    "$vgte": _versions(lambda value, wanted: value >= wanted),
    "$in": _in,
    "$nin": _not_in,
    "$ini": _insensitive(_in),
    "$nini": _insensitive(_not_in),
    "$all": _all,
    "$alli": _insensitive(_all),
    "$exists": lambda value, wanted, _: (value is not None) == bool(wanted),
    "$type": _is_type,
    "$size": _has_size,
    "$elemMatch": _has_element,
    "$not": lambda value, wanted, groups: not _value_meets(value, wanted, groups),
    "$regex": _matches(0),
    "$regexi": _matches(re.IGNORECASE),
    "$notRegex": _not(_matches(0)),
    "$notRegexi": _not(_matches(re.IGNORECASE)),
    "$inGroup": lambda value, wanted, groups: _is_in(value, groups.get(f"{wanted}", [])),
    "$notInGroup": lambda value, wanted, groups: not _is_in(value, groups.get(f"{wanted}", [])),
}
