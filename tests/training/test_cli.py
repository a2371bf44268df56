from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from recommender.bundle_folder import current
from recommender.errors import ConfigError, InvalidInputError
from tests.bundles import saved_bundle
from tests.training.conftest import Shop
from tests.training.tiny_log import TOML, write_log
from training.cli import app
from training.registry import CHAMPION, Registry

ROOT = Path(__file__).resolve().parents[2]
VERBS = ["train", "tune", "retrain", "evaluate", "promote", "deliver"]


def _call(*arguments: object, code: int = 0) -> dict[str, Any]:
    result = _run(*arguments)
    assert result.exit_code == code, (result.stderr, result.exception)
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    result = _run(verb, "--help")
    assert result.exit_code == 0
    assert "Exit codes" in result.stdout or verb == "evaluate"
    assert "--json" in result.stdout


@pytest.mark.usefixtures("no_plots")
def test_train_reports_everything_and_ends_with_0(registry: Registry, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.parquet")
    (tmp_path / "training.toml").write_text(TOML)
    found = _call(
        "train", "--log", log, "--format", "desirepath-parquet", "--out", tmp_path / "store",
        "--config", tmp_path / "training.toml", "--json",
    )  # fmt: skip
    assert found["outcome"] == "promoted"
    assert found["ingest"]["kept"] == 2000
    assert found["model"] == "models:/desirepath/1"
    assert found["tracking_uri"] == registry.tracking.uri
    assert found["gain_over"]["popularity"]["low"] > 0
    assert Path(found["bundle"]) == current(tmp_path / "store" / "bundles")
    assert found["run_id"] == registry.require(CHAMPION).run_id


@pytest.mark.usefixtures("no_plots")
def test_retrain_has_an_exit_code_per_outcome(shop: Shop, tmp_path: Path) -> None:
    config = tmp_path / "training.toml"
    config.write_text(TOML)
    shared = ["--out", shop.layout.root, "--config", config, "--json"]
    assert _call("retrain", *shared, code=3)["outcome"] == "nothing_new"
    config.write_text(TOML + "min_ndcg = 0.99\n")
    refused = _call("retrain", *shared, code=1)
    assert refused["outcome"] == "refused"
    assert any("0.99" in reason for reason in refused["reasons"])


def test_evaluate_names_what_was_asked(shop: Shop) -> None:
    found = _call("evaluate", "--out", shop.layout.root, "--json")
    assert found["bundle_version"] == shop.outcome.registered.bundle_version
    assert found["asked"].startswith("same recipe")
    # The recipe fitted again is the very model that training had judged.
    report = shop.outcome.report
    blend = report.variant("blend").metrics["ndcg@10"]
    assert found["metrics"]["blend"]["ndcg@10"]["mean"] == pytest.approx(blend.mean, abs=1e-6)
    by_folder = _call(
        "evaluate", "--model", found_folder(shop), "--out", shop.layout.root, "--json"
    )
    assert by_folder["metrics"] == found["metrics"]


def test_evaluate_replays_journeys_and_keeps_the_report(shop: Shop, tmp_path: Path) -> None:
    root = shop.layout.root
    found = _call("evaluate", "--journeys", "--out", root, "--json")
    asked = found["models"]["model"]
    assert asked["bundle_version"] == shop.outcome.registered.bundle_version
    assert asked["asked"].startswith("same recipe")
    assert found["counts"]["kept"] > 10
    # The thing bought is the third that is looked at, a walk in steps of one colour: two steps
    # before it at most can be saved, and a model that knows the colours saves some of them.
    whole = found["slices"][0]
    assert whole["first_sight"]["mean"] == 2
    saved = {name: each["steps_saved"] for name, each in whole["variants"].items()}
    assert 0 <= saved["popularity"]["mean"] <= saved["model"]["mean"] <= 2
    assert whole["conversion"]["mean"] == 1  # each visit of this shop buys
    kept = {path.name for path in root.glob("journeys*")}
    assert kept == {
        *("journeys.json", "journeys.md", "journeys_by_slice.png"),
        *("journeys_by_placement.png", "journeys_remaining_steps.png"),
    }
    assert json.loads((root / "journeys.json").read_text()) == found
    run_id = shop.outcome.registered.run_id
    logged = shop.bench.registry.call(
        "list", lambda client: client.list_artifacts(run_id, "journeys")
    )
    assert {Path(each.path).name for each in logged} == kept


def test_evaluate_candidates_keeps_the_report_in_the_folder_and_in_the_run(shop: Shop) -> None:
    found = _call("evaluate", "--candidates", "--out", shop.layout.root, "--json")
    sources = found["sources"]
    assert set(sources) == {"union", "pool", *shop.outcome.report.blend_weights}
    assert sources["pool"]["recall"]["50"]["mean"] >= sources["als"]["recall"]["50"]["mean"]
    names = ["candidates.json", "candidates.md", "candidates.png"]
    assert [Path(path).name for path in found["files"]] == names
    assert all(Path(path).exists() for path in found["files"])
    run_id = shop.outcome.registered.run_id
    assert found["run_id"] == run_id
    kept = shop.bench.registry.call(
        "list", lambda client: client.list_artifacts(run_id, "candidates")
    )
    assert [Path(each.path).name for each in kept] == names
    by_folder = _call(
        "evaluate", "--candidates", "--model", found_folder(shop), "--out", shop.layout.root,
        "--json",
    )  # fmt: skip
    assert (by_folder["run_id"], by_folder["sources"]) == (None, sources)


def found_folder(shop: Shop) -> Path:
    folder = current(shop.layout.bundles)
    assert folder is not None
    return folder


def test_promote_judges_again(shop: Shop) -> None:
    found = _call("promote", "--out", shop.layout.root, "--json")
    assert found["passed"] is True
    assert found["version"] == "1"
    assert found["champion_version"] == shop.outcome.registered.bundle_version
    assert {each["condition"] for each in found["conditions"]} >= {"overlap_at_10", "finite"}


def test_deliver_brings_the_champion(shop: Shop, tmp_path: Path) -> None:
    to = tmp_path / "elsewhere"
    arguments = ["deliver", "--out", shop.layout.root, "--to", to, "--json"]
    assert _call(*arguments)["outcome"] == "delivered"
    assert _call(*arguments)["outcome"] == "unchanged"
    folder = current(to)
    assert folder is not None
    assert folder.name == shop.outcome.registered.bundle_version


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--format", "rees46"], "--format rees46 without --log"),
        (["evaluate", "--model", "nobody"], "no version or alias 'nobody'"),
        (["promote", "--model", "7"], "no version or alias '7'"),
        (["deliver", "--alias", "nobody"], "no version or alias 'nobody'"),
    ],
)
def test_wrong_usage_is_said(arguments: list[str], said: str, registry: Registry) -> None:
    folder = registry.tracking.uri.removeprefix("sqlite:///").removesuffix("/mlflow.db")
    result = _run(*arguments, "--out", folder)
    assert isinstance(result.exception, InvalidInputError)
    assert said in str(result.exception)


