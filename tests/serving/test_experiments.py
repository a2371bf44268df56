"""Experiments over HTTP: their life, and what they do to answers and records."""

from __future__ import annotations

from pathlib import Path

from feature_store.experiment_folder import ExperimentFolder
from feature_store.layout import StoreLayout
from recommender.bucketing import bucket_of
from recommender.bundle_folder import publish_challenger
from tests.bundles import saved_bundle
from tests.serving.experiments import URL, ask, make, put, refused, spec, visitors_of
from tests.serving.service import TestClient, decisions, in_process, make_keys, running, wait_for

HALF = [{"key": "control"}, {"key": "short", "placement": {"limit": 3}}]


def test_its_life(client: TestClient) -> None:
    draft = put(client, "test", spec(status="draft"))
    assert draft.status_code == 200
    assert draft.json()["revision"] == 1
    etag = draft.headers["etag"]
    assert client.get(URL + "test").headers["etag"] == etag
    assert ask(client)["assignments"] == []
    for status, phase in (("running", 0), ("paused", 0), ("running", 0), ("stopped", 0)):
        changed = put(client, "test", spec(status=status), etag)
        assert (changed.status_code, changed.json()["phase"]) == (200, phase)
        assert len(ask(client)["assignments"]) == (status == "running")
        etag = changed.headers["etag"]
    history = client.get(URL + "test").json()["history"]
    assert [each["spec"].get("status", "draft") for each in history] == [
        "draft",
        "running",
        "paused",
        "running",
        "stopped",
    ]
    assert [each.get("changed", []) for each in history] == [[], *[["status"]] * 4]
    assert {each["by"] for each in history} == {"dev"}
    over = put(client, "test", spec(status="running"), etag)
    assert (over.status_code, over.json()["code"]) == (409, "experiment_conflict")


def test_a_change_needs_the_tag_of_what_it_changes(client: TestClient) -> None:
    assert put(client, "test", spec(), '"1-abc"').status_code == 412
    etag = make(client, "test")
    assert put(client, "test", spec(coverage=0.5)).status_code == 428
    assert put(client, "test", spec(coverage=0.5), '"1-abc"').status_code == 412
    changed = put(client, "test", spec(coverage=0.5), f'"other", {etag}')
    assert changed.status_code == 200
    assert put(client, "test", spec(), etag).json()["code"] == "etag_mismatch"
    same = put(client, "test", spec(coverage=0.5), changed.headers["etag"])
    assert same.headers["etag"] == changed.headers["etag"]


FROZEN = [
    {"seed": "other"},
    {"unit": "session"},
    {"placements": []},
    {"namespace": {"name": "n", "start": 0, "end": 1}},
    {"arms": [{"key": "control", "weight": 0.5}, {"key": "other", "weight": 0.5}]},
    {"arms": [{"key": "control", "weight": 1.0}]},
    {
        "arms": [
            {"key": "control", "weight": 0.5},
            {"key": "treatment", "weight": 0.5, "placement": {"limit": 3}},
        ]
    },
]


def test_what_is_frozen_once_it_runs(client: TestClient) -> None:
    etag = make(client, "test")
    for change in FROZEN:
        answer = put(client, "test", spec(**change), etag)
        assert answer.status_code in (409, 422), (change, answer.text)
    assert client.get(URL + "test").json()["revision"] == 1


def test_other_weights_open_a_phase_and_coverage_does_not(client: TestClient) -> None:
    etag = make(client, "test")
    before = visitors_of(client, "test")
    covered = put(client, "test", spec(coverage=0.5), etag)
    assert covered.json()["phase"] == 0
    weights = [{"key": "control", "weight": 0.1}, {"key": "treatment", "weight": 0.9}]
    other = put(client, "test", spec(*weights, coverage=0.5), covered.headers["etag"])
    assert other.json()["phase"] == 1
    assert other.json()["history"][2]["changed"] == ["arms"]
    assert ask(client)["assignments"][0]["phase"] == 1
    assert set(before.values()) == {"control", "treatment"}


