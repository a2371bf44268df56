"""Workers that share a model, as real processes: swapped, refused, killed at every level."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from feature_store.layout import StoreLayout
from recommender.bundle_folder import publish
from recommender.placements import read_placements
from serving.arm_models import ArmModels
from serving.board import Board
from serving.bundle_source import ServingModel
from serving.inherited_model import REFUSAL, Inheritance, InheritedModel
from serving.settings import Settings
from serving.supervisor import KERNELS, Supervisor
from serving.telemetry import Metrics
from tests.bundles import named_bundle, shop_bundle
from tests.faults.bundle_mutants import point
from tests.serving.load import load
from tests.serving.service import Process, children, publish_shop, running, workers

QUICK = {"DESIREPATH_BUNDLE_POLL_SECONDS": "0.05"}
PATIENCE_SECONDS = 60
SWAPS = 6


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def version_of(process: Process) -> str:
    with process.client() as client:
        return str(client.get("/health/ready").json()["model_version"])


def is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_swaps_under_load_fail_no_request_and_mix_no_versions(tmp_path: Path) -> None:
    root, bundles = tmp_path / "shop", StoreLayout(tmp_path / "shop").bundles
    names = {}
    for name in ("ash", "elm"):
        names[named_bundle(tmp_path / name, name)] = name
        publish(tmp_path / name, bundles)
    first, second = names
    asked = {"placement": "home", "limit": 50, "return_properties": True}
    with (
        running(root, "--dev", "--workers", "2", env=QUICK) as process,
        load(process.url, 3, asked, rest_seconds=0.005) as tally,
    ):
        for swap in range(SWAPS):
            wanted = (first, second)[swap % 2]
            point(bundles, wanted)
            until(lambda wanted=wanted: version_of(process) == wanted, f"swap {swap}")
            until(lambda: len(workers(process)) == 2, "the old workers stayed")
    assert tally.failures == []
    assert {answer["model_version"] for answer in tally.answers} == {first, second}
    for answer in tally.answers:
        name = names[answer["model_version"]]
        assert len(answer["items"]) == 50
        for item in answer["items"]:
            assert item["item_id"].startswith(name)
            assert item["properties"]["title"] == name


def test_a_spoilt_bundle_changes_nothing_and_is_told_by_every_worker(root: Path) -> None:
    bundles = StoreLayout(root).bundles
    bad, good = publish_shop(root, seed=1), publish_shop(root, seed=2)
    (bundles / bad / "popularity.npy").write_bytes(b"nothing")
    with running(root, "--dev", "--workers", "2", env=QUICK) as process:
        before = workers(process)
        with process.client() as client:

            def refusals() -> str:
                return client.get("/metrics").text

            point(bundles, bad)
            until(lambda: "desirepath_bundle_refused 1.0" in refusals(), "it was not refused")
            for _ in range(20):  # a connection each, so that both workers are asked
                with process.client() as each:
                    ready = each.get("/health/ready").json()
                    assert ready["model_version"] == good
                    assert any("refused" in warning for warning in ready["warnings"])
            assert workers(process) == before
            point(bundles, good)
            until(lambda: "desirepath_bundle_refused 0.0" in refusals(), "it stays refused")


def test_workers_whose_parent_is_killed_serve_until_their_successors_do(root: Path) -> None:
    with running(root, "--dev", "--workers", "2", env=QUICK) as process:
        (generation,), orphans = children(process.child.pid), workers(process)
        with load(process.url, 2) as tally:
            os.kill(generation, signal.SIGKILL)
            until(lambda: len(set(workers(process)) - set(orphans)) == 2, "no successors")
            until(lambda: not any(map(is_alive, orphans)), "the orphans stayed")
            mark = len(tally.answers)
            until(lambda: len(tally.answers) > mark + 20, "nobody answers")
        assert tally.failures == []
        assert process.stop() == 0


def test_metrics_of_those_who_have_gone_count_and_leave_no_files(root: Path) -> None:
    first, second = publish_shop(root, seed=1), publish_shop(root, seed=2)
    home = root.parent / "temporary"
    home.mkdir()
    counts: list[float] = []

    def pids() -> set[str]:
        return {path.stem.rpartition("_")[2] for path in home.glob("*/*.db")}

    with running(root, "--dev", "--workers", "2", env=QUICK | {"TMPDIR": f"{home}"}) as process:

        def count() -> float:
            asked = {"placement": "home", "limit": 3}
            with process.client() as client:
                assert client.post("/v1/recommendations", json=asked).status_code == 200
                text = client.get("/metrics").text
            return sum(
                float(line.rpartition(" ")[2])
                for line in text.splitlines()
                if line.startswith("desirepath_recommendations_total{")
            )

        for version in (first, second):
            point(StoreLayout(root).bundles, version)
            until(lambda version=version: version_of(process) == version, "it is not in use")
            counts += [count() for _ in range(5)]
        os.kill(workers(process)[0], signal.SIGKILL)
        until(lambda: len(workers(process)) == 2, "no successor")
        counts += [count() for _ in range(5)]

        def living() -> set[str]:
            own = process.child.pid
            return {f"{pid}" for pid in (own, *children(own), *workers(process))}

        until(lambda: pids() <= living() | {"gone"}, "files stayed")
        counts += [count() for _ in range(5)]
        assert process.stop() == 0
    assert counts == [*range(1, len(counts) + 1)]
    assert not [*home.iterdir()]


def test_nothing_is_left_behind_where_the_supervisor_is_killed(root: Path) -> None:
    with running(root, "--dev", "--workers", "2") as process:
        left = [*children(process.child.pid), *workers(process)]
        assert len(left) == 3
        os.kill(process.child.pid, signal.SIGKILL)
        process.child.wait()
        until(lambda: not any(map(is_alive, left)), "processes stayed")


def test_a_model_that_comes_later_is_served(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    with running(root, "--dev", "--workers", "2", env=QUICK) as process:
        assert version_of(process) == "none"
        version = publish_shop(root)
        until(lambda: version_of(process) == version, "it is not in use")


@pytest.mark.parametrize("is_delivered", [True, False])
def test_numba_is_there_before_the_first_fork_where_a_model_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_delivered: bool
) -> None:
    if is_delivered:
        publish_shop(tmp_path)
    steps: list[object] = []

    def fork(_: object) -> int:
        steps.append("fork")
        raise KeyboardInterrupt

    monkeypatch.setattr("serving.supervisor.hold_signals", lambda: None)
    monkeypatch.setattr("serving.supervisor.gc", SimpleNamespace(collect=int, freeze=int))
    monkeypatch.setattr("serving.supervisor.forked", fork)
    monkeypatch.setattr(Supervisor, "_import", lambda _, names: steps.append(names))
    with pytest.raises(KeyboardInterrupt):
        Supervisor(Settings(root=tmp_path), []).run(lambda: None)
    assert steps == ([[KERNELS], "fork"] if is_delivered else ["fork"])


def test_a_worker_says_what_its_supervisor_says() -> None:
    news = Board()
    source = InheritedModel(Inheritance(ServingModel(shop_bundle(), "a"), news), Metrics())
    assert source.refusal is None
    news.say({REFUSAL: "b: spoilt"})
    assert source.refusal == "b: spoilt"
    news.say({REFUSAL: None})
    assert source.refusal is None


def test_models_of_arms_that_are_inherited_are_not_loaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from feature_store.experiment_spec import ArmSpec

    arm = ServingModel(shop_bundle(seed=1), "b" * 16)
    inheritance = Inheritance(ServingModel(shop_bundle(), "a" * 16), Board(), {arm.version: arm})
    source = InheritedModel(inheritance, Metrics())
    models = ArmModels(tmp_path, source, read_placements(), most=2)
    models.held = inheritance.arms

    def breaks(*_: object) -> None:
        pytest.fail("it is loaded again")

    monkeypatch.setattr("serving.arm_models.load_checked", breaks)
    models.poll([ArmSpec(key="t", weight=1.0, bundle=arm.version)])
    assert models.loaded(arm.version) is arm
