"""The words of the filter language, each with its place in the text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from recommender.errors import InvalidInputError

MAX_CHARACTERS = 4096
SHOWN_CHARACTERS = 40
WORD, SYMBOL, STRING, NUMERAL, END = "word", "symbol", "string", "numeral", "end"

_SPACE = re.compile(r"\s*+")
# The groups are named as the kinds; quantifiers are possessive: hostile text costs linear time.
_TOKEN = re.compile(
    r"""(?P<numeral>-?[0-9]++(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*+(?:\.[A-Za-z_][A-Za-z0-9_]*+)*+)
    |(?P<string>"(?:[^"\\]|\\["\\])*+")
    |(?P<symbol>!=|<=|>=|[=<>(),*])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Token:
    """One word.

    Parameters
    ----------
    kind
        `WORD`, `SYMBOL`, `STRING`, `NUMERAL` or `END`.
    text
        As it stands in the filter.
    position
        Of its first character, 1-based.
    """

    kind: str
    text: str
    position: int

    @property
    def string(self) -> str:
        """What a `STRING` says."""
        return _ESCAPE.sub(r"\1", self.text[1:-1])

    @property
    def shown(self) -> str:
        """How an error names it."""
        if self.kind == END:
            return "the end"
        more = "…" if len(self.text) > SHOWN_CHARACTERS else ""
        return f"{self.text[:SHOWN_CHARACTERS]!r}{more}"


def fault(position: int, found: str, accepted: str) -> InvalidInputError:
    """The refusal of a filter: where, what stands there, what would be accepted."""
    return InvalidInputError(f"at character {position}: {found}; accepted: {accepted}")


def tokens_of(text: str) -> Iterator[Token]:
    """All words of a filter, and `END`. Raises `InvalidInputError` where no word begins."""
    if len(text) > MAX_CHARACTERS:
        found = f"the filter has {len(text)} characters"
        raise fault(MAX_CHARACTERS + 1, found, f"up to {MAX_CHARACTERS}")
    place = _after_space(text, 0)
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            raise _no_token(text, place)
        token = Token(match.lastgroup, match[0], place + 1)
        if token.kind == NUMERAL and not math.isfinite(float(token.text)):
            raise fault(token.position, f"{token.shown} is too large", "a finite number")
        yield token
        place = _after_space(text, match.end())
    yield Token(END, "", len(text) + 1)


def _after_space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match else place


def _no_token(text: str, place: int) -> InvalidInputError:
    if text[place] == '"':
        return fault(place + 1, "a text that is not closed", 'a closing ", and \\" or \\\\ inside')
    accepted = "an attribute, a number, a text in double quotes, = != < <= > >= ( ) , *"
    return fault(place + 1, f"found {text[place]!r}", accepted)