REFUSED = [
    (spec(hash_version=1), "biased"),
    (spec(placements=["nowhere"]), "accepted"),
    (spec({"key": "a"}, {"key": "a"}), "each key once"),
    (spec({"key": "a", "weight": 0.2}, {"key": "b", "weight": 0.2}), "add up to 1"),
    (spec({"key": "a"}, {"key": "b", "placement": {"limit": 0}}), "accepted: 1 to 100"),
    (spec({"key": "a"}, {"key": "b", "placement": {"colour": 1}}), "unknown key"),
    (spec({"key": "a"}, {"key": "b", "placement": {"personalize": "full"}}), "unknown key"),
    (spec({"key": "a"}, {"key": "b", "bundle": "../etc"}), "bundle"),
    (spec({"key": "a"}, {"key": "b", "placement": {"limit": 3}}, kind="aa"), "A/A"),
    (spec(unknown=1), "unknown field"),
    (spec(audience={"locale": {"$regex": "(a+)+$"}}), "$regex"),
    (spec(audience={"locale": {"$like": "de"}}), "$like"),
    (spec(seed=""), "seed"),
]


def test_what_is_no_experiment_is_refused(client: TestClient) -> None:
    for body, word in REFUSED:
        answer = put(client, "test", body)
        assert answer.status_code == 422, answer.text
        assert word in answer.json()["detail"]
    assert client.get(URL + "test").status_code == 404


def test_keys_are_names_and_nothing_else(client: TestClient) -> None:
    for key in ("tmp-1-x", "a" * 65, "-a", "a b"):
        assert put(client, key, spec()).json()["code"] == "invalid_value", key
    assert put(client, "..%2Fkeys", spec()).status_code in (404, 405, 422)


def test_two_experiments_do_not_change_the_same(client: TestClient) -> None:
    make(client, "first", *HALF, namespace={"name": "n", "start": 0, "end": 0.5})
    both = put(client, "second", spec(*HALF))
    assert (both.status_code, both.json()["code"]) == (409, "experiment_conflict")
    assert "limit" in both.json()["detail"]
    assert put(client, "second", spec(*HALF, placements=["cart"])).status_code == 200
    apart = spec(*HALF, namespace={"name": "n", "start": 0.5, "end": 1})
    assert put(client, "third", apart).status_code == 200
    make(client, "other", {"key": "a"}, {"key": "b", "placement": {"candidates": 50}})


def test_arms_change_answers_and_records(root: Path, client: TestClient) -> None:
    make(client, "test", *HALF)
    arms = visitors_of(client, "test")
    assert set(arms.values()) == {"control", "short"}
    for visitor_id, arm in arms.items():
        answer = ask(client, visitor_id)
        assert (len(answer["items"]) == 3) == (arm == "short")
        (told,) = answer["assignments"]
        assert (told["variant"], told["reason"], told["in_experiment"]) == (arm, "assigned", True)
        assert told["bucket"] == bucket_of("test", visitor_id)
    recorded = decisions(root)
    assert [each.assignments[0].variant for each in recorded] == list(arms.values())
    record = recorded[0].assignments[0]
    assert (record.p_arm, record.phase, record.assigned_by) == (0.5, 0, "service")
    assert (record.unit, record.unit_key, len(record.seed_digest)) == ("visitor", None, 16)
    assert ask(client, placement="cart")["assignments"] == []


def test_who_does_not_take_part_is_recorded_as_well(root: Path, client: TestClient) -> None:
    make(client, "test", *HALF)
    client.put("/v1/visitors/shy/preferences", json={"personalize": "off"})
    for question, reason in (
        ({"visitor_id": None}, "no_subject"),
        ({"personalize": False}, "not_eligible"),
        ({"visitor_id": "shy"}, "not_eligible"),
        ({"visitor_id": "shy", "assignments": {"test": "short"}}, "not_eligible"),
    ):
        (told,) = ask(client, **question)["assignments"]
        assert (told["in_experiment"], told["variant"], told["reason"]) == (
            False,
            "control",
            reason,
        )
    assert [each.assignments[0].in_experiment for each in decisions(root)] == [False] * 4


def test_an_audience(root: Path, client: TestClient) -> None:
    make(
        client, "test", audience={"device": {"$in": ["phone", "tablet"]}, "$not": {"locale": "de"}}
    )
    for context, takes_part in (
        ({"device": "phone"}, True),
        ({"device": "phone", "locale": "de"}, False),
        ({}, False),
    ):
        (told,) = ask(client, context=context)["assignments"]
        assert told["in_experiment"] == takes_part
        assert told["reason"] == ("assigned" if takes_part else "not_eligible")
        question = {"subjects": [{"visitor_id": "v", "context": context}]}
        (looked_up,) = client.post("/v1/assignments", json=question).json()["assignments"][0]
        assert looked_up == told
        flag = {"context": {"targetingKey": "v"} | context}
        metadata = client.post("/ofrep/v1/evaluate/flags/test", json=flag).json()["metadata"]
        assert metadata["inExperiment"] == takes_part
    assert not decisions(root)[-1].assignments[0].in_experiment


