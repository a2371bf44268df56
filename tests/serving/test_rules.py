from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recommender.errors import ConfigError
from recommender.merchandising.rules_file import DEFAULT_FILE
from tests.serving.service import TestClient, decisions, in_process, item_ids, wait_for

PIN = """
version = "pinned"

[[rules]]
name = "first"
kind = "pin"
items = { "item-17" = 1 }

[[rules]]
name = "sale"
kind = "promotion"
where = 'price > 15'
share = 0.4
from_position = 3

[[rules]]
name = "no kitchen on phones"
kind = "exclude"
where = 'category = "kitchen"'
when = 'context.device = "phone"'
"""
BROKEN = 'version = "worse"\n[[rules]]\nname = "x"\nkind = "boost"\n'


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(PIN)
    return path


def ask(client: TestClient, **body: Any) -> Any:
    return client.post("/v1/recommendations", json={"placement": "home", "limit": 5} | body)


def test_rules_shape_the_answer_and_are_recorded(root: Path, rules: Path) -> None:
    with in_process(root, rules=rules) as client:
        answer = ask(client, explain=True)
        assert item_ids(answer) == ["item-17", "item-00", "item-15", "item-01", "item-02"]
        body = answer.json()
        assert [item.get("promotion") for item in body["items"]] == [None, None, "sale", None, None]
        assert body["explanation"]["rules_version"] == "pinned"
        assert {"rule": "first", "item_id": "item-17", "from_position": 18, "to_position": 1} in (
            body["explanation"]["rules"]
        )
        phone = ask(client, context={"device": "phone"}, explain=True)
        assert item_ids(phone)[0] == "item-00"
        assert phone.json()["explanation"]["filters"]["rule:no kitchen on phones"] == 9
    first, _ = decisions(root)
    assert first.rules_version == "pinned"
    assert [item.promotion for item in first.items] == [None, None, "sale", None, None]


def test_without_a_file_nothing_changes(client: TestClient) -> None:
    answer = ask(client, explain=True)
    assert item_ids(answer) == [f"item-{n:02d}" for n in range(5)]
    assert answer.json()["explanation"]["rules_version"] == "default"
    assert answer.json()["explanation"]["rules"] == []
    shown = client.get("/v1/rules").json()
    assert shown == {"version": "default", "text": DEFAULT_FILE.read_text(), "refusal": None}


def test_a_changed_file_is_read_again_and_a_bad_one_refused(root: Path, rules: Path) -> None:
    with in_process(root, rules=rules) as client:

        def warned() -> bool:
            return any("rules" in each for each in client.get("/health/ready").json()["warnings"])

        assert not warned()
        rules.write_text(BROKEN)
        wait_for(warned)
        shown = client.get("/v1/rules").json()
        assert (shown["version"], shown["text"]) == ("pinned", PIN)
        assert "boost needs factor, where" in shown["refusal"]
        metrics = client.get("/metrics").text
        assert "desirepath_rules_refused 1.0" in metrics
        assert 'desirepath_rules_reloads_total{outcome="refused"} 1.0' in metrics
        assert item_ids(ask(client))[0] == "item-17"
        rules.write_text(PIN.replace("item-17", "item-16").replace('"pinned"', '"better"'))
        wait_for(lambda: not warned())
        assert item_ids(ask(client))[0] == "item-16"
        assert 'desirepath_rules_info{version="better"} 1.0' in client.get("/metrics").text
        rules.unlink()
        wait_for(warned)
        assert client.get("/health/ready").status_code == 200


def test_a_service_does_not_start_with_rules_that_it_cannot_read(
    root: Path, tmp_path: Path
) -> None:
    from serving.server import check
    from serving.settings import Settings

    bad = tmp_path / "bad.toml"
    bad.write_text(BROKEN)
    with pytest.raises(ConfigError, match="boost needs"), in_process(root, rules=bad):
        pass
    with pytest.raises(ConfigError, match="boost needs"):
        check(Settings(root=root, dev=True, rules=bad))


