from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from feature_store.layout import StoreLayout
from feature_store.records import DecisionItem, DecisionRecord
from recommender.errors import DataError, InvalidInputError
from recommender.interleaving import fair_coin, team_draft
from tests.tabling import MINUTE
from tests.training.evaluation.experiment.trial import KEY, act, answer, store_of
from training.evaluation.experiment.drafts import DraftRequest, InterleavingReading, read_drafts
from training.experiment_spec import ExperimentSpec

SPEC = ExperimentSpec(tuned_subjects=400, least_subjects=50)
GOOD, POOR = "abcdef", "fedcba"
NAMES = ("control", "treatment")


def interleaved(number: int, rankings: tuple[str, str], **parts: object) -> DecisionRecord:
    picks, _ = team_draft(*rankings, 4, fair_coin(number))
    items = tuple(
        DecisionItem(
            pick.item_id,
            slot,
            pick.propensity,
            "als",
            team=NAMES[pick.team],
            competitive=pick.competitive,
        )
        for slot, pick in enumerate(picks, 1)
    )
    return answer(number, f"v{number}", "interleaved", number, items=items, **parts)


def lists(
    folder: Path, rankings: tuple[str, str], shoppers: int = 300, **parts: object
) -> StoreLayout:
    """Each shopper sees one list, and likes the items in alphabetical order."""
    rng = np.random.default_rng(3)
    records = [interleaved(number, rankings, **parts) for number in range(shoppers)]
    rows = [
        act(f"v{number}", MINUTE, "select_item", item.item_id, recommendation_id=record.decision_id)
        for number, record in enumerate(records)
        for item in record.items
        if rng.uniform() < 0.6 / 2 ** "abcdef".index(item.item_id)
    ]
    return store_of(folder, rows, records)


def read(layout: StoreLayout, **parts: object) -> InterleavingReading:
    return read_drafts(layout, DraftRequest(KEY, **parts), SPEC)  # type: ignore[arg-type]


def test_the_better_ranking_is_preferred_on_either_side(tmp_path: Path) -> None:
    ahead = read(lists(tmp_path / "a", (POOR, GOOD)))
    behind = read(lists(tmp_path / "b", (GOOD, POOR)))
    assert (ahead.verdict, behind.verdict) == ("better", "worse")
    assert ahead.preference.mean > 0 > behind.preference.mean
    assert ahead.always is not None
    assert ahead.always.low < ahead.preference.low
    assert ahead.lists == 300
    assert ahead.wins + ahead.losses + ahead.ties <= 300
    assert ahead.credits["treatment"] > ahead.credits["control"]


def test_swapping_the_control_turns_the_sign(tmp_path: Path) -> None:
    layout = lists(tmp_path, (POOR, GOOD))
    there, back = read(layout), read(layout, control="treatment")
    assert there.preference.mean == -back.preference.mean
    assert back.verdict == "worse"


def test_identical_rankings_have_nothing_to_prefer(tmp_path: Path) -> None:
    found = read(lists(tmp_path, (GOOD, GOOD)))
    assert (found.competitive_places, found.preference.mean, found.verdict) == (0, 0.0, "undecided")
    assert sum(found.credits.values()) == 0


def test_only_what_names_list_and_place_is_credited_and_once(tmp_path: Path) -> None:
    records = [interleaved(1, (GOOD, POOR)), interleaved(2, (GOOD, POOR), qa=True)]
    first = records[0].items[0].item_id
    rows = [
        act("v1", MINUTE, "select_item", first, recommendation_id="d1"),
        act("v1", 2 * MINUTE, "select_item", first, recommendation_id="d1"),
        act("v1", MINUTE, "select_item", "zzz", recommendation_id="d1"),
        act("v2", MINUTE, "select_item", first, recommendation_id="d2"),
        act("v1", 3 * MINUTE, "select_item", first),
    ]
    found = read(store_of(tmp_path, rows, records))
    assert sum(found.credits.values()) == 1
    assert found.counts["outcomes that name an answer"] == 3
    assert found.counts["outcomes that name no place of these lists"] == 2
    assert found.counts["left out: forced, or marked qa"] == 1
    assert found.always is None
    assert read(store_of(tmp_path / "x", rows, records), outcome="purchase").wins == 0


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    layout = lists(tmp_path, (GOOD, POOR), 3)
    with pytest.raises(InvalidInputError, match="control 'x' drafted nothing"):
        read(layout, control="x")
    with pytest.raises(DataError, match="have teams"):
        read_drafts(layout, DraftRequest("other"), SPEC)
