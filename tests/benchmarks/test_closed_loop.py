"""The benchmark of policies: several seeds, several processes, and what it refuses."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.closed_loop import arguments_of, check, in_order, request_of, run
from feature_store.console import Console
from recommender.bundle import save_bundle
from recommender.errors import InvalidInputError
from tests.training.simulation.shops import arrays_of_shop

SMALL = "--shoppers 90 --items 50 --warm-up 1 --days 2 --willing 0.9 --seeds 1,2"


def arguments(tmp_path: Path, more: str = "") -> argparse.Namespace:
    bundle = tmp_path / "model-{seed}"
    return arguments_of([*f"{SMALL} {more}".split(), "--bundle", f"{bundle}"])


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Models of both shops, where the benchmark looks for them."""
    for seed in (1, 2):
        request = request_of(arguments(tmp_path), seed)
        save_bundle(tmp_path / f"model-{seed}", *arrays_of_shop(request.spec, seed))
    return tmp_path


def test_several_processes_find_what_one_finds(models: Path) -> None:
    policies = "--policies file:plain,file,file:paceless,nothing"
    reports = [
        run(arguments(models, f"{policies} --processes {n}"), models, Console()) for n in (1, 2)
    ]
    assert reports[0].to_json() == reports[1].to_json()
    report = reports[0]
    assert [arm.name for arm in report.pooled.arms] == [
        "file:plain",
        "file",
        "file:paceless",
        "nothing",
    ]
    assert set(report.seeds) == {1, 2}
    steps = {arm.figures["steps to purchase"].mean for arm in report.pooled.arms}
    assert len(steps) == 4  # taking the pace away changes what happens
    assert sum(each.people for each in report.seeds.values()) == report.pooled.people


def test_a_policy_may_ask_another_bundle(models: Path) -> None:
    elsewhere = f"file@{models}/model-{{seed}}"
    report = run(arguments(models, f"--policies file,{elsewhere}"), models, Console())
    for each in report.pooled.arms[1].differences.values():
        assert (each.mean, each.low, each.high) == (0, 0, 0)


def test_answers_come_in_the_order_of_the_jobs() -> None:
    jobs = [np.array([n]) for n in (4, 1, 3)]
    assert list(in_order(np.sum, jobs, 2)) == list(in_order(np.sum, jobs, 1)) == [4, 1, 3]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_processes_share_the_cores() -> None:
    cores = os.sched_getaffinity(0)
    shares = list(in_order(os.sched_getaffinity, [0] * 6, 2))
    for share in shares:
        assert share <= cores
        assert len(share) <= max(1, -(-len(cores) // 2))
    # Of more processes than cores each has them all or a core of its own.
    assert all(in_order(os.sched_getaffinity, [0] * 2, len(cores) + 1))


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("--policies file,path@var/model", "folder var/model for seeds .*accepted: a folder with"),
        ("--policies file:fast", "policy 'file:fast': no part is called"),
        ("--processes 0", "processes=0; accepted: 1 or more"),
    ],
)
def test_what_cannot_be_run_is_refused_before_it_begins(
    tmp_path: Path, more: str, reason: str
) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        check(arguments(tmp_path, more))


@pytest.mark.parametrize("seeds", ["1,b", "", "1,,2", "-1"])
def test_seeds_are_whole_numbers(seeds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments_of([f"--seeds={seeds}"])
    assert "accepted: whole numbers joined by commas" in capsys.readouterr().err
    assert arguments_of(["--seeds", "3,1,3"]).seeds == [3, 1]


def test_one_bundle_for_several_shops_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="folder var/model for seeds"):
        check(arguments_of([*SMALL.split(), "--bundle", "var/model"]))
    check(arguments_of(["--seeds", "3", "--bundle", "var/model"]))
