"""Fixtures of the service's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.service import TestClient, in_process, publish_shop


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Data folder of a shop whose model is delivered."""
    folder = tmp_path / "shop"
    publish_shop(folder)
    return folder


@pytest.fixture
def client(root: Path) -> Iterator[TestClient]:
    """The application over that folder, asking for no key."""
    with in_process(root) as client:
        yield client
