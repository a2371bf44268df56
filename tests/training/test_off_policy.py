from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

import desirepath
from feature_store.attribution_log import log_records
from feature_store.console import Console
from feature_store.ingest import ingest
from feature_store.layout import StoreLayout
from feature_store.pseudonyms import read_pseudonyms
from feature_store.records import DecisionRecord
from recommender.bundle import load_bundle
from recommender.errors import DataError, InvalidInputError
from recommender.placements import read_placements
from tests.serving.service import event, in_process, publish_shop
from training.engines.local import LocalEngine
from training.evaluation.off_policy_replay import replay
from training.evaluation.off_policy_report import OffPolicyReport
from training.evaluation.off_policy_support import check_records, is_supported
from training.off_policy import OffPolicyRequest, off_policy_report
from training.off_policy_answers import Part
from training.registry import Registry
from training.workflow import Workbench

PLACES = """
[placements.next]
limit = 3
exclude = ["dismissed"]

[placements.next.explore]
temperature = {temperature}
gap = 1.0
reach = 0
"""
VISITORS = 300


def served(root: Path, temperature: float, visitors: int = 40) -> Path:
    """A shop in which each visitor looks at an item, asks, and takes up the first suggestion."""
    version = publish_shop(root)
    file = root / "placements.toml"
    file.write_text(PLACES.format(temperature=temperature))
    with in_process(root, placements=file, explore=True) as client:
        for number in range(visitors):
            who = f"v{number}"
            client.post("/v1/events", json=event(who, f"item-{number % 10:02d}"))
            body = {"placement": "next", "visitor_id": who}
            answer = client.post("/v1/recommendations", json=body).json()
            named = {"recommendation_id": answer["recommendation_id"]}
            first = answer["items"][0]["item_id"]
            client.post("/v1/events", json=event(who, first, "select_item", **named))
        # Somebody who is not explored is left out, and counted.
        client.post("/v1/recommendations", json={"placement": "next"})
    ingest(StoreLayout(root).log, "desirepath-log", StoreLayout(root))
    return StoreLayout(root).bundles / version


def report_of(
    root: Path,
    bundle: Path,
    registry: Registry,
    reward: str = "taken_up",
    part: Part | None = None,
    against: Path | None = None,
) -> OffPolicyReport:
    bench = Workbench(LocalEngine(), registry, lambda: 1, Console())
    layout = StoreLayout(root)
    request = OffPolicyRequest(str(bundle), layout, root / "placements.toml", reward)
    request = replace(request, part=part or Part(), against=against and str(against))
    return off_policy_report(request, bench)


def test_the_model_that_served_earns_what_its_first_choices_earned(
    tmp_path: Path, registry: Registry
) -> None:
    root = tmp_path / "shop"
    bundle = served(root, 0.06, VISITORS)
    report = report_of(root, bundle, registry)
    assert report.refusal is None
    assert report.lists == report.subjects == VISITORS
    assert report.counts["left out: nothing left to chance"] == 1
    assert report.counts["outcomes: recommendation_id"] == VISITORS
    assert report.diagnosis.outside == 0
    assert [each.is_met for each in report.checks][:4] == [True] * 4
    assert 0 < report.same_lists < 1
    # Each list earns exactly 1 in its first slot, whatever it is.
    assert report.observed.value == pytest.approx(1)
    found = {each.name: each for each in report.estimates}
    assert found["SNRIPS"].value == pytest.approx(1)
    assert {"IIPS", "pseudo-inverse"} <= found.keys()
    assert abs(found["pseudo-inverse"].value - 1) < 6 * found["pseudo-inverse"].error
    assert abs(found["RIPS"].value - 1) < 6 * found["RIPS"].error
    written = (root / "off_policy.json").read_bytes()
    assert msgspec.json.decode(written, type=OffPolicyReport) == report
    assert "What" in (root / "off_policy.md").read_text()
    assert (root / "off_policy.png").read_bytes().startswith(b"\x89PNG")


OPEN = {
    "status": "running",
    "placements": ["next"],
    "arms": [
        {"key": "closed", "weight": 0.5, "placement": {"limit": 4}},
        {
            "key": "open",
            "weight": 0.5,
            "placement": {
                "limit": 1,
                "explore": {"temperature": 1e6, "gap": 1e6, "reach": 1},
            },
        },
    ],
}


