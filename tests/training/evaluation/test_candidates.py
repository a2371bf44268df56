from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.bundle import ModelBundle
from recommender.candidates.proposals import Proposals
from recommender.candidates.source import CandidateSource
from recommender.placements import Placement
from recommender.seeds import Seeds
from recommender.terms import BoolArray
from training.evaluation.candidate_report import CUT_OFFS, POOL, UNION, CandidateReport, recall_rows
from training.evaluation.candidates import candidate_report, find_targets, take_turns
from training.evaluation.plots_candidates import draw_candidates
from training.sections import EvaluationSpec
from training.split import HoldOut

NEXT = Placement("next", exclude=("dismissed",), candidates=20)
SPEC = EvaluationSpec(k=(1, 3, 5), bootstrap_rounds=200)


class Listed(CandidateSource):
    """Proposes the same items to everybody."""

    def __init__(self, *items: int) -> None:
        self.items = np.array(items, np.int32)

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals, row: int) -> None:
        kept = self.items[eligible[self.items]]
        proposals.keep(row, kept, np.linspace(1, 0.5, len(kept), dtype=np.float32))


@pytest.fixture
def listed(bundle: ModelBundle) -> ModelBundle:
    return replace(bundle, sources={"a": Listed(0, 1, 2), "b": Listed(4, 0), "c": Listed(2)})


@pytest.fixture
def report(listed: ModelBundle, hold_out: HoldOut) -> CandidateReport:
    return candidate_report(listed, hold_out, NEXT, SPEC)


def test_recall_by_hand(report: CandidateReport) -> None:
    """Targets are {00, 02}, {04}, {10, nowhere}, {01}, {00}, for five shoppers."""
    everybody = report.everybody
    assert everybody.row("a").recall[50].mean == pytest.approx(3 / 5)
    assert everybody.row("b").recall[50].mean == pytest.approx((1 / 2 + 1 + 1) / 5)
    assert everybody.row("c").recall[50].mean == pytest.approx((1 / 2) / 5)
    assert everybody.row(UNION).recall[50].mean == pytest.approx(4 / 5)
    assert everybody.row(POOL).recall[200].mean == pytest.approx(4 / 5)
    # Only a has item-01, only b has item-04; what c has, a has as well.
    assert everybody.row("a").adds[50].mean == pytest.approx(1 / 5)
    assert everybody.row("b").adds_to_pool[50].mean == pytest.approx(1 / 5)
    assert everybody.row("c").adds[50].mean == 0
    assert report.pool_size == {50: 4, 100: 4, 200: 4}
    assert (report.users, report.targets, report.unknown_targets) == (5, 7, 1)


def test_positions_when_the_lists_take_turns(listed: ModelBundle, hold_out: HoldOut) -> None:
    found = find_targets(listed, hold_out, NEXT)
    # In turn: a0 b4 c2, then a1; b's item-00 is there already.
    where = dict(zip(found.item_ids, found.union, strict=True))
    assert where == {
        "item-00": 1,
        "item-04": 2,
        "item-02": 3,
        "item-01": 4,
        "item-10": np.inf,
        "nowhere": np.inf,
    }
    without_b = dict(zip(found.item_ids, found.union_without[1], strict=True))
    assert (without_b["item-02"], without_b["item-04"]) == (2, np.inf)


lists = st.lists(st.lists(st.integers(0, 9), unique=True, max_size=10), min_size=1, max_size=4)


@given(lists)
def test_taking_turns_is_what_dealing_out_cards_would_do(given_lists: list[list[int]]) -> None:
    ranks = np.full((len(given_lists), 10), np.inf)
    for row, items in enumerate(given_lists):
        ranks[row, items] = np.arange(1, len(items) + 1)
    dealt: list[int] = []
    for turn in range(10):
        for items in given_lists:
            if turn < len(items) and items[turn] not in dealt:
                dealt.append(items[turn])
    expected = [dealt.index(item) + 1 if item in dealt else np.inf for item in range(10)]
    assert take_turns(ranks).tolist() == expected


def test_no_source_finds_more_than_the_pool(bundle: ModelBundle, hold_out: HoldOut) -> None:
    found = candidate_report(bundle, hold_out, NEXT, SPEC)
    for part in found.slices:
        for each in part.rows:
            for k in CUT_OFFS:
                assert each.recall[k].mean <= part.row(POOL).recall[k].mean
                if each.adds_to_pool:
                    assert each.adds_to_pool[k].mean >= 0


def test_slices_are_scored_on_their_own_targets(report: CandidateReport) -> None:
    names = [(part.group, part.name) for part in report.slices]
    assert names[0] == ("all", "all")
    assert {("shopper", "new"), ("shopper", "returning"), ("item", "head")} <= set(names)
    new = next(part for part in report.slices if part.name == "new")
    assert (new.users, new.targets, new.row("b").recall[50].mean) == (1, 1, 1.0)


def test_only_the_placements_own_sources_are_asked(listed: ModelBundle, hold_out: HoldOut) -> None:
    narrow = replace(NEXT, sources=("b",))
    found = candidate_report(listed, hold_out, narrow, SPEC)
    assert [each.name for each in found.everybody.rows] == [UNION, POOL, "b"]


def test_it_is_read_back_as_it_was_and_shown_to_people(
    report: CandidateReport, tmp_path: Path
) -> None:
    paths = report.save(tmp_path)
    assert [path.name for path in paths] == ["candidates.json", "candidates.md"]
    assert CandidateReport.from_json(paths[0].read_bytes()) == report
    text = paths[1].read_text()
    for row in recall_rows(report.everybody):
        assert f"| {row['source']} | {row['recall@50']} |" in text
    with pytest.raises(KeyError, match="no source 'magic'; there are"):
        report.everybody.row("magic")


def test_the_picture_is_the_same_twice(report: CandidateReport, tmp_path: Path) -> None:
    first = draw_candidates(report, tmp_path).read_bytes()
    assert first.startswith(b"\x89PNG")
    assert draw_candidates(report, tmp_path).read_bytes() == first
