"""The next-basket protocol through its real command, on a shop of habits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import benchmarks.retail.measure
from benchmarks.quality import main
from benchmarks.retail.measure import Shop
from training.engine import Period
from training.sections import EncoderSpec, RankerSpec
from training.spec import TrainingSpec
from training.split import MICROS_PER_DAY

BEGIN = datetime(2026, 1, 5, 9, tzinfo=UTC)
SHOPPERS, WEEKS = 24, 32
HEAD = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID"


def _habits(shopper: int, week: int) -> list[int]:
    """Three items for ever, and one that moves on through the shopper's half of the shop."""
    half = 20 * (shopper % 2)
    own = [half + (shopper + step) % 10 for step in range(3)]
    return [*own, half + 10 + (shopper + week) % 10]


def _write(path: Path, habits: Any = _habits) -> Path:
    lines = [HEAD]
    for week in range(WEEKS):
        for shopper in range(SHOPPERS):
            if shopper >= SHOPPERS - 2 and week < WEEKS - 3:
                continue  # two strangers arrive in the last weeks
            at = BEGIN + timedelta(weeks=week, hours=shopper % 8, minutes=shopper)
            invoice, customer = 100_000 + week * 100 + shopper, shopper + 1
            lines += [
                f"{invoice},{10_000 + item},item {item},1,{at:%Y-%m-%d %H:%M:%S},2.5,{customer}"
                for item in habits(shopper, week)
            ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@pytest.fixture(scope="module", autouse=True)
def quick_to_learn() -> Iterator[None]:
    """Models of a shop of 40 items need no more than this."""
    small = TrainingSpec(
        encoder=EncoderSpec(factors=8, epochs=1, min_steps=30),
        ranker=RankerSpec(cuts=1, more_cuts=0),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmarks.retail.measure, "TrainingSpec", lambda: small)
        yield


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("log") / "invoices.csv")


@pytest.fixture(scope="module")
def shop(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop.of(log, "online-retail", tmp_path_factory.mktemp("shop"))


def _untimed(found: dict[str, Any]) -> dict[str, Any]:
    measured = {"processes", "seconds", "peak_mib"}
    plain = {name: value for name, value in found.items() if name not in measured}
    timed = {"fit_seconds", "us_per_query"}
    plain["folds"] = [{k: v for k, v in each.items() if k not in timed} for each in found["folds"]]
    return plain


@pytest.mark.slow
def test_the_command_finds_habits_and_says_the_same_on_one_and_on_two_processes(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for number in (1, 2):
        out = tmp_path / str(number)
        arguments = ["--log", str(log), "--folds", "2", "--json", "--out", str(out)]
        arguments += ["--processes", str(number)]
        assert main(["retail", *arguments]) == 0
        found.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
        assert json.loads((out / "retail.json").read_text("utf-8")) == found[-1]
    assert _untimed(found[0]) == _untimed(found[1])
    pictures = [(tmp_path / str(number) / "retail.png").read_bytes() for number in (1, 2)]
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"\x89PNG")

    variants = found[0]["variants"]
    assert {"product", "popularity", "personal_frequency", "decayed_frequency"} <= variants.keys()
    assert {"tifu_knn", "up_cf", "source returns", "source als"} <= variants.keys()
    assert all(len(each["folds"]) == 2 for each in variants.values())
    assert found[0]["without_history"] == 2
    assert found[0]["questions"] == 2 * (SHOPPERS - 2) + 2
    for name in ("product", "personal_frequency"):
        assert variants[name]["repeat_recall@20"] > 0.95
    assert variants["popularity"]["recall@20"] < variants["personal_frequency"]["recall@20"]


def test_the_options_are_checked(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["retail", "--log", str(log), "--folds", "20"]) == 1
    assert "ask for fewer" in capsys.readouterr().err
    assert main(["retail", "--log", str(tmp_path / "none.csv")]) == 1
    assert main(["retail", "--log", str(log), "--processes", "0"]) == 1
    assert "processes=0" in capsys.readouterr().err


def _last_period(shop: Shop) -> Period:
    end = shop.window.period.end
    return Period(end - 28 * MICROS_PER_DAY, end)


def test_a_question_holds_the_past_and_the_targets_are_one_basket(shop: Shop) -> None:
    period = _last_period(shop)
    asked = shop.ask(period)
    assert len(asked) == SHOPPERS
    assert {len(wanted) for wanted in asked.targets} == {4}
    for query in asked.queries:
        assert all(each.ts < period.start for each in (*query.history, *query.session))


def test_a_changed_future_changes_no_model(shop: Shop, tmp_path: Path) -> None:
    cut = _last_period(shop).start
    last_weeks = (shop.window.period.end - cut) // (7 * MICROS_PER_DAY)

    def turned(shopper: int, week: int) -> list[int]:
        return _habits(shopper + (week >= WEEKS - last_weeks), week)

    (tmp_path / "work").mkdir()
    other = Shop.of(_write(tmp_path / "other.csv", turned), "online-retail", tmp_path / "work")
    assert other.window.digest != shop.window.digest
    assert other.train(cut).version == shop.train(cut).version
