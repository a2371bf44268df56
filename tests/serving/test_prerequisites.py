"""Experiments that wait for an arm of another one, in the service."""

from __future__ import annotations

import json
from pathlib import Path

from feature_store.layout import StoreLayout
from tests.serving.experiments import URL, ask, make, put, refused, spec, visitors_of
from tests.serving.service import TestClient, decisions, wait_for

AFTER = {"prerequisites": [{"experiment": "first", "condition": {"value": "treatment"}}]}


def look_up(client: TestClient, key: str, ids: list[str]) -> list[tuple[bool, str]]:
    question = {"subjects": [{"visitor_id": each} for each in ids], "experiments": [key]}
    found = client.post("/v1/assignments", json=question).json()["assignments"]
    return [(one["in_experiment"], one["reason"]) for (one,) in found]


def test_only_those_with_the_arm_take_part(root: Path, client: TestClient) -> None:
    make(client, "first", placements=["item"])
    make(client, "second", {"key": "control"}, {"key": "short", "placement": {"limit": 2}}, **AFTER)
    arms = visitors_of(client, "first")
    told = look_up(client, "second", list(arms))
    for arm, (takes_part, reason) in zip(arms.values(), told, strict=True):
        assert takes_part == (arm == "treatment")
        assert reason == ("assigned" if takes_part else "prerequisite")
    for each, arm in list(arms.items())[:12]:
        (assignment,) = ask(client, each)["assignments"]
        assert assignment["in_experiment"] == (arm == "treatment")
        flag = client.post(
            "/ofrep/v1/evaluate/flags/second", json={"context": {"targetingKey": each}}
        )
        assert flag.json()["value"] == assignment["variant"]
    reasons = {each.assignments[0].reason for each in decisions(root)}
    assert reasons == {"assigned", "prerequisite"}


def test_an_arm_from_outside_waits_as_well(client: TestClient) -> None:
    make(client, "first", placements=["item"])
    make(client, "second", assigner="external", **AFTER)
    for each, arm in list(visitors_of(client, "first").items())[:12]:
        (told,) = ask(client, each, assignments={"second": "treatment"})["assignments"]
        expected = (True, "external") if arm == "treatment" else (False, "prerequisite")
        assert (told["in_experiment"], told["reason"]) == expected


def test_when_the_parent_stops_nobody_takes_part(client: TestClient) -> None:
    tag = make(client, "first", placements=["item"])
    make(client, "second", **AFTER)
    assert any(takes_part for takes_part, _ in look_up(client, "second", ["a", "b", "c", "d", "e"]))
    stopped = spec(placements=["item"]) | {"status": "stopped"}
    assert put(client, "first", stopped, tag).status_code == 200
    assert {each for each, _ in look_up(client, "second", ["a", "b", "c", "d", "e"])} == {False}


def test_circles_and_strangers_are_refused(client: TestClient) -> None:
    answer = put(client, "second", spec(**AFTER))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")
    assert "no experiment 'first' to wait for" in answer.json()["detail"]
    tag = put(client, "first", spec(placements=["item"]) | {"status": "draft"}).headers["etag"]
    make(client, "second", **AFTER)
    back = {"prerequisites": [{"experiment": "second", "condition": {"in_experiment": True}}]}
    answer = put(client, "first", spec(placements=["item"], **back) | {"status": "draft"}, tag)
    assert (answer.status_code, answer.json()["code"]) == (409, "experiment_conflict")
    assert "wait for one another" in answer.json()["detail"]
    assert refused(client, force={"third": "a"})[0] == 422


def test_a_file_by_hand_that_closes_a_circle_changes_nothing(
    root: Path, client: TestClient
) -> None:
    make(client, "first", placements=["item"])
    make(client, "second", **AFTER)
    before = visitors_of(client, "second")
    file = StoreLayout(root).experiments / "first.json"
    stored = json.loads(file.read_text())
    waits = [{"experiment": "second", "condition": {"value": "control"}}]
    stored["revisions"][-1]["spec"]["prerequisites"] = waits
    file.write_text(json.dumps(stored))
    source = client.app.state.service.experiments
    wait_for(lambda: "lead back to itself" in source.refused.get("first", ""))
    assert visitors_of(client, "second") == before
    assert "second" not in source.refused
    assert "lead back" in client.get(URL + "first").json()["refusal"]
