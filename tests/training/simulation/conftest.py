"""A small shop, run once, and the figures of the real logs, measured once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.simulation.shops import Ran, run_shop, spec_of
from training.simulation.reference import real_figures


@pytest.fixture(scope="session")
def ran() -> Ran:
    return run_shop(spec_of(shoppers=3000, days=21))


@pytest.fixture(scope="session")
def real(shared_path: Path) -> dict[str, dict[str, float]]:
    return real_figures(shared_path / "data", 30)