def test_a_typo_in_the_config_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "training.toml").write_text("[als]\nfactor = 8\n")
    result = _run("train", "--config", tmp_path / "training.toml", "--out", tmp_path)
    assert isinstance(result.exception, ConfigError)
    assert "factor" in str(result.exception)


# ---- as a process of its own ---------------------------------------------------------


def _process(*arguments: object) -> list[str]:
    program = "from training.cli import app; app()"
    return [sys.executable, "-c", program, *(str(each) for each in arguments)]


def _publish_two(root: Path) -> None:
    from recommender.bundle_folder import publish

    for seed in (1, 2):
        saved_bundle(root.parent / f"bundle-{seed}", seed=seed)
        publish(root.parent / f"bundle-{seed}", root)


def test_rollback_takes_one_command_and_no_registry(tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    _publish_two(root)
    before = current(root)
    start = time.monotonic()
    done = subprocess.run(
        _process(
            "deliver", "--rollback", "--to", root, "--tracking-uri", "http://127.0.0.1:9", "--json"
        ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert time.monotonic() - start < 10
    found = json.loads(done.stdout)
    assert found["outcome"] == "rolled_back"
    after = current(root)
    assert before is not None
    assert after is not None
    assert (found["previous"], found["bundle_version"]) == (before.name, after.name)


def test_a_registry_that_is_down_leaves_the_bundle_and_ends_with_an_error(tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    _publish_two(root)
    before = current(root)
    done = subprocess.run(
        _process(
            "deliver", "--to", root, "--tracking-uri", "http://127.0.0.1:9", "--timeout", "15"
        ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "RegistryError" in done.stderr
    assert current(root) == before


def test_watching_goes_on_while_the_registry_is_down_and_stops_when_told(tmp_path: Path) -> None:
    root = tmp_path / "bundles"
    _publish_two(root)
    before = current(root)
    arguments = ("--tracking-uri", "http://127.0.0.1:9", "--timeout", "0.1", "--interval", "0.1")
    with subprocess.Popen(
        _process("deliver", "--watch", "--to", root, *arguments),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    ) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert all("the bundle in use stays" in line for line in lines), lines
    assert current(root) == before


def test_nothing_heavy_comes_in_with_the_command_line() -> None:
    program = (
        "import sys, training.cli; "
        "print({'mlflow', 'polars', 'implicit', 'scipy', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
