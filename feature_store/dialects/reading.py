"""How values of foreign events are read: leniently where the sender's format leaves no doubt.

Only notation is changed here (``"9.90"`` to 9.9, item 507 to ``"507"``). What remains doubtful is
handed on as it is, and refused by the rules of our own shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from feature_store.event_rules import RECOMMENDATION_NAMES

# GA4 exports write "(not set)" where a value is missing.
_ABSENT: Final = ("", "(not set)")
_DECIMAL = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)

Fields = dict[str, object]
Raw = Mapping[str, object]


def is_absent(value: object) -> bool:
    """True for null and for the ways in which senders write nothing."""
    return value is None or (isinstance(value, str) and value in _ABSENT)


def first(raw: Raw, *names: str) -> object:
    """The first of the named fields that has a value, or None."""
    for name in names:
        value = raw.get(name)
        if not is_absent(value):
            return value
    return None


def inner(raw: Raw, *path: str) -> Raw:
    """The object at a path of fields; empty where there is none."""
    for name in path:
        value = raw.get(name)
        if not isinstance(value, Mapping):
            return {}
        raw = value
    return raw


def text_id(value: object) -> object:
    """An id; senders write whole numbers without quotes, which say the same id."""
    return str(value) if _is_int(value) and abs(value) < 2**63 else value  # type: ignore[arg-type]


def number(value: object) -> object:
    """A number; senders write them as text, too."""
    return float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else value


def whole(value: object) -> object:
    """A whole number, such as a position."""
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def recommendation(*sources: Raw) -> object:
    """Our own id as it came back, under any of its names, first source first."""
    found = (first(source, *RECOMMENDATION_NAMES) for source in sources)
    return text_id(next((value for value in found if value is not None), None))


def scalars(raw: Raw, taken: Iterable[str]) -> Fields:
    """What is left of a flat object: its plain values, without those already read."""
    skip = set(taken)
    return {
        name: value
        for name, value in raw.items()
        if name not in skip and not is_absent(value) and isinstance(value, str | int | float)
    }


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
