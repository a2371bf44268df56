from __future__ import annotations

from dataclasses import replace

import numpy as np

from recommender.bundle import ModelBundle
from training.evaluation.report import EvaluationReport
from training.evaluation.slices import group_of, slices_of
from training.split import HoldOut


def by_name(bundle: ModelBundle, hold_out: HoldOut, limit: int = 8) -> dict:
    found = slices_of(hold_out, bundle.catalogue, limit)
    return {(each.group, each.name): each.targets for each in found}


def test_head_and_middle_are_the_fewest_items_with_their_share_of_the_popularity(
    bundle: ModelBundle,
) -> None:
    popularity = np.linspace(10, 1, 20)
    group = group_of(bundle.catalogue)
    names = [group[f"item-{i:02d}"] for i in range(20)]
    assert names == sorted(names, key=["head", "middle", "tail"].index)
    for share, size in ((0.5, names.count("head")), (0.8, 20 - names.count("tail"))):
        assert popularity[:size].sum() >= share * popularity.sum() > popularity[: size - 1].sum()


def test_a_shop_without_any_popularity_has_no_groups(bundle: ModelBundle) -> None:
    silent = replace(bundle.catalogue, popularity=np.zeros(20, np.float32))
    assert group_of(silent) == {}


def test_new_and_returning_shoppers_part_the_whole(bundle: ModelBundle, hold_out: HoldOut) -> None:
    found = by_name(bundle, hold_out)
    assert [bool(t) for t in found["shopper", "new"]] == [False] * 4 + [True]
    assert [bool(t) for t in found["shopper", "returning"]] == [True] * 4 + [False]


def test_item_groups_part_the_targets(bundle: ModelBundle, hold_out: HoldOut) -> None:
    found = by_name(bundle, hold_out)
    parts = [found["item", name] for name in ("head", "middle", "tail")]
    for wanted, *each in zip(hold_out.targets, *parts, strict=True):
        assert frozenset().union(*each) == wanted
        assert sum(map(len, each)) == len(wanted)
    assert "nowhere" in found["item", "tail"][2]


def test_categories_are_the_top_level_with_most_targets_first(
    bundle: ModelBundle, hold_out: HoldOut
) -> None:
    found = by_name(bundle, hold_out)
    assert [name for group, name in found if group == "category"] == ["garden", "kitchen"]
    assert found["category", "kitchen"][3] == {"item-01"}
    assert [group for group, _ in by_name(bundle, hold_out, 1)].count("category") == 1


def test_slices_without_shoppers_are_left_out_of_the_report(report: EvaluationReport) -> None:
    groups = {(each.group, each.name): each.users for each in report.slices}
    assert groups["shopper", "new"] == 1
    assert groups["category", "garden"] == 4
    assert all(groups.values())
