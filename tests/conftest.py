"""Fixtures for the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile(
    "ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("nightly", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def shared_path() -> Path:
    """Folder of real data sets and conformance vectors; see docs/development.md."""
    path = Path(os.environ.get("DESIREPATH_SHARED", ROOT.parent / "shared")).resolve()
    if not path.is_dir():
        pytest.fail(
            f"DESIREPATH_SHARED={path} is not a folder: the tests on real logs need it. "
            "Point it at a folder with data/ and conformance/, or leave them out: -m 'not shared'."
        )
    return path
