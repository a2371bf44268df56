"""What each pace of a visit changes in an answer: tables ``[pace]`` of a placement file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final

from recommender.errors import ConfigError
from recommender.pace import Pace
from recommender.terms import MODES


@dataclass(frozen=True, slots=True)
class PaceStyle:
    """What one mode changes; the defaults change nothing.

    Parameters
    ----------
    length
        Share of the asked list length that is given, above 0 to 1.
    novelty_at_least, novelty_at_most
        Bounds of the share of items that are new to the shopper, see `recommender.novelty`.
    """

    length: float = 1.0
    novelty_at_least: float = 0.0
    novelty_at_most: float = 1.0

    def __post_init__(self) -> None:
        low, high = self.novelty_at_least, self.novelty_at_most
        if not 0 < self.length <= 1:
            raise ConfigError(f"length={self.length}; accepted: above 0 to 1")
        if not 0 <= low <= high <= 1:
            raise ConfigError(
                f"novelty_at_least={low}, novelty_at_most={high}; "
                "accepted: 0 to 1, the first not above the second"
            )

    def limit(self, asked: int) -> int:
        """List length to give where so much was asked for; at least 1."""
        return max(1, round(asked * self.length))

    @property
    def bounds_novelty(self) -> bool:
        """Whether the share of new items is bounded at all."""
        return self.novelty_at_least > 0 or self.novelty_at_most < 1


NEUTRAL: Final = PaceStyle()
_KEYS: Final = tuple(part.name for part in fields(PaceStyle))


@dataclass(frozen=True, slots=True)
class PaceTable:
    """Styles by mode.

    Parameters
    ----------
    confidence
        A mode changes the answer where it is at least so sure, 0 to 1.
    styles
        By name of `recommender.terms.MODES`; a mode that is not named changes nothing.
    """

    confidence: float = 0.6
    styles: Mapping[str, PaceStyle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 1:
            raise ConfigError(f"confidence={self.confidence}; accepted: 0 to 1")

    def style(self, pace: Pace) -> PaceStyle:
        """What to change for a visit at this pace."""
        if pace.confidence < self.confidence:
            return NEUTRAL
        return self.styles.get(pace.mode, NEUTRAL)


NO_PACE: Final = PaceTable()


def parse_pace(where: str, raw: object, base: PaceTable = NO_PACE) -> PaceTable:
    """A table ``[pace]`` of a parsed TOML document; what it does not name is that of `base`.

    Raises
    ------
    ConfigError
        An unknown key or an unacceptable value.
    """
    accepted = ("confidence", *MODES)
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}={raw!r}; accepted: a table")
    if unknown := sorted(raw.keys() - set(accepted)):
        raise ConfigError(f"{where}: unknown key {unknown}; accepted: {accepted}")
    styles = dict(base.styles)
    try:
        for mode in MODES:
            if mode in raw:
                styles[mode] = _style(mode, raw[mode], styles.get(mode, NEUTRAL))
        confidence = _number("confidence", raw.get("confidence", base.confidence))
        return PaceTable(confidence, styles)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _style(mode: str, raw: object, base: PaceStyle) -> PaceStyle:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{mode}={raw!r}; accepted: a table")
    if unknown := sorted(raw.keys() - set(_KEYS)):
        raise ConfigError(f"{mode}: unknown key {unknown}; accepted: {_KEYS}")
    try:
        return replace(base, **{key: _number(key, value) for key, value in raw.items()})
    except ConfigError as error:
        raise ConfigError(f"{mode}: {error}") from error


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{key}={value!r}; accepted: a number")
    return float(value)
