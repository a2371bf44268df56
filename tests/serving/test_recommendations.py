from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from feature_store.layout import StoreLayout
from recommender.bundle_folder import publish
from recommender.placements import read_placements
from recommender.terms import LADDER
from tests.rankers import saved_ranked_bundle
from tests.serving.service import (
    TestClient,
    decisions,
    event,
    in_process,
    item_ids,
    make_keys,
    publish_shop,
)

GARDEN = {f"item-{i:02d}" for i in range(0, 20, 2)}


def ask(client: TestClient, **body: Any) -> Any:
    return client.post("/v1/recommendations", json={"placement": "home"} | body)


def tell(client: TestClient, *events: dict[str, Any]) -> None:
    answer = client.post("/v1/events", json=list(events))
    assert answer.json() == {"accepted": len(events), "duplicates": 0, "rejected": []}


def test_a_stranger_sees_what_is_popular(client: TestClient) -> None:
    answer = ask(client, visitor_id="stranger", limit=5)
    assert item_ids(answer) == [f"item-{i:02d}" for i in range(5)]
    body = answer.json()
    assert body["fallback_level"] == "popular"
    assert body["session_mode"] == "unknown"
    assert body["policy"] == "top"
    assert uuid.UUID(body["recommendation_id"]).version == 7
    assert [item["rank"] for item in body["items"]] == [1, 2, 3, 4, 5]
    assert body["items"][0]["reason"] == {"code": "popular"}
    assert 0 < body["took_ms"] < 10_000
    assert answer.headers["cache-control"] == "no-store"


def test_a_model_with_a_ranker_answers_at_every_placement(tmp_path: Path) -> None:
    saved_ranked_bundle(tmp_path / "made")
    publish(tmp_path / "made", StoreLayout(tmp_path / "shop").bundles)
    with in_process(tmp_path / "shop") as client:
        tell(client, event("ann", "item-06"), event("ann", "item-02", "add_to_cart"))
        for placement in read_placements():
            about = {"item_ids": ["item-02"], "cart_item_ids": ["item-02"]}
            answer = ask(client, visitor_id="ann", placement=placement, limit=6, context=about)
            shown = item_ids(answer)
            assert len(set(shown)) == len(shown) == 6, placement
            assert not {"item-02", "item-19"} & set(shown) or placement == "next"
            assert answer.json()["fallback_level"] in {"session", "similar"}, placement


def test_an_event_changes_the_very_next_answer(client: TestClient) -> None:
    before = item_ids(ask(client, visitor_id="ann", placement="next", limit=6))
    tell(client, event("ann", "item-06"))
    answer = ask(client, visitor_id="ann", placement="next", limit=6)
    assert item_ids(answer) != before
    assert set(item_ids(answer)) <= GARDEN
    assert answer.json()["fallback_level"] == "session"
    assert item_ids(ask(client, visitor_id="bob", placement="next", limit=6)) == before


def test_yesterday_is_history_and_today_a_session(client: TestClient) -> None:
    old = event("ann", "item-06")
    tell(client, old | {"ts": old["ts"] - 86_400_000_000})
    assert ask(client, visitor_id="ann").json()["fallback_level"] == "personalised"


def test_a_page_without_a_visitor_gets_similar_items(client: TestClient) -> None:
    answer = ask(client, placement="item", context={"item_ids": ["item-04"]}, limit=4)
    assert answer.json()["fallback_level"] == "similar"
    assert "item-04" not in item_ids(answer)
    assert set(item_ids(answer)) <= GARDEN


def test_a_category_page_gets_its_category(client: TestClient) -> None:
    answer = ask(client, placement="category", context={"category": "kitchen"}, limit=4)
    assert answer.json()["fallback_level"] == "popular_in_category"
    assert not set(item_ids(answer)) & GARDEN


def test_personalize_false_forgets_the_shopper(client: TestClient) -> None:
    tell(client, event("ann", "item-06"), event("ann", "item-08", "add_to_cart"))
    impersonal = ask(client, visitor_id="ann", placement="next", personalize=False)
    assert item_ids(impersonal) == item_ids(ask(client, placement="next"))
    assert impersonal.json()["fallback_level"] == "popular"
    assert ask(client, visitor_id="ann", personalize=True).json()["fallback_level"] == "session"


