"""What every report can do: be plain values, rounded, and the same JSON for the same log."""

from __future__ import annotations

from typing import Any, Final

import msgspec

DECIMALS: Final = 6


class Report(msgspec.Struct, frozen=True):
    """Figures of a report."""

    @property
    def figures(self) -> dict[str, Any]:
        """The report as plain values, rounded to `DECIMALS`: for JSON and for the page alike."""
        plain: dict[str, object] = msgspec.to_builtins(self)
        return {name: _rounded(value) for name, value in plain.items()}

    def to_json(self) -> bytes:
        """The figures, the same bytes for the same log."""
        return msgspec.json.format(msgspec.json.encode(self.figures), indent=1) + b"\n"


def _rounded(value: object) -> object:
    """Floats at `DECIMALS`: another processor's last digit must not make another report."""
    if isinstance(value, float):
        return round(value, DECIMALS) + 0.0  # no negative zero
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value
