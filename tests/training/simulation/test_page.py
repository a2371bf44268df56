"""What docs/simulation.md says is what the code does."""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from desirepath import command_line
from tests.conftest import ROOT
from tests.training.simulation.shops import START
from training.simulation.behaviour import Behaviour
from training.simulation.figures import rounded
from training.simulation.reference import REAL_LOGS
from training.simulation.report import Tally, compare
from training.simulation.run import RunRequest
from training.simulation.shop import Shop

PAGE = (ROOT / "docs/simulation.md").read_text("utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_command_makes_the_files_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DESIREPATH_SHARED", raising=False)
    done = CliRunner().invoke(command_line(), shlex.split(block("sh"))[1:])
    assert done.exit_code == 0
    named = re.findall(r"^\| `([\w/]+\.(?:jsonl|json|parquet))`", PAGE, re.MULTILINE)
    out = tmp_path / "var/shop"
    assert {*named} == {str(path.relative_to(out)) for path in out.rglob("*.*")}


@pytest.mark.slow
def test_the_program_prints_what_the_page_says() -> None:
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(block("python"), "simulation.md", "exec"), {})  # noqa: S102 - our own page
    assert printed.getvalue() == block("text")


@pytest.mark.shared
def test_the_figures_are_those_of_the_default_shop(
    real: dict[str, dict[str, float]], tmp_path: Path
) -> None:
    tally = Tally()
    for log in Shop(RunRequest(tmp_path, START).spec, np.random.default_rng(0)).days():
        tally.add(log)
    for one in compare(tally.figures(30), real):
        shown = rounded(one.real)
        cells = [f"{shown[log.name]:.3g}" if log.name in shown else "" for log in REAL_LOGS]
        row = f"| `{one.figure}` | {one.value:.3g} | {' | '.join(cells)} |"
        assert f"{row} {one.low:.3g} to {one.high:.3g} |" in PAGE


def test_the_formulas_carry_the_numbers_of_the_code() -> None:
    behaviour = Behaviour()
    utility = (
        f"u = {behaviour.bias} + {behaviour.taste_weight} t·v + {behaviour.brand_weight} [favourite"
    )
    assert utility in PAGE
    assert f"{behaviour.quality_weight} z + {behaviour.habit_weight:g} [item wanted again]" in PAGE
    assert f"times {behaviour.listing_attention} in the shop's own listing" in PAGE
    assert (
        f"{behaviour.seen_factor} [seen before] · {behaviour.sold_out_factor} [sold out] · "
        f"{behaviour.satisfied_factor} [all wanted is in the cart] · "
        f"exp(\u2212{behaviour.fatigue} ·"
    ) in PAGE
    assert (
        f"{behaviour.decide} (willing) or {behaviour.idle_cart} (looking), "
        f"times logistic({behaviour.steepness:g} (m \u2212 {behaviour.acceptance}))"
    ) in PAGE
    assert f"+ {behaviour.impatience} per page" in PAGE
    assert f"+ {behaviour.repeat_exit} · repetition" in PAGE
    assert f"{behaviour.repeat_dismiss} · repetition" in PAGE
    assert behaviour.choosiness == 2.0
    assert behaviour.persistence == 0.25
