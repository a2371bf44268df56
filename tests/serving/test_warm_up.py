"""A service that is ready has compiled what answers need: nobody waits for a compiler.

What is compiled ahead of its first start is all that a start needs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from feature_store.layout import StoreLayout
from recommender.bundle import save_bundle
from recommender.bundle_folder import publish
from tests.conftest import ROOT
from tests.paces import pace_arrays
from tests.rankers import ranked_parts

NOTING = """
import sys
from pathlib import Path

from numba.core import dispatcher

compiled, compile = [], dispatcher.Dispatcher.compile


def noted(self, signature):
    compiled.append(f"{self.py_func.__module__}.{self.py_func.__name__}")
    return compile(self, signature)


dispatcher.Dispatcher.compile = noted

from recommender.placements import read_placements
from recommender.terms import KINDS
from serving.app import create_app
from serving.settings import Settings
from tests.serving.service import TestClient, event, item_ids
"""

REHEARSED = """
from serving.rehearsal import rehearse

rehearse(read_placements().values())
assert compiled, "nothing was compiled"
compiled.clear()
"""

SERVING = """
KNOWN = {"item_ids": ["item-01"], "cart_item_ids": ["item-02"]}
MORE = {}, {"kinds": KINDS}, {"explain": True, "context": KNOWN, "diversity": 0.5}
with TestClient(create_app(Settings(root=Path(sys.argv[1]), dev=True))) as client:
"""

READY = """
    assert compiled, "nothing was compiled: is there a model?"
    compiled.clear()
"""

ASKED = """
    for number in range(8):
        view = event("ann", f"item-{number:02d}")
        assert client.post("/v1/events", json=view).status_code == 202
    sold = event("ann", "item-02", "purchase", transaction_id="order-1")
    assert client.post("/v1/events", json=sold).status_code == 202
    for placement in read_placements():
        for more in MORE:
            asked = {"placement": placement, "visitor_id": "ann", "limit": 8, **more}
            item_ids(client.post("/v1/recommendations", json=asked))
print(*sorted(set(compiled)), sep="\\n", end="")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [NOTING + SERVING + READY + ASKED, NOTING + REHEARSED + SERVING + ASKED],
    ids=["once-ready", "once-rehearsed"],
)
def test_answers_compile_nothing_more(script: str, tmp_path: Path) -> None:
    arrays, info = ranked_parts(40)
    save_bundle(tmp_path / "bundle", {**arrays, **pace_arrays()}, info)
    publish(tmp_path / "bundle", StoreLayout(tmp_path / "shop").bundles)
    found = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "shop"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    assert found.stdout.splitlines() == []
