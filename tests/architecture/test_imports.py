"""Who may import which library; the layers between our own packages are held by import-linter."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

OURS = {"recommender", "feature_store", "training", "serving", "desirepath"}
ONLINE = {"numpy", "msgspec", "lmdb"}
CONSOLE = {"rich", "msgspec"}

# First match wins: path pattern → libraries that this code may import.
ALLOWED = (
    (r"recommender/compiled\.py", {"numpy", "numba"}),
    # A question is made for every answer, and a struct in a fraction of a dataclass's time.
    (r"recommender/query\.py", {"numpy", "msgspec"}),
    (r"recommender/", {"numpy"}),
    (
        r"(\w+)/(experiments_)?cli\.py|desirepath\.py|training/(simulation|demo)/\w+\.py|training/(reports/|experiment_)cli\.py",
        {"typer", "numpy", "polars", *CONSOLE},
    ),
    (r"feature_store/console\.py", CONSOLE),
    (r"feature_store/cli_options\.py", {"typer"}),
    (r"feature_store/online/redis(_reader)?\.py", ONLINE | {"redis", "hiredis"}),
    (
        r"feature_store/(events|event_\w+|event_log/\w+|dialects/\w+|dialects|dedup|quarantine"
        r"|file_lock|atomic_file|verdicts|quarantine_replay|intake|intake_\w+|records|layout|erasures|pseudonyms|experiment_(?!answers)\w+|online/\w+|personal_data)(\.py)?$",
        ONLINE,
    ),
    (r"feature_store/", ONLINE | {"polars", "fastexcel"}),
    (
        r"training/registry\w*\.py|training/deliver\w*\.py",
        {"mlflow", "numpy", "polars", "msgspec", "pandas", "pydantic"},
    ),
    (r"training/models/", {"implicit", "numpy", "scipy", "polars", "threadpoolctl", "lightgbm"}),
    (
        r"training/(evaluation/(experiment/)?plots\w*|simulation/plots|tuning_plots|reports/pictures)\.py",
        {"matplotlib", "numpy"},
    ),
    (r"training/evaluation/experiment/contrast\.py", {"tea_tasting", "numpy"}),
    (r"training/reports/page\.py", {"jinja2"}),
    (r"training/tuning\w*\.py", {"optuna", "numpy", "scipy", "polars"}),
    (
        r"training/",
        {
            "numpy",
            "scipy",
            "polars",
            "msgspec",
            "threadpoolctl",
            "implicit_threads",
            "httpx",
            "rich",
        },
    ),
    (
        r"serving/",
        {
            "fastapi",
            "starlette",
            "uvicorn",
            "msgspec",
            "numpy",
            "prometheus_client",
            "uvloop",
            "lmdb",
        },
    ),
)


def _modules() -> list[Path]:
    roots = [ROOT / name for name in sorted(OURS - {"desirepath"})]
    return [
        ROOT / "desirepath.py",
        *(path for root in roots for path in sorted(root.rglob("*.py"))),
    ]


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_place_allows(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    allowed = next(libraries for pattern, libraries in ALLOWED if re.match(pattern, name))
    roots = {module.split(".")[0] for module in _imported(path)}
    assert roots - OURS - sys.stdlib_module_names <= allowed


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_format_that_carries_code_and_no_hidden_clock_or_randomness(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not set(_imported(path)) & {"pickle", "joblib", "dill", "shelve", "marshal", "yaml"}
    assert "allow_pickle=True" not in text
    name = path.relative_to(ROOT).as_posix()
    if name.startswith("recommender/"):
        assert not set(_imported(path)) & {"time", "random"}
        assert "default_rng()" not in text