def test_an_arm_that_leaves_more_to_chance_tells_of_two_models(
    tmp_path: Path, registry: Registry
) -> None:
    root = tmp_path / "shop"
    version, other = publish_shop(root), publish_shop(tmp_path / "other", seed=5)
    own, rival = (
        StoreLayout(folder).bundles / name
        for folder, name in ((root, version), (tmp_path / "other", other))
    )
    file = root / "placements.toml"
    file.write_text(PLACES.format(temperature=0.06))
    with in_process(root, placements=file, explore=True) as client:
        assert client.put("/v1/experiments/open", json=OPEN).status_code == 200
        for number in range(2 * VISITORS):
            who = f"v{number}"
            client.post("/v1/events", json=event(who, f"item-{number % 10:02d}"))
            body = {"placement": "next", "visitor_id": who}
            answer = client.post("/v1/recommendations", json=body).json()
            for place in answer["items"]:
                if place["item_id"] < "item-05":
                    named = {"recommendation_id": answer["recommendation_id"]}
                    client.post(
                        "/v1/events", json=event(who, place["item_id"], "select_item", **named)
                    )
    ingest(StoreLayout(root).log, "desirepath-log", StoreLayout(root))
    report = report_of(root, own, registry, part=Part("open", "open"), against=own)
    in_arm = report.lists
    assert 0.4 * 2 * VISITORS < in_arm < 0.6 * 2 * VISITORS
    assert report.counts["left out: not in the experiment"] == 2 * VISITORS - in_arm
    assert report.refusal is None
    assert report.diagnosis.outside == 0
    # Compared with itself it gains nothing, and that for certain.
    assert report.gain is not None
    assert (report.gain.value, report.gain.error) == (0, 0)
    # Each list has one item, so whatever takes slots apart comes to the same.
    found = {each.name: each.value for each in report.estimates}
    assert found["IIPS"] == pytest.approx(found["RIPS"])
    told = report_of(root, own, registry, part=Part("open", "open"), against=rival)
    assert told.gain is not None
    assert told.gain.error > 0
    # Where a list of four is not left to chance so far, the other model's is out of reach.
    told = report_of(root, rival, registry, part=Part("open", "closed"), against=own)
    assert told.gain is None
    assert "of its mass where logging has none" in (told.gain_refusal or "")
    assert "**No estimate**" in (root / "off_policy.md").read_text()
    with pytest.raises(InvalidInputError, match="the name of one: closed, open"):
        report_of(root, own, registry, part=Part("open"))
    with pytest.raises(DataError, match="no experiment none"):
        report_of(root, own, registry, part=Part("none"))
    with pytest.raises(InvalidInputError, match="accepted: both, or none"):
        Part(arm="open")


def test_a_log_with_little_chance_is_refused(tmp_path: Path, registry: Registry) -> None:
    root = tmp_path / "shop"
    served(root, temperature=0.2)
    other = tmp_path / "other"
    version = publish_shop(other, seed=5)
    report = report_of(root, StoreLayout(other).bundles / version, registry)
    assert report.refusal is not None
    assert "of its mass where logging has none" in report.refusal
    assert (report.estimates, report.lift) == ((), None)
    assert "**No estimate**" in (root / "off_policy.md").read_text()
    assert json.loads((root / "off_policy.json").read_text())["refusal"] == report.refusal


