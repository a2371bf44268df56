from __future__ import annotations

from pathlib import Path

from benchmarks.assignment import compared


def test_workers_restart_and_command_line_give_the_same_arms(tmp_path: Path) -> None:
    """The short version of ``make bench-assignment``."""
    rows = compared(tmp_path / "shop", 3000, [1, 2])
    assert len(rows) == 3
    assert len({row["digest"] for row in rows}) == 1