def test_arms_from_outside(root: Path, client: TestClient) -> None:
    make(client, "test", *HALF, assigner="external")
    assert ask(client)["assignments"][0]["reason"] == "not_given"
    answer = ask(client, assignments={"test": "short"})
    assert len(answer["items"]) == 3
    told = answer["assignments"][0]
    assert (told["assigned_by"], told["bucket"], told["in_experiment"]) == ("external", None, True)
    record = decisions(root)[-1].assignments[0]
    assert (record.assigned_by, record.p_arm) == ("external", None)
    assert refused(client, assignments={"test": "long"}) == (422, "unknown_arm")
    assert refused(client, assignments={"rest": "a"}) == (422, "unknown_experiment")
    make(client, "ours", placements=["home"])
    both = ask(client, assignments={"ours": "treatment", "test": "control"})["assignments"]
    assert {each["assigned_by"] for each in both} == {"external"}


def test_forcing_is_for_admin_keys_and_marks_the_record(root: Path, client: TestClient) -> None:
    make(client, "test", *HALF, status="draft")
    make(client, "other", {"key": "a"}, {"key": "b"})
    answer = ask(client, force={"test": "short"})
    assert len(answer["items"]) == 3
    told = {each["experiment"]: each["reason"] for each in answer["assignments"]}
    assert told == {"test": "forced", "other": "qa"}
    assert decisions(root)[-1].qa
    ask(client)
    assert not decisions(root)[-1].qa


def test_forcing_needs_more_than_a_server_key(root: Path) -> None:
    keys = make_keys(root)
    with in_process(root, dev=False) as client:
        for name, code in (("server", "force_not_allowed"), ("admin", "unknown_experiment")):
            answer = client.post(
                "/v1/recommendations",
                json={"placement": "home", "force": {"test": "a"}},
                headers={"X-API-Key": keys[name]},
            )
            assert answer.json()["code"] == code


def test_a_sticky_arm_is_kept_by_who_remembers_it(client: TestClient) -> None:
    etag = make(client, "test", sticky={"version": 1})
    first = ask(client)["assignments"][0]
    assert first["remember"] == {"test__1": first["variant"]}
    other = 0.999 if first["variant"] == "treatment" else 0.001
    weights = [{"key": "control", "weight": other}, {"key": "treatment", "weight": 1 - other}]
    assert put(client, "test", spec(*weights, sticky={"version": 1}), etag).status_code == 200
    again = ask(client, remembered=first["remember"])["assignments"][0]
    assert (again["variant"], again["assigned_by"]) == (first["variant"], "sticky")
    assert ask(client)["assignments"][0]["variant"] != first["variant"]


def test_a_page_is_in_one_arm(client: TestClient) -> None:
    make(client, "test", *HALF, placements=["home", "cart"])
    question = {
        "placements": [{"placement": "home"}, {"placement": "cart"}],
        "visitor_id": "v",
        "force": {"test": "short"},
    }
    answers = client.post("/v1/recommendations/page", json=question).json()["answers"]
    assert [each["assignments"][0]["variant"] for each in answers] == ["short", "short"]
    get = client.get("/v1/recommendations?placement=home&visitor_id=v").json()
    assert get["assignments"][0]["experiment"] == "test"


def test_an_arm_with_another_bundle(root: Path, tmp_path: Path) -> None:
    saved_bundle(tmp_path / "other", seed=1)
    other = publish_challenger(tmp_path / "other", StoreLayout(root).bundles)
    arms = [{"key": "control"}, {"key": "new", "bundle": "challenger"}]
    with in_process(root) as client:
        make(client, "test", *arms)
        wait_for(lambda: ask(client, force={"test": "new"})["model_version"] == other)
        control = ask(client, force={"test": "control"})["model_version"]
        assert control not in ("none", other)
        make(client, "pinned", {"key": "a"}, {"key": "b", "bundle": other}, placements=["cart"])
        pinned = {"placement": "cart", "force": {"pinned": "b"}}
        assert ask(client, **pinned)["model_version"] == other


def test_a_damaged_bundle_of_an_arm_is_refused_until_it_is_replaced(
    root: Path, tmp_path: Path
) -> None:
    saved_bundle(tmp_path / "other", seed=1)
    bundles = StoreLayout(root).bundles
    other = publish_challenger(tmp_path / "other", bundles)
    victim = next((bundles / other).glob("*.npy"))
    good = victim.read_bytes()
    victim.write_bytes(good[:-1])
    with in_process(root) as client:
        make(client, "test", {"key": "control"}, {"key": "new", "bundle": "challenger"})
        models = client.app.state.service.experiments.models
        wait_for(lambda: other in models.refused)
        assert "arm" in client.get("/health/ready").json()["warnings"][0]
        assert ask(client, force={"test": "new"})["model_version"] != other
        victim.write_bytes(good)
        (bundles / other / "manifest.json").touch()
        wait_for(lambda: ask(client, force={"test": "new"})["model_version"] == other)
        wait_for(lambda: not client.get("/health/ready").json()["warnings"])


