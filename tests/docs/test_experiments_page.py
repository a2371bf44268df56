"""The page on experiments: every block of code runs, one after the other, on one service."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec

from feature_store.experiment_spec import (
    ArmSpec,
    ExperimentSpec,
    FilterSpec,
    NamespaceSpec,
    StickySpec,
)
from tests.conftest import ROOT
from tests.serving.service import make_keys, publish_shop, running

PAGE = ROOT / "docs" / "experiments.md"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_every_field_of_an_experiment_is_described() -> None:
    text = PAGE.read_text(encoding="utf-8")
    parts = (ExperimentSpec, ArmSpec, NamespaceSpec, FilterSpec, StickySpec)
    named = [each.name for part in parts for each in msgspec.structs.fields(part)]
    assert [name for name in named if f"`{name}`" not in text and f'"{name}"' not in text] == []


def test_the_examples_of_the_page_work(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    publish_shop(root)
    keys = make_keys(root)
    blocks = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    with running(root) as process:
        done = subprocess.run(
            [sys.executable, "-"],
            input="\n".join(blocks),
            env=os.environ
            | {"URL": process.url, "KEY": keys["server"], "ADMIN_KEY": keys["admin"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    made, refused, changed, answer, views, pages, waiting, flag = done.stdout.splitlines()
    assert made.startswith('200 "1-')
    assert (refused, changed) == ("428", "200 [1, 2]")
    assert "'experiment': 'short-list'" in answer
    assert views == "{'accepted': 1, 'duplicates': 1, 'rejected': []}"
    assert pages in ("6 6", "7 7", "8 8")  # four a page, or three in the short arm
    assert waiting == "200"
    assert flag.split()[0] in ("control", "short")
