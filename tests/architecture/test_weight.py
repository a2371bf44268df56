"""The serving process starts light: a fresh interpreter imports the service and looks around."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from feature_store.layout import StoreLayout
from recommender.bundle_folder import publish
from tests.conftest import ROOT
from tests.rankers import saved_ranked_bundle

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
    "redis",  # an extra: only where the settings name such a store
    "hiredis",
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


# The command of the service; only its sockets are left out.
RANKED = """
import asyncio, sys
import serving.cli, serving.server
from serving.app import create_app
from serving.settings import Settings

async def run(settings):
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        assert app.state.service.models.current.bundle.ranker is not None

def serve(settings, announce):
    asyncio.run(run(settings))
    return 0

serving.server.serve = serve
sys.argv = ["serve", "--root", {root!r}, "--dev"]
try:
    serving.cli.main()
except SystemExit as done:
    assert not done.code, done.code
"""


@pytest.mark.parametrize(
    "code",
    ["import serving.app", "import serving.server, serving.cli", SERVE],
    ids=["app", "server", "running"],
)
def test_a_serving_process_loads_nothing_heavy(code: str) -> None:
    loaded = modules_after(code)
    assert "serving" in loaded
    assert "numba" not in loaded
    assert not loaded & HEAVY


def test_a_model_with_a_ranker_brings_in_its_compiler_and_nothing_else_heavy(
    tmp_path: Path,
) -> None:
    """numba would import scipy: the service refuses it."""
    saved_ranked_bundle(tmp_path / "made")
    publish(tmp_path / "made", StoreLayout(tmp_path / "shop").bundles)
    loaded = modules_after(RANKED.format(root=str(tmp_path / "shop")))
    assert "numba" in loaded
    assert not loaded & HEAVY


def modules_after(code: str) -> set[str]:
    """Top-level modules of a fresh interpreter that has run this."""
    report = """
import json, sys
names = sorted({name.split(".")[0] for name, module in sys.modules.items() if module is not None})
print(json.dumps(names))
"""
    done = subprocess.run(
        [sys.executable, "-c", code + report],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))