def test_the_strictest_of_wish_request_and_placement_holds(root: Path, client: TestClient) -> None:
    old = event("ann", "item-06")
    tell(client, old | {"ts": old["ts"] - 86_400_000_000}, event("ann", "item-08"))
    strangers = ask(client, visitor_id="stranger", placement="next").json()

    def level(**more: Any) -> str:
        return ask(client, visitor_id="ann", placement="next", **more).json()["fallback_level"]

    assert [level(personalize=each) for each in ("full", "light", "off")] == [
        "personalised",
        "session",
        "popular",
    ]
    client.put("/v1/visitors/ann/preferences", json={"personalize": "light"})
    assert [level(), level(personalize=True), level(personalize="off")] == [
        "session",
        "session",
        "popular",
    ]
    client.put("/v1/visitors/ann/preferences", json={"personalize": "off"})
    page = {"cart_item_ids": ["item-02"]}
    answer = ask(client, visitor_id="ann", placement="next", session_id="s", context=page).json()
    assert answer["items"] == strangers["items"]
    record = decisions(root)[-1]
    assert (record.consent, record.subject_type, record.subject_key) == (False, "anonymous", "")
    assert (record.session_key, record.attributes_used) == (None, {})


def test_light_knows_no_earlier_visit(client: TestClient) -> None:
    old = event("ann", "item-06", "add_to_cart")
    tell(client, old | {"ts": old["ts"] - 86_400_000_000})
    tell(client, event("ann", "item-08"), event("bob", "item-08"))
    light = {"placement": "next", "personalize": "light"}
    ann, bob = (ask(client, visitor_id=each, **light).json() for each in ("ann", "bob"))
    assert [each["item_id"] for each in ann["items"]] == [each["item_id"] for each in bob["items"]]
    assert ann["fallback_level"] == "session"


def test_a_placement_has_a_ceiling(root: Path) -> None:
    placements = root / "placements.toml"
    placements.write_text('[placements.home]\npersonalize = "light"\n')
    with in_process(root, placements=placements) as client:
        old = event("ann", "item-06")
        tell(client, old | {"ts": old["ts"] - 86_400_000_000})
        assert ask(client, visitor_id="ann").json()["fallback_level"] == "popular"
        tell(client, event("ann", "item-08"))
        assert ask(client, visitor_id="ann").json()["fallback_level"] == "session"


@pytest.mark.parametrize("personalize", ["some", 1, None, "OFF"])
def test_a_level_that_is_none_is_refused(client: TestClient, personalize: object) -> None:
    assert ask(client, personalize=personalize).status_code == 422


@pytest.mark.parametrize(("asked", "given"), [(1, 1), (19, 19), (100, 19), (1 << 62, 19)])
def test_the_limit_is_clipped_never_refused(client: TestClient, asked: int, given: int) -> None:
    assert len(item_ids(ask(client, limit=asked))) == given


def test_the_placement_has_a_limit_of_its_own(client: TestClient) -> None:
    assert len(item_ids(ask(client))) == 12


@pytest.mark.parametrize("limit", [0, -1, 1.5, "5", True, -(1 << 63)])
def test_a_limit_that_is_none_is_refused(client: TestClient, limit: object) -> None:
    answer = ask(client, limit=limit)
    assert answer.status_code == 422
    assert "limit" in answer.json()["detail"]


def test_excluded_items_are_not_shown(client: TestClient) -> None:
    shown = item_ids(ask(client, exclude_item_ids=["item-00", "item-02", "never-heard-of"]))
    assert not {"item-00", "item-02"} & set(shown)


def test_what_is_in_the_cart_dismissed_or_bought_is_not_shown(client: TestClient) -> None:
    tell(
        client,
        event("ann", "item-00", "add_to_cart"),
        event("ann", "item-01", "dismiss"),
        event("ann", "item-02", "purchase", transaction_id="t-1"),
    )
    shown = item_ids(ask(client, visitor_id="ann", context={"cart_item_ids": ["item-03"]}))
    assert not {"item-00", "item-01", "item-02", "item-03"} & set(shown)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"category": "garden"}, lambda i: i % 2 == 0),
        ({"category": ["garden/tools", "kitchen"]}, lambda i: i % 4 == 0 or i % 2 == 1),
        ({"brand": "zenith"}, lambda i: i >= 10),
        ({"price": {"max": 5}}, lambda i: 1 <= i <= 4),
        ({"price": {"min": 5.0, "max": 6}, "brand": "acme"}, lambda i: i in (4, 5)),
        ({"price": {"min": 0, "max": 1e300}}, lambda i: i >= 1),
        ({"category": "nothing/like/it"}, lambda i: False),
    ],
)
def test_filter(client: TestClient, conditions: dict[str, Any], expected: Any) -> None:
    shown = item_ids(ask(client, filter=conditions, limit=100))
    assert set(shown) == {f"item-{i:02d}" for i in range(19) if expected(i)}