def test_an_arm_whose_bundle_is_missing_stays_an_arm(root: Path, client: TestClient) -> None:
    make(client, "test", {"key": "control"}, {"key": "new", "bundle": "0123456789abcdef"})
    (visitor_id,) = [v for v, arm in visitors_of(client, "test").items() if arm == "new"][:1]
    answer = ask(client, visitor_id)
    assert answer["items"]
    assert answer["assignments"][0]["variant"] == "new"
    record = decisions(root)[-1]
    assert record.degraded_reason == "arm_not_loaded"
    assert record.assignments[0].in_experiment


def test_bundles_beside_the_one_in_use_are_bounded(root: Path, tmp_path: Path) -> None:
    saved_bundle(tmp_path / "other", seed=1)
    publish_challenger(tmp_path / "other", StoreLayout(root).bundles)
    with in_process(root, max_arm_bundles=0) as client:
        make(client, "test", {"key": "control"}, {"key": "new", "bundle": "challenger"})
        models = client.app.state.service.experiments.models
        wait_for(lambda: models.refused)
        assert "at most" in next(iter(models.refused.values()))


def test_an_arm_with_another_blend(client: TestClient) -> None:
    sources = list(client.app.state.service.models.current.bundle.sources)
    blend = {name: float(place == 0) for place, name in enumerate(sources)}
    make(client, "test", {"key": "control"}, {"key": "one", "blend": blend})
    explained = {"force": {"test": "one"}, "explain": True}
    found = ask(client, **explained)["explanation"]["candidates"]
    assert all(
        set(each["sources"]) <= {sources[0]}
        or not sum(score for name, score in each["sources"].items() if name != sources[0])
        for each in found
    )
    make(
        client, "wrong", {"key": "a"}, {"key": "b", "blend": {"nothing": 1.0}}, placements=["cart"]
    )
    ask(client, placement="cart", force={"wrong": "b"})


def test_all_workers_follow(root: Path) -> None:
    """Each question on a connection of its own, so that both workers are met."""
    with running(root, "--dev", "--workers", "2") as process:

        def arms() -> set[str]:
            found: set[str] = set()
            for _ in range(12):
                with process.client() as client:
                    found |= {each["variant"] for each in ask(client)["assignments"]} or {"none"}
            return found

        with process.client() as client:
            etag = make(client, "test")
        wait_for(lambda: "none" not in arms())
        assert len(arms()) == 1
        with process.client() as client:
            assert put(client, "test", spec(status="paused"), etag).status_code == 200
        wait_for(lambda: arms() == {"none"})


def test_a_broken_or_missing_file_changes_nothing(root: Path, client: TestClient) -> None:
    make(client, "test")
    path = ExperimentFolder(StoreLayout(root).experiments).files()[0]
    source = client.app.state.service.experiments
    good = path.read_bytes()
    path.write_bytes(b"{")
    wait_for(lambda: "test" in source.refused)
    assert len(ask(client)["assignments"]) == 1
    assert client.get(URL + "test").status_code == 409
    path.unlink()
    wait_for(lambda: "gone" in source.refused.get("test", ""))
    assert len(ask(client)["assignments"]) == 1
    path.write_bytes(good)
    wait_for(lambda: not source.refused)


def test_look_ups_leave_no_record(root: Path, client: TestClient) -> None:
    make(client, "test", unit="user", fallback_unit="visitor")
    make(client, "draft", status="draft")
    question = {"subjects": [{"visitor_id": "v"}, {"user_id": "v"}, {"session_id": "s"}]}
    found = client.post("/v1/assignments", json=question).json()["assignments"]
    assert [[each["experiment"] for each in row] for row in found] == [["test"]] * 3
    assert found[0][0]["bucket"] == found[1][0]["bucket"] == bucket_of("test", "v")
    assert found[2][0]["reason"] == "no_subject"
    assert decisions(root) == []
    unknown = client.post("/v1/assignments", json=question | {"experiments": ["rest"]})
    assert unknown.json()["code"] == "unknown_experiment"
    assert client.post("/v1/assignments", json={"subjects": [{}]}).status_code == 422
