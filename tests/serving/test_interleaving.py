"""Two arms in one list: who drafted what, page after page, and what the record says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recommender.draws import seed_of
from recommender.interleaving import fair_coin, team_draft
from tests.serving.experiments import ask, make, put, refused, spec, visitors_of
from tests.serving.service import TestClient, decisions, event

PLAIN = {"key": "control", "placement": {"max_changed_share": 1.0}}
POPULAR = {
    "key": "popular",
    "placement": {"sources": ["popularity"], "max_changed_share": 1.0, "kinds": ["item"]},
}


def interleaving(client: TestClient, **more: Any) -> None:
    make(client, "draft", PLAIN, POPULAR, kind="interleave", **more)


def ids(answer: Any) -> list[str]:
    return [each["item_id"] for each in answer["items"]]


def forced(client: TestClient, arm: str, visitor: str) -> list[str]:
    """What an arm would have shown by itself."""
    return ids(ask(client, visitor, force={"draft": arm}, limit=8, dry_run=True))


def test_a_list_is_drafted_by_both_arms(root: Path, client: TestClient) -> None:
    interleaving(client)
    for number in range(6):
        client.post("/v1/events", json=event(f"v{number}", item_id=f"item-0{number + 1}"))
    shown: set[str | None] = set()
    for number in range(6):
        answer = ask(client, f"v{number}", limit=8)
        (assignment,) = answer["assignments"]
        assert (assignment["variant"], assignment["in_experiment"]) == ("interleaved", True)
        assert answer["policy"] == "team_draft"
        record = decisions(root)[-1]
        seed = seed_of(record.decision_id)
        lists = [forced(client, arm, f"v{number}") for arm in ("control", "popular")]
        picks, _ = team_draft(lists[0], lists[1], 8, fair_coin(seed))
        assert [each.item_id for each in record.items] == [each.item_id for each in picks]
        assert [each.team for each in record.items] == [
            ("control", "popular")[each.team] for each in picks
        ]
        assert [each.competitive for each in record.items] == [each.competitive for each in picks]
        assert ids(answer) == [each.item_id for each in record.items]
        assert record.drafted_with == record.model_version
        (kept,) = record.assignments
        assert (kept.variant, kept.p_arm) == ("interleaved", 1.0)
        shown |= {each.team for each in record.items}
    assert shown == {"control", "popular"}


def test_pages_continue_the_draft(root: Path, client: TestClient) -> None:
    interleaving(client)
    client.post("/v1/events", json=event("ann", item_id="item-03"))
    first = ask(client, "ann", limit=5)
    second = ask(client, "ann", limit=5, cursor=first["next_cursor"])
    assert not set(ids(first)) & set(ids(second))
    assert second["assignments"][0]["variant"] == "interleaved"
    one, two = decisions(root)[-2:]
    assert two.continues == one.decision_id
    begun = [fair_coin(seed_of(one.decision_id))(number) for number in range(6)]
    teams = [each.team for each in (*one.items, *two.items)]
    starts = teams[::2]
    assert starts == [("control", "popular")[team] for team in begun[: len(starts)]]


def test_who_does_not_take_part_sees_one_ranking(root: Path, client: TestClient) -> None:
    interleaving(client, coverage=0.0)
    answer = ask(client, "ann")
    assert answer["assignments"][0]["in_experiment"] is False
    assert answer["policy"] != "team_draft"
    assert {each.team for each in decisions(root)[-1].items} == {None}


def test_look_ups_say_both(client: TestClient) -> None:
    interleaving(client)
    assert set(visitors_of(client, "draft").values()) == {"interleaved"}
    flag = client.post("/ofrep/v1/evaluate/flags/draft", json={"context": {"targetingKey": "v"}})
    assert flag.json()["value"] == "interleaved"


def test_a_side_that_cannot_be_had_leaves_the_other(root: Path, client: TestClient) -> None:
    arm = {"key": "missing", "bundle": "challenger"}
    make(client, "draft", {"key": "control"}, arm, kind="interleave")
    answer = ask(client, "ann")
    assert answer["items"]
    record = decisions(root)[-1]
    assert record.degraded_reason == "arm_not_loaded"
    assert record.assignments[0].in_experiment
    assert {each.team for each in record.items} == {None}


def test_one_list_has_one_draft(client: TestClient) -> None:
    interleaving(client)
    other = {"key": "short", "placement": {"limit": 3}}
    again = put(client, "again", spec({"key": "control"}, other, kind="interleave"))
    assert (again.status_code, again.json()["code"]) == (409, "experiment_conflict")


@pytest.mark.parametrize(
    "body",
    [
        spec({"key": "a"}, {"key": "b"}, kind="interleave"),
        spec({"key": "a"}, POPULAR, {"key": "c"}, kind="interleave"),
        spec({"key": "a"}, POPULAR, kind="interleave", assigner="external"),
        spec({"key": "a"}, POPULAR, kind="interleave", sticky={"version": 1}),
        spec({"key": "interleaved"}, POPULAR, kind="interleave"),
    ],
)
def test_what_cannot_be_interleaved(client: TestClient, body: Any) -> None:
    answer = put(client, "draft", body)
    assert answer.status_code == 422, answer.text


def test_arms_are_not_given_from_outside(client: TestClient) -> None:
    interleaving(client)
    assert refused(client, visitor_id="v", assignments={"draft": "interleaved"}) == (
        422,
        "unknown_arm",
    )
