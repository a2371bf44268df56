from __future__ import annotations

import math
from pathlib import Path

import pytest

from feature_store.records import DecisionRecord, ExploreRecord
from recommender.draws import seed_of
from tests.serving.service import TestClient, decisions, event, in_process

PLACEMENTS = """
[placements.next]
limit = 5
exclude = []

[placements.next.explore]
epsilon = 1
reach = 3
temperature = 1
gap = 1
"""
ROUNDS = 12


@pytest.fixture
def placements(tmp_path: Path) -> Path:
    file = tmp_path / "placements.toml"
    file.write_text(PLACEMENTS)
    return file


def asked(root: Path, placements: Path, body: dict[str, object], *, explore: bool = True) -> list:
    """The records of answers to the same question."""
    with in_process(root, placements=placements, explore=explore) as client:
        seen(client)
        for _ in range(ROUNDS):
            given = {"placement": "next"} | body
            assert client.post("/v1/recommendations", json=given).status_code == 200
    return decisions(root)


def seen(client: TestClient) -> None:
    client.post("/v1/events", json=event("ann", "item-06"))


def test_answers_to_a_named_shopper_are_explored_and_say_so(root: Path, placements: Path) -> None:
    records: list[DecisionRecord] = asked(root, placements, {"visitor_id": "ann"})
    for record in records:
        explore = record.explore
        assert (explore.scheme, explore.epsilon, explore.temperature) == ("slot+near_ties", 1, 1)
        assert (explore.gap, explore.reach) == (1, 3)
        assert explore.rng_seed == seed_of(record.decision_id)
        assert explore.slots == tuple(item.slot for item in record.items if item.p_slot < 1)
        total = math.fsum(math.log(item.p_slot) for item in record.items)
        assert record.slate_propensity_log == pytest.approx(total)
        assert {item.item_id for item in record.items} <= {each for each, _ in record.candidates}
    assert len({tuple(item.item_id for item in record.items) for record in records}) > 1


@pytest.mark.parametrize(
    "body",
    [{}, {"visitor_id": "ann", "personalize": "off"}, {"session_id": "s-1"}],
)
def test_answers_that_are_the_same_for_many_are_not(
    root: Path, placements: Path, body: dict[str, object]
) -> None:
    records = asked(root, placements, body)
    assert {record.explore for record in records} == {ExploreRecord()}
    assert len({record.items for record in records}) == 1


def test_the_operator_can_turn_it_off(root: Path, placements: Path) -> None:
    records = asked(root, placements, {"visitor_id": "ann"}, explore=False)
    assert {record.explore for record in records} == {ExploreRecord()}


def test_cached_answers_are_not_explored(root: Path, placements: Path) -> None:
    with in_process(root, placements=placements, explore=True) as client:
        for _ in range(ROUNDS):
            assert client.get("/v1/recommendations?placement=next").status_code == 200
    assert {record.explore for record in decisions(root)} == {ExploreRecord()}