@pytest.mark.parametrize(
    "conditions",
    [
        {"colour": "red"},
        {"category": 1},
        {"category": []},
        {"price": {}},
        {"price": {"max": "5"}},
        {"price": {"min": 9, "max": 5}},
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(
    client: TestClient, conditions: dict[str, Any]
) -> None:
    answer = ask(client, filter=conditions)
    assert answer.status_code == 422
    assert "filter" in answer.json()["detail"]


def test_an_unknown_placement_is_the_only_404(client: TestClient) -> None:
    answer = ask(client, placement="basement")
    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_placement"
    assert "home" in answer.json()["detail"]
    unknown = ask(client, visitor_id="?", user_id="?", context={"item_ids": ["?"]})
    assert unknown.status_code == 200


def test_properties_on_demand(client: TestClient) -> None:
    plain, full = ask(client, limit=2), ask(client, limit=2, return_properties=True)
    assert "properties" not in plain.json()["items"][0]
    assert full.json()["items"][1]["properties"] == {
        "title": "Thing 1",
        "category": "kitchen",
        "brand": "acme",
        "price": 2.0,
    }
    assert full.json()["items"][0]["properties"]["price"] is None


def test_an_explanation_adds_up(client: TestClient) -> None:
    context = {"item_ids": ["item-04"]}
    body = ask(client, placement="item", context=context, explain=True).json()
    candidates = body["explanation"]["candidates"]
    assert candidates[0]["item_id"] == body["items"][0]["item_id"]
    total = sum(candidates[0]["sources"].values())
    assert total == pytest.approx(body["items"][0]["score"], rel=1e-5)
    assert body["explanation"]["eligible_count"] == 18
    assert body["explanation"]["filters"] == {"unavailable": 1, "context": 1}


def test_similar_items_know_nothing_of_the_shopper(client: TestClient) -> None:
    answer = client.post("/v1/similar-items", json={"item_ids": ["item-04"], "limit": 3})
    assert set(item_ids(answer)) <= GARDEN - {"item-04"}
    assert answer.json()["placement"] == "similar"
    nothing = client.post("/v1/similar-items", json={"item_ids": ["never-heard-of"]})
    assert nothing.json()["fallback_level"] == "popular"
    assert client.post("/v1/similar-items", json={"item_ids": []}).status_code == 422


def test_the_get_twin_is_cacheable_for_nobody_in_particular(client: TestClient) -> None:
    query = {"placement": "item", "item_id": ["item-04", "item-06"], "limit": 3}
    answer = client.get("/v1/recommendations", params=query)
    assert set(item_ids(answer)) <= GARDEN - {"item-04", "item-06"}
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert "score" not in answer.json()["items"][0]
    twin = ask(client, placement="item", context={"item_ids": ["item-04", "item-06"]}, limit=3)
    assert item_ids(answer) == item_ids(twin)
    personal = client.get("/v1/recommendations", params=query | {"visitor_id": "ann"})
    assert personal.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "asked",
    [
        {"filter": 'brand = "acme" and price > 4'},
        {"diversity": "high"},
        {"diversity": 0.8},
        {"diversity": 1},
        {"kinds": ["item"]},
        {"kinds": ["resume", "buy_again"]},
        {"filter": "price < 12", "diversity": "low", "kinds": ["item", "resume"], "limit": 4},
    ],
)
def test_get_and_post_take_the_same_questions(client: TestClient, asked: dict[str, Any]) -> None:
    tell(client, event("twin", "item-05"), event("twin", "item-08"))
    for visitor in ({"visitor_id": "twin"}, {}):
        page = {"placement": "home", "category": "garden", **visitor}
        got = client.get("/v1/recommendations", params=page | asked)
        twin = ask(client, context={"category": "garden"}, **visitor, **asked)
        bare = ask(client, context={"category": "garden"}, **visitor)
        told = [[{**each, "score": None} for each in one.json()["items"]] for one in (got, twin)]
        assert told[0] == told[1]
        changes = item_ids(got) != item_ids(bare)
        assert changes or asked == {"kinds": ["item"]}


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("placement=home&limit=0", 422, "invalid_value"),
        ("placement=home&diversity=1.5", 422, "invalid_value"),
        ("placement=home&diversity=nan", 422, "invalid_value"),
        ("placement=home&diversity=", 422, "invalid_value"),
        ("placement=home&diversity=low&diversity=low", 422, "duplicate_parameter"),
        ("placement=home&kinds=", 422, "invalid_value"),
        ("placement=home&kinds=item,resume", 422, "invalid_value"),
        ("placement=home&filter=", 422, "invalid_value"),
        ("placement=home&filter=price+of", 422, "invalid_filter"),
        ("placement=home&limit=ten", 422, "invalid_value"),
        ("placement=home&limit=1&limit=2", 422, "duplicate_parameter"),
        ("placement=home&colour=red", 422, "invalid_value"),
        ("placement=home&visitor_id=", 422, "invalid_value"),
        ("placement=home&visitor_id=%ff", 400, "malformed_query"),
        ("placement=home&limit=" + "9" * 30, 422, "invalid_value"),
        ("", 422, "invalid_value"),
        ("placement=nowhere", 404, "unknown_placement"),
    ],
)
def test_query_strings_are_strict(client: TestClient, query: str, status: int, code: str) -> None:
    answer = client.get(f"/v1/recommendations?{query}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_ids_are_kept_byte_by_byte(client: TestClient) -> None:
    for visitor_id in ("a/b", "\x00", "\u202eabc", "😀" * 64, " ann ", "Ann", "ann", "null"):
        assert ask(client, visitor_id=visitor_id).json()["fallback_level"] == "popular"
        tell(client, event(visitor_id, "item-05"))
        assert ask(client, visitor_id=visitor_id).json()["fallback_level"] == "session"


def test_too_long_in_bytes_is_too_long(client: TestClient) -> None:
    answer = ask(client, visitor_id="é" * 129)
    assert answer.status_code == 422
    assert "258 bytes" in answer.json()["detail"]
    assert ask(client, visitor_id="é" * 128).status_code == 200


def test_a_user_is_known_on_every_device(client: TestClient) -> None:
    tell(client, event("phone", "item-06", user_id="u-1"))
    assert ask(client, visitor_id="laptop", user_id="u-1").json()["fallback_level"] == "session"
    assert ask(client, user_id="u-1").json()["fallback_level"] == "session"


def test_every_answer_is_recorded_before_it_leaves(root: Path) -> None:
    with in_process(root) as client:
        tell(client, event("ann", "item-06"))
        headers = {"X-Request-ID": "req-1"}
        body = {
            "placement": "next",
            "visitor_id": "ann",
            "session_id": "s-1",
            "limit": 3,
            "context": {"device": "phone", "item_ids": ["item-02"]},
        }
        answer = client.post("/v1/recommendations", json=body, headers=headers).json()
        (record,) = decisions(root)  # the process still runs
        ask(client, dry_run=True)
        anonymous = ask(client).json()
    assert record.decision_id == answer["recommendation_id"]
    assert record.request_id == "req-1"
    assert record.model_version == answer["model_version"]
    assert [item.item_id for item in record.items] == [i["item_id"] for i in answer["items"]]
    assert [item.slot for item in record.items] == [1, 2, 3]
    assert [item.p_slot for item in record.items] == [1.0, 1.0, 1.0]
    assert record.slate_propensity_log == 0.0
    assert record.served_level == answer["fallback_level"]
    assert record.context == {"device": "phone", "item_ids": ("item-02",)}
    assert record.attributes_used == {
        "history": 0,
        "session": 1,
        "cart": 0,
        "personalize": "full",
        "exposures": 0,
        "stage": "prospect",
    }
    assert record.surface == "next"
    assert record.qa is False
    assert len(record.candidates) >= 3
    assert "ann" not in record.subject_key
    assert len(record.subject_key) == 32
    assert record.session_key
    assert "s-1" not in record.session_key
    assert record.latency_ms > 0
    first, second = decisions(root)  # the dry run left none
    assert first.seq < second.seq
    assert second.decision_id == anonymous["recommendation_id"]
    assert (second.subject_type, second.subject_key) == ("anonymous", "")


def test_without_any_model_every_question_still_gets_an_answer(tmp_path: Path) -> None:
    with in_process(tmp_path / "new") as client:
        answer = ask(client, visitor_id="ann")
        assert item_ids(answer) == []
        assert answer.json()["fallback_level"] == "static"
        assert answer.json()["model_version"] == "none"
        assert ask(client, visitor_id="ann", explain=True).status_code == 200
        tell(client, event("ann"))


def test_without_a_model_the_static_list_is_served(tmp_path: Path) -> None:
    placements = tmp_path / "placements.toml"
    placements.write_text('[placements.home]\nstatic_items = ["a", "b", "c", "b"]\nlimit = 2\n')
    with in_process(tmp_path / "new", placements=placements) as client:
        answer = ask(client, exclude_item_ids=["a"])
        assert item_ids(answer) == ["b", "c"]
        assert answer.json()["fallback_level"] == "static"
        assert client.get("/health/ready").status_code == 200
        tell(client, event("ann", "b", "dismiss"), event("ann", "c", "add_to_cart"))
        assert item_ids(ask(client, visitor_id="ann")) == ["a"]
        assert item_ids(ask(client, filter={"brand": "acme"})) == []


def test_an_empty_catalogue_gives_an_empty_answer(tmp_path: Path) -> None:
    publish_shop(tmp_path / "shop", n=1)  # its only item is sold out
    with in_process(tmp_path / "shop") as client:
        assert item_ids(ask(client, visitor_id="ann")) == []


def test_a_pipeline_that_breaks_costs_a_rung_not_the_answer(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import serving.answer

    real = serving.answer.recommend

    def breaks_for_known_shoppers(query: Any, *rest: Any) -> Any:
        if query.session:
            raise ZeroDivisionError
        return real(query, *rest)

    monkeypatch.setattr(serving.answer, "recommend", breaks_for_known_shoppers)
    with in_process(root) as client:
        popular = item_ids(ask(client))
        tell(client, event("ann", popular[6]), event("ann", popular[0], "dismiss"))
        answer = ask(client, visitor_id="ann")
        assert answer.json()["fallback_level"] == "popular"
        assert len(item_ids(answer)) == 12
        assert popular[0] not in item_ids(answer), "a dismissal is obeyed whatever fails"
    assert decisions(root)[-1].degraded_reason == "pipeline_failed"


def test_an_online_store_that_breaks_costs_the_personal_part(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from feature_store.online.visitors import Visitors
    from recommender.errors import StorageError

    def breaks(*_: Any) -> Any:
        raise StorageError("disk on fire")

    with in_process(root) as client:
        tell(client, event("ann", "item-06"))
        monkeypatch.setattr(Visitors, "get", breaks)
        page = {"cart_item_ids": ["item-02"]}  # whether the shopper objects cannot be told
        answer = ask(client, visitor_id="ann", context=page)
        assert answer.json()["fallback_level"] == "popular"
        assert client.get("/v1/visitors/ann").status_code == 503
    assert decisions(root)[-1].degraded_reason == "online_store_failed"


def test_scores_and_explanations_are_not_for_browsers(root: Path) -> None:
    keys = make_keys(root)
    stored = (root / "keys.json").read_text()
    (root / "keys.json").write_text(
        stored.replace(
            '"write"\n      ],\n      "browser"', '"write", "suggest"\n      ],\n      "browser"'
        )
    )
    with in_process(root, dev=False) as client:
        browser = {"X-API-Key": keys["browser"]}
        answer = client.post("/v1/recommendations", json={"placement": "home"}, headers=browser)
        assert "score" not in answer.json()["items"][0]
        for more in ({"explain": True}, {"dry_run": True}, {"user_id": "u"}):
            body = {"placement": "home"} | more
            refused = client.post("/v1/recommendations", json=body, headers=browser)
            assert refused.json()["code"] == "not_for_browsers"
        server = {"Authorization": f"Bearer {keys['server']}"}
        answer = client.post("/v1/recommendations", json={"placement": "home"}, headers=server)
        assert "score" in answer.json()["items"][0]


def test_levels_are_those_of_the_ladder() -> None:
    from typing import get_args, get_type_hints

    from serving.schemas import RecommendationResponse

    assert get_args(get_type_hints(RecommendationResponse)["fallback_level"]) == LADDER