@pytest.mark.parametrize("form", ["toml", "json"])
def test_rules_are_tried_and_never_installed(root: Path, form: str) -> None:
    table = {"name": "up", "kind": "pin", "items": {"item-09": 2, "gone": 3}}
    tried: Any = {"version": "trial", "rules": [table | {"from": "2026-01-01T00:00:00Z"}]}
    if form == "toml":
        tried = (
            'version = "trial"\n[[rules]]\nname = "up"\nkind = "pin"\n'
            'items = { "item-09" = 2, "gone" = 3 }\nfrom = 2026-01-01T00:00:00Z\n'
        )
    with in_process(root) as client:
        asked = {"rules": tried, "request": {"placement": "home", "limit": 3}}
        answer = client.post("/v1/rules?dry_run=true", json=asked)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert [item["item_id"] for item in body["before"]] == ["item-00", "item-01", "item-02"]
        assert [item["item_id"] for item in body["after"]] == ["item-00", "item-09", "item-01"]
        assert body["version"] == "trial"
        assert body["findings"] == ["rule up: item 'gone' is not in the model"]
        assert body["moves"] == [
            {"rule": "up", "item_id": "item-09", "from_position": 10, "to_position": 2}
        ]
        assert client.get("/v1/rules").json()["version"] == "default"
        assert item_ids(ask(client))[1] == "item-01"
    assert len(decisions(root)) == 1


@pytest.mark.parametrize(
    ("url", "rules", "request_", "status", "code"),
    [
        ("/v1/rules?dry_run=true", BROKEN, {"placement": "home"}, 422, "invalid_rules"),
        ("/v1/rules?dry_run=true", {"version": 3}, {"placement": "home"}, 422, "invalid_rules"),
        ("/v1/rules?dry_run=true", "no toml =", {"placement": "home"}, 422, "invalid_rules"),
        ("/v1/rules?dry_run=true", PIN, {"placement": "x"}, 404, "unknown_placement"),
        ("/v1/rules?dry_run=true", 3, {"placement": "home"}, 422, "invalid_value"),
        ("/v1/rules?dry_run=false", PIN, {"placement": "home"}, 422, "dry_run_only"),
        ("/v1/rules", PIN, {"placement": "home"}, 422, "invalid_value"),
        (
            "/v1/rules?dry_run=true",
            PIN,
            {"placement": "home", "filter": "price >"},
            422,
            "invalid_filter",
        ),
    ],
)
def test_a_trial_that_makes_no_sense_is_refused(
    client: TestClient, url: str, rules: Any, request_: Any, status: int, code: str
) -> None:
    answer = client.post(url, json={"rules": rules, "request": request_})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('brand = "zenith" and price < 14', {10, 11, 12}),
        ('not (category = "garden") and price <= 1.5 * context.price', {1, 3, 5}),
        ("price is missing", {0}),
    ],
)
def test_a_filter_as_text(client: TestClient, text: str, expected: set[int]) -> None:
    context = {"item_ids": ["item-04"]}
    shown = item_ids(ask(client, filter=text, limit=100, context=context))
    assert set(shown) == {f"item-{n:02d}" for n in expected}
    similar = client.post(
        "/v1/similar-items", json={"item_ids": ["item-04"], "filter": text, "limit": 100}
    )
    assert set(item_ids(similar)) == set(shown)


def test_a_bad_filter_text_says_where(client: TestClient) -> None:
    answer = ask(client, filter="price < 30 and colour = 3")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_filter")
    assert "filter: at character 16: 'colour' is no attribute" in answer.json()["detail"]
    assert ask(client, filter="(" * 4000).json()["code"] == "invalid_filter"
    assert ask(client, filter="(" * 5000).json()["code"] == "invalid_value"
    assert ask(client, filter="").status_code == 422


def test_diversity_by_name_and_by_number(client: TestClient) -> None:
    def parities(**more: Any) -> set[int]:
        context = {"item_ids": ["item-04"]}
        shown = item_ids(ask(client, placement="similar", context=context, **more))
        return {int(each[-2:]) % 2 for each in shown}

    assert parities() == parities(diversity="none") == parities(diversity=0) == {0}
    assert parities(diversity="high") == parities(diversity=0.6) == {0, 1}
    for wrong in ("some", 1.5, -0.1, True):
        assert ask(client, diversity=wrong).status_code == 422