def test_a_replay_knows_what_was_known_and_sees_the_support(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    folder = served(root, temperature=0.2)
    records = list(log_records(StoreLayout(root)))
    wanted = frozenset(
        each.decision_id
        for each in records
        if isinstance(each, DecisionRecord) and each.explore.rng_seed is not None
    )
    places, names = (
        read_placements(root / "placements.toml"),
        read_pseudonyms(root / "pseudonym.key"),
    )
    answers = list(replay(reversed(records), wanted, load_bundle(folder), places, names.of))
    assert len(answers) == 40
    for answer in answers:
        # The same model in its own order: the candidates of the record begin with it.
        top = tuple(item_id for item_id, _ in answer.record.candidates[:3])
        assert answer.target == top
        assert sorted(answer.shown) == sorted(top)
        assert is_supported(answer.record, answer.target)
        elsewhere = answer.record.candidates[5][0]
        assert not is_supported(answer.record, (*top[:2], elsewhere))


def test_an_exploring_slot_supports_what_stands_below(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    publish_shop(root)
    file = root / "placements.toml"
    file.write_text("[placements.next]\nlimit = 3\n[explore]\nepsilon = 0.5\nreach = 4\n")
    with in_process(root, placements=file, explore=True) as client:
        client.post("/v1/events", json=event("v", "item-03"))
        client.post("/v1/recommendations", json={"placement": "next", "visitor_id": "v"})
    (record,) = [
        each for each in log_records(StoreLayout(root)) if isinstance(each, DecisionRecord)
    ]
    names = [item_id for item_id, _ in record.candidates]
    for below in names[2:7]:
        assert is_supported(record, (*names[:2], below))
    for item_ids in ((*names[:2], names[7]), (names[1], names[0], names[2]), tuple(names[:2])):
        assert not is_supported(record, tuple(item_ids))
    doubted = msgspec.structs.replace(record.items[2], p_slot=0.123)
    changed = msgspec.structs.replace(record, items=(*record.items[:2], doubted))
    other = next(each for each in names[2:7] if each != record.items[2].item_id)
    assert not is_supported(changed, (*names[:2], other))


def test_propensities_that_cannot_be_true_are_found(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    served(root, temperature=0.2)
    records = [
        each
        for each in log_records(StoreLayout(root))
        if isinstance(each, DecisionRecord) and each.explore.rng_seed is not None
    ]
    names = ("lies above 0 to 1", "slate_propensity_log", "chance took part")
    assert [each.is_met for each in check_records(records)][:4] == [True] * 4
    first = records[0]
    zero = msgspec.structs.replace(first.items[0], p_slot=0.0)
    for name, broken in zip(
        names,
        (
            msgspec.structs.replace(first, items=(zero, *first.items[1:])),
            msgspec.structs.replace(first, slate_propensity_log=first.slate_propensity_log - 1),
            msgspec.structs.replace(
                first, explore=msgspec.structs.replace(first.explore, slots=(9,))
            ),
        ),
        strict=True,
    ):
        failed = [each.name for each in check_records([broken, *records[1:]]) if not each.is_met]
        assert any(name in each for each in failed)
    assert check_records(records[:1])[-1].is_met is None


def test_a_list_that_is_always_the_likelier_one_gives_its_log_away(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    publish_shop(root)
    file = root / "placements.toml"
    file.write_text("[placements.next]\nlimit = 3\n[explore]\nepsilon = 0.5\nreach = 4\n")
    with in_process(root, placements=file, explore=True) as client:
        for number in range(60):
            body = {"placement": "next", "visitor_id": f"v{number}"}
            client.post("/v1/recommendations", json=body)
    records = [each for each in log_records(StoreLayout(root)) if isinstance(each, DecisionRecord)]
    own = [each for each in records if each.items[2].p_slot == 0.5]
    assert 0 < len(own) < 60
    assert check_records(own)[-1].is_met is False


def test_bad_questions_are_refused(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(InvalidInputError, match="accepted: taken_up, purchase"):
        OffPolicyRequest("1", StoreLayout(tmp_path), tmp_path, "clicks")
    root = tmp_path / "shop"
    version = publish_shop(root)
    file = root / "placements.toml"
    file.write_text("[placements.next]\n")
    with in_process(root, placements=file) as client:
        client.post("/v1/recommendations", json={"placement": "next", "visitor_id": "v"})
    with pytest.raises(DataError, match="left anything to chance"):
        report_of(root, StoreLayout(root).bundles / version, registry)


def test_the_command_says_by_its_exit_code_whether_the_log_could_tell(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    bundle = served(root, temperature=0.2)
    options = ["--out", str(root), "--placements", str(root / "placements.toml"), "--json"]
    ran = CliRunner().invoke(
        desirepath.command_line(),
        ["evaluate", "--off-policy", "--candidate", str(bundle), *options],
    )
    assert ran.exit_code == 1, ran.output
    report = json.loads(ran.stdout.splitlines()[-1])
    assert report["lists"] == 40
    assert "effective sample size" in report["refusal"]


def test_a_replay_begins_with_what_the_tables_knew(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    folder = served(root, temperature=0.2, visitors=5)
    layout = StoreLayout(root)
    records = list(log_records(layout))
    decisions = [each for each in records if isinstance(each, DecisionRecord)]
    wanted = frozenset(each.decision_id for each in decisions if each.explore.rng_seed is not None)
    places, names = read_placements(root / "placements.toml"), read_pseudonyms(layout.pseudonyms)
    bundle = load_bundle(folder)
    whole = {
        each.record.decision_id: each.target
        for each in replay(records, wanted, bundle, places, names.of)
    }
    # The log of the last visitor alone; what the others did before is in the tables only.
    late = [each for each in records if getattr(each, "event", None) is None]
    events = [each for each in records if getattr(each, "event", None) is not None]
    last = max(events, key=lambda each: each.received_at)  # type: ignore[attr-defined]
    without = list(replay([*late, last], wanted, bundle, places, names.of))
    known = list(replay([*late, last], wanted, bundle, places, names.of, layout))
    assert all(whole[each.record.decision_id] for each in known)
    assert [each.target for each in known] != [each.target for each in without]
