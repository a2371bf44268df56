"""Independent vectors: a tally per suite and group, printed at the end by `make conformance`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

PROPERTY = "conformance"


@dataclass
class Tally:
    """How many vectors of one group of a suite hold.

    Use it as a ``with`` block: what does not hold fails the test at its end.
    """

    suite: str
    group: str
    total: int = 0
    left_out: int = 0
    why: str = ""
    failures: list[str] = field(default_factory=list)

    def check(self, name: str, got: object, expected: object) -> None:
        """Count one vector."""
        self.total += 1
        if got != expected:
            self.failures.append(f"{name}: got {got!r}, expected {expected!r}")

    def leave_out(self, count: int, why: str) -> None:
        """Say that vectors are not looked at."""
        self.left_out += count
        self.why = why

    def __enter__(self) -> Tally:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is None:
            assert self.total or self.left_out, f"{self.suite} {self.group}: no vectors"
            assert self.failures == []

    @property
    def row(self) -> tuple[str, str, int, int, int, str]:
        passed = self.total - len(self.failures)
        return self.suite, self.group, passed, self.total, self.left_out, self.why


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Iterator[Callable[[str, str], Tally]]:
    """Begin a tally: ``with tally("GrowthBook 0.8.0", "hash") as counted: ...``."""
    begun: list[Tally] = []

    def begin(suite: str, group: str) -> Tally:
        begun.append(Tally(suite, group))
        return begun[-1]

    yield begin
    for each in begun:
        record_property(PROPERTY, each.row)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line per suite and group: passed of total, and what is left out for which reason."""
    reports = [each for group in terminalreporter.stats.values() for each in group]
    rows = {
        tuple(value)
        for report in reports
        if getattr(report, "when", None) == "teardown"
        for name, value in report.user_properties
        if name == PROPERTY
    }
    if not rows:
        return
    terminalreporter.section("conformance")
    for suite, group, passed, total, left_out, why in sorted(rows):
        note = f", {left_out} left out: {why}" if left_out else ""
        terminalreporter.write_line(f"{suite:<28} {group:<28} {passed}/{total}{note}")
