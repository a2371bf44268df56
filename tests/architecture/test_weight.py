"""The serving process starts light: a fresh interpreter imports the service and looks around."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT

HEAVY = {
    "mlflow",
    "implicit",
    "polars",
    "pandas",
    "scipy",
    "sklearn",
    "pyarrow",
    "lightgbm",
    "matplotlib",
    "training",
}
SERVE = """
from pathlib import Path
import asyncio, sys, tempfile
from serving.app import create_app
from serving.settings import Settings

async def run(folder):
    app = create_app(Settings(root=Path(folder), dev=True, demo=True))
    async with app.router.lifespan_context(app):
        app.openapi()

with tempfile.TemporaryDirectory() as folder:
    asyncio.run(run(folder))
"""


@pytest.mark.parametrize(
    "code",
    ["import serving.app", "import serving.server, serving.cli", SERVE],
    ids=["app", "server", "running"],
)
def test_a_serving_process_loads_nothing_heavy(code: str) -> None:
    report = "\nimport json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", code + report],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "serving" in loaded
    assert not loaded & HEAVY
