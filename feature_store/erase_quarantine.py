"""Withholding what the quarantine keeps of erased shoppers, line by line and in place."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from feature_store.erasures import erased_at

# What was refused may be in any dialect, or no JSON at all: every text and number is looked at.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+')
_DROPPED: Final = ("raw", "raw_base64", "event_id", "detail")


def wipe_quarantine(folder: Path, subjects: Mapping[str, int]) -> int:
    """Withhold every line that names an erased id; returns how many. Lines keep their length."""
    if not folder.is_dir():
        return 0
    return sum(_wipe_file(path, subjects) for path in sorted(folder.glob("*.jsonl")))


def _wipe_file(path: Path, subjects: Mapping[str, int]) -> int:
    wiped = offset = 0
    with path.open("r+b") as stream:
        for line in iter(stream.readline, b""):
            if line.endswith(b"\n") and (new := _withheld(line, subjects)):
                os.pwrite(stream.fileno(), new, offset)
                wiped += 1
            offset += len(line)
        if wiped:
            os.fdatasync(stream.fileno())
    return wiped


def _withheld(line: bytes, subjects: Mapping[str, int]) -> bytes | None:
    try:
        entry = msgspec.json.decode(line, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    raw = entry.get("raw")
    text = raw.encode() if isinstance(raw, str) else line
    arrived = entry.get("received_at", 0)
    for name in _names(text):
        at = erased_at(subjects, name, name)
        if at and (not isinstance(arrived, int) or arrived <= at):
            kept = {key: value for key, value in entry.items() if key not in _DROPPED}
            kept |= {"detail": ""} if "received_at" in entry else {}
            return msgspec.json.encode(kept | {"withheld": True}).ljust(len(line) - 1) + b"\n"
    return None


def _names(text: bytes) -> Iterator[str]:
    for token in _TOKEN.findall(text):
        try:
            found = msgspec.json.decode(token)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        yield str(found)
