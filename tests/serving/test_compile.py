"""`desirepath compile`, as an image is built with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def compiled(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "desirepath", "compile", "--json"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | variables,
    )


@pytest.mark.slow
def test_it_says_where_the_machine_code_is() -> None:
    done = compiled()
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert list(Path(result["kept_in"]).glob("compiled.aligned*.nbc"))
    assert result["seconds"] > 0


def test_where_nothing_can_be_kept_it_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.write_text("a file, so that no folder can be made here")
    done = compiled(
        NUMBA_CACHE_DIR=str(folder), NUMBA_CACHE_LOCATOR_CLASSES="UserProvidedCacheLocator"
    )
    assert done.returncode == 1
    assert "set NUMBA_CACHE_DIR" in done.stderr
