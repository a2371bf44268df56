"""A specification as a `training.toml` that a person can read: the commented sample, filled in."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from training.spec import TrainingSpec, parse_spec

SAMPLE: Final = Path(__file__).with_name("training.toml")
_SECTION = re.compile(r"\[([\w.]+)\]")
_KEY = re.compile(r"(\w+) = ")


def spec_text(spec: TrainingSpec, head: str) -> str:
    """Text of a training file that gives exactly this specification.

    Parameters
    ----------
    head
        Comment that it begins with, one or more lines without ``#``.
    """
    left = _by_section(spec.resolved)
    section, lines = "", [f"# {line}" for line in head.splitlines()]
    # What the sample says of itself, up to its first empty line, is not true of a filled-in one.
    _, _, body = SAMPLE.read_text("utf-8").partition("\n\n")
    for line in ("", *body.splitlines()):
        if match := _SECTION.fullmatch(line):
            lines += _rest(left.pop(section, {}))
            section = match[1]
        elif match := _KEY.match(line):
            if match[1] in left.get(section, {}):
                lines.append(_line(match[1], left[section].pop(match[1])))
            continue
        lines.append(line)
    text = "\n".join([*lines, *_rest(left.pop(section, {}))]) + "\n"
    if parse_spec(tomllib.loads(text)).digest != spec.digest:
        raise RuntimeError(f"the sample {SAMPLE} does not name every setting")
    return text


def _by_section(table: Mapping[str, Any], prefix: str = "") -> dict[str, dict[str, Any]]:
    """Keys of each TOML table, by its dotted name."""
    own = {key: value for key, value in table.items() if not isinstance(value, dict)}
    found = {prefix: own} if prefix else {}
    for key, value in table.items():
        if isinstance(value, dict):
            found |= _by_section(value, f"{prefix}.{key}" if prefix else key)
    return found


def _rest(keys: Mapping[str, Any]) -> list[str]:
    """What the sample does not name, such as the weight of another event type."""
    return [_line(key, value) for key, value in keys.items()]


def _line(key: str, value: object) -> str:
    # Numbers, texts, truth values and lists of them are written in TOML as in JSON.
    return f"{key} = {json.dumps(value)}"
