"""A small shop, run once."""

from __future__ import annotations

import pytest

from tests.training.simulation.shops import Ran, run_shop, spec_of


@pytest.fixture(scope="session")
def ran() -> Ran:
    return run_shop(spec_of(shoppers=3000, days=21))
