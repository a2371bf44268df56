"""What must never enter the log: email addresses and phone numbers, by field name or by look.

Refusing is the sender's chance to stop sending them; storing them would put them into every copy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from recommender.errors import InvalidEventError

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_QUALIFIER = (
    "user|customer|client|contact|billing|shipping|delivery|account|buyer|recipient|visitor|"
    "shopper|member|primary|secondary|home|work|business|private|personal|my|your|mobile|cell|"
    r"address|addresses|number|no|num|raw|plain|normali[sz]ed|hash|hashed|sha|md|id|value|\d+"
)
_PERSONAL_NAME = re.compile(
    rf"((?:{_QUALIFIER})_)*"
    r"(e_?mails?|mail|e_?mail_?address|(?:tele|mobile)?phones?|tel|msisdn"
    r"|(?:mobile|cell|phone|telephone)_?(?:number|no|num))"
    rf"(_(?:{_QUALIFIER}))*"
)
# Anchored at the sign, so that the search is linear in the text.
_ADDRESS = re.compile(r"[^\s@]@[^\s@]+\.[A-Za-z]{2,}")
_ACCEPTED: Final = "accepted: events without email addresses and phone numbers; use a pseudonym"


def looks_like_address(text: str) -> bool:
    """True if the text has an email address in it, percent-encoded or not."""
    plain = text.replace("%40", "@") if "%40" in text else text
    return "@" in plain and _ADDRESS.search(plain) is not None


@lru_cache(maxsize=4096)
def is_personal_name(name: str) -> bool:
    """True for field names that hold an email address or phone number (``userEmail``, ``tel``)."""
    words = "_".join(_WORDS.findall(name[:128])).lower()
    return _PERSONAL_NAME.fullmatch(words) is not None


def refuse_personal_values(texts: Iterable[tuple[str, object]]) -> None:
    """Raise `InvalidEventError` if a text looks like an address. The text is not repeated."""
    for field, text in texts:
        if isinstance(text, str) and looks_like_address(text):
            raise InvalidEventError("personal_data", f"{field} holds an email address; {_ACCEPTED}")


def refuse_personal_names(raw: object) -> None:
    """Raise `InvalidEventError` if a field anywhere in a JSON value is named like personal data.

    Empty values and booleans (``"email": true`` for "gave one") pass.
    """
    pending = [raw]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            _refuse_names(_named(value))
            pending.extend(value.values())
        elif isinstance(value, list | tuple):
            pending.extend(value)


def _named(fields: Mapping[object, object]) -> Iterable[tuple[object, object]]:
    yield from fields.items()
    if "key" in fields and "value" in fields:  # GA4 export: {"key": "email", "value": {...}}
        yield fields["key"], fields["value"]


def _refuse_names(fields: Iterable[tuple[object, object]]) -> None:
    for name, value in fields:
        if (
            value
            and not isinstance(value, bool)
            and isinstance(name, str)
            and is_personal_name(name)
        ):
            raise InvalidEventError("personal_data", f"field {name!r:.60} is present; {_ACCEPTED}")
