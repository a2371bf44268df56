"""How every verb of the command line speaks: people on stderr, machines on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import rich.console
import rich.progress
import rich.table


class Progress(Protocol):
    """A running progress bar."""

    def advance(self, n: float = 1) -> None:
        """Move on by `n` units."""
        ...


WIDTH_OF_A_FILE = 140
_INTERVAL = {"mean", "low", "high"}
_NOTHING = "none"


def _people() -> rich.console.Console:
    # A pipe or file has no width of its own; rich's 80 columns would cut tables.
    width = None if sys.stderr.isatty() else WIDTH_OF_A_FILE
    return rich.console.Console(stderr=True, highlight=False, width=width)


@dataclass(slots=True)
class _Bar:
    progress: rich.progress.Progress
    task: rich.progress.TaskID

    def advance(self, n: float = 1) -> None:
        self.progress.advance(self.task, n)


@dataclass(slots=True)
class Console:
    """Output of one verb.

    Parameters
    ----------
    as_json
        Print the result as one JSON line on stdout instead of a table on stderr.
    """

    as_json: bool = False
    _stderr: rich.console.Console = field(default_factory=_people)

    def say(self, text: str) -> None:
        """Tell people what is going on."""
        self._stderr.print(text, markup=False, soft_wrap=True)  # commands must stay one line

    def table(self, title: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Show rows to people; columns are the keys of the first row."""
        if not rows:
            self.say(f"{title}: none")
            return
        table = rich.table.Table(title=title, title_justify="left")
        for column in rows[0]:
            table.add_column(column)
        for row in rows:
            table.add_row(*(_cell(value) for value in row.values()))
        self._stderr.print(table)

    def result(self, result: Mapping[str, object]) -> None:
        """Give the result: one JSON line on stdout with `--json`, else a table on stderr."""
        if self.as_json:
            sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
            sys.stdout.flush()
        else:
            self.table("", [{"": key, " ": value} for key, value in result.items()])

    @contextmanager
    def progress(self, label: str, total: float | None) -> Iterator[Progress]:
        """Progress bar on stderr; invisible when stderr is not a terminal."""
        bar = rich.progress.Progress(
            console=self._stderr, disable=not self._stderr.is_terminal, transient=True
        )
        with bar:
            yield _Bar(bar, bar.add_task(label, total=total))


def _cell(value: object) -> str:
    return "\n".join(_lines(value))


def _lines(value: object) -> list[str]:
    """What has parts of its own has lines of its own, each with its whole path."""
    if not isinstance(value, Mapping) or value.keys() == _INTERVAL:
        return [_plain(value)]
    if any(isinstance(each, Mapping) for each in value.values()):
        return [f"{key} {line}" for key, each in value.items() for line in _lines(each)]
    return [", ".join(f"{key} {_plain(each)}" for key, each in value.items()) or _NOTHING]


def _plain(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):  # an interval
        mean, low, high = (_plain(value[part]) for part in ("mean", "low", "high"))
        return f"{mean} [{low}, {high}]"
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value)) or _NOTHING
    return str(value)
