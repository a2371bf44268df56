"""Experiments on disk: revisions, what is frozen, what may run side by side."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from feature_store.experiment_change import StoredExperiment, created, revised
from feature_store.experiment_folder import ExperimentFolder, known_experiment
from feature_store.experiment_overlap import check_apart
from feature_store.experiment_spec import ArmSpec, ExperimentSpec, NamespaceSpec, check_key
from recommender.errors import ConfigError, ConflictError, DataError, InvalidInputError

ARMS = [ArmSpec("control", 0.5), ArmSpec("short", 0.5, placement={"limit": 3})]


def spec(**more: Any) -> ExperimentSpec:
    return ExperimentSpec(**{"arms": ARMS, "status": "running"} | more)


def stored(key: str = "test", **more: Any) -> StoredExperiment:
    return created(key, spec(**more), "ann", 1)


def test_a_specification_becomes_an_experiment() -> None:
    given = spec(
        namespace=NamespaceSpec("n", 0.1, 0.6),
        coverage=0.5,
        fallback_unit="session",
    )
    experiment = given.experiment("test", 2)
    assert (experiment.seed, experiment.phase, experiment.arms) == ("test", 2, ("control", "short"))
    assert experiment.arm_ranges == ((0.0, 0.25), (0.5, 0.75))
    assert experiment.namespace is not None
    assert experiment.namespace.end == 0.6


def test_every_state_stays() -> None:
    first = stored()
    assert revised(first, spec(), "bob", 2) is first
    arms = [ArmSpec("control", 0.2), ArmSpec("short", 0.8, placement={"limit": 3})]
    second = revised(first, spec(arms=arms), "bob", 2)
    third = revised(second, spec(arms=arms, status="stopped"), "eve", 3)
    assert [each.spec.status for each in third.revisions] == ["running", "running", "stopped"]
    assert [each.phase for each in third.revisions] == [0, 1, 1]
    assert [(each.number, each.by, each.at) for each in third.revisions] == [
        (1, "ann", 1),
        (2, "bob", 2),
        (3, "eve", 3),
    ]
    assert len({first.etag, second.etag, third.etag}) == 3
    with pytest.raises(ConflictError, match="it is over"):
        revised(third, spec(arms=arms), "bob", 4)


def test_a_draft_may_become_anything() -> None:
    draft = stored(status="draft")
    changed = revised(draft, spec(status="draft", seed="other", unit="user"), "ann", 2)
    assert changed.current.phase == 0
    with pytest.raises(ConflictError, match="accepted: draft, running"):
        stored(status="paused")


@pytest.mark.parametrize(
    "more",
    [
        {"seed": "other"},
        {"unit": "user"},
        {"kind": "aa", "arms": [ArmSpec("control", 0.5), ArmSpec("short", 0.5)]},
        {"placements": ["home"]},
        {"assigner": "external"},
        {"arms": ARMS[::-1]},
        {"arms": [ARMS[0], ArmSpec("short", 0.5, placement={"limit": 4})]},
    ],
)
def test_what_is_frozen(more: dict[str, Any]) -> None:
    with pytest.raises(ConflictError, match="has run"):
        revised(stored(), spec(**more), "bob", 2)
    assert revised(stored(), spec(seed="test"), "bob", 2).current.phase == 0  # the same seed, said


def test_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "experiments")
    assert folder.read_all().found == {}
    made = folder.change("test", lambda before: stored() if before is None else before)
    assert folder.read("test") == made == known_experiment(folder.root, "test")
    (folder.root / "tmp-1-test.json").write_bytes(b"half a f")  # left by a killed process
    (folder.root / "broken.json").write_bytes(b"{")
    (folder.root / "other.json").write_bytes(msgspec.json.encode(made))
    read = folder.read_all()
    assert list(read.found) == ["test"]
    assert sorted(read.refused) == ["broken", "other"]
    with pytest.raises(ConfigError, match="other"):
        folder.read("other")
    with pytest.raises(DataError, match="there are: broken, other, test"):
        known_experiment(folder.root, "none")


def test_changes_wait_for_each_other(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path)
    folder.change("test", lambda _: stored(status="draft"))

    def describe(number: int) -> None:
        def change(before: StoredExperiment | None) -> StoredExperiment:
            assert before is not None
            told = spec(status="draft", description=f"{number}")
            return revised(before, told, "ann", number)

        folder.change("test", change)

    threads = [threading.Thread(target=describe, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = folder.read("test")
    assert found is not None
    assert [each.number for each in found.revisions] == list(range(1, 10))


@pytest.mark.parametrize("key", ["", "-a", "a/b", "..", "a" * 65, "tmp-x", "é", "a\n"])
def test_a_key_is_a_name(key: str) -> None:
    with pytest.raises(InvalidInputError, match="accepted"):
        check_key(key)


def test_who_may_run_side_by_side() -> None:
    other = stored("other", placements=["home"])
    with pytest.raises(ConflictError, match=r"limit.*other"):
        check_apart(stored(), [other])
    first, second = NamespaceSpec("n", 0, 0.5), NamespaceSpec("n", 0.5, 1)
    for apart in (
        stored(status="draft"),
        stored(placements=["cart"]),
        stored(arms=[ArmSpec("a", 0.5), ArmSpec("b", 0.5, placement={"candidates": 9})]),
        stored("other"),  # itself
    ):
        check_apart(apart, [other])
    here = {"placements": ["home"]}
    check_apart(stored(namespace=first, **here), [stored("other", namespace=second, **here)])
    for more in ({"namespace": second, "unit": "user"}, {"namespace": first}, {}):
        with pytest.raises(ConflictError):
            check_apart(stored(namespace=first, **here), [stored("other", **more)])
