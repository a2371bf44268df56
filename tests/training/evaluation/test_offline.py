from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from recommender import metrics
from recommender.bundle import ModelBundle
from recommender.pipeline import recommend
from recommender.placements import Placement
from recommender.policy import TopPolicy
from tests.bundles import relabelled, shop_arrays, shop_info
from tests.rankers import ranked_bundle
from training.evaluation.offline import (
    answers,
    ask,
    beyond,
    evaluate,
    repeat_share,
    score_each,
    shown_counts,
    with_blend,
)
from training.evaluation.report import EvaluationReport
from training.fitting import Fitted
from training.sections import EvaluationSpec
from training.split import HoldOut

NEXT = Placement("next", exclude=("dismissed",), candidates=20)
SPEC = EvaluationSpec(k=(1, 3, 5), bootstrap_rounds=200)


def test_popularity_is_reproduced_exactly(report: EvaluationReport) -> None:
    """Popularity answers item-00, 01, 02, 03, 04 to everybody: the figures follow by hand."""
    popularity = report.variant("popularity").metrics
    # Hits in the first five: {00, 02}, {04}, none of {10, nowhere}, {01}, {00}.
    recall = [Fraction(2, 2), Fraction(1), Fraction(0, 2), Fraction(1), Fraction(1)]
    assert popularity["recall@5"].mean == pytest.approx(float(sum(recall) / 5))
    assert popularity["hit_rate@5"].mean == pytest.approx(4 / 5)
    reciprocal = [Fraction(1), Fraction(1, 5), Fraction(0), Fraction(1, 2), Fraction(1)]
    assert popularity["mrr@5"].mean == pytest.approx(float(sum(reciprocal) / 5))
    assert popularity["recall@1"].mean == pytest.approx(2 / 5)
    dcg = [
        (1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3)),
        1 / np.log2(6),
        0,
        1 / np.log2(3),
        1,
    ]
    assert popularity["ndcg@5"].mean == pytest.approx(float(np.mean(dcg)))


def test_the_answers_are_those_of_the_serving_pipeline(
    bundle: ModelBundle, hold_out: HoldOut
) -> None:
    found = answers(bundle, hold_out, NEXT, 5)
    for query, ranking in zip(hold_out.queries, found, strict=True):
        slate = recommend(query, bundle, NEXT, TopPolicy())
        assert ranking == tuple(item.item_id for item in slate.items)


def test_each_source_of_the_bundle_is_asked_alone(
    report: EvaluationReport, bundle: ModelBundle
) -> None:
    names = [variant.name for variant in report.variants]
    assert names[:2] == ["blend", "popularity"]
    assert set(names[2:]) == set(bundle.sources) - {"popularity"}


def test_a_single_source_answers_alone_whatever_its_weight_in_the_blend(
    bundle: ModelBundle, hold_out: HoldOut
) -> None:
    silent = with_blend(bundle, {"popularity": 1.0})
    alone = evaluate(silent, hold_out, NEXT, SPEC)
    assert (
        alone.variant("returns").metrics
        == evaluate(bundle, hold_out, NEXT, SPEC).variant("returns").metrics
    )
    assert alone.variant("blend").metrics == alone.variant("popularity").metrics
    assert alone.variant("popularity").loss["ndcg@5"].mean == 0
    assert not alone.beats("popularity")


def test_only_the_placements_own_sources_are_asked(bundle: ModelBundle, hold_out: HoldOut) -> None:
    narrow = replace(NEXT, sources=("als", "returns"))
    found = evaluate(bundle, hold_out, narrow, SPEC)
    assert [v.name for v in found.variants] == ["blend", "popularity", "als", "returns"]


def test_a_model_with_a_ranker_answers_a_second_time_without_it(hold_out: HoldOut) -> None:
    """The order of its blend is a variant, and no single source."""
    bundle = ranked_bundle(candidates=20)
    found = evaluate(bundle, hold_out, NEXT, SPEC)
    plain = evaluate(replace(bundle, ranker=None), hold_out, NEXT, SPEC)
    names = [variant.name for variant in found.variants]
    assert names[:3] == ["blend", "unranked", "popularity"]
    assert found.variant("unranked").metrics == plain.variant("blend").metrics
    assert found.variant("blend").metrics != plain.variant("blend").metrics
    assert found.variant("als").metrics == plain.variant("als").metrics
    singles = [each.metrics["ndcg@5"].mean for each in found.variants[2:]]
    assert found.best_single.name != "unranked"
    assert found.best_single.metrics["ndcg@5"].mean == max(singles)


def test_the_difference_is_paired_and_of_the_same_shoppers(report: EvaluationReport) -> None:
    blend = report.variant("blend").metrics
    for variant in report.variants[1:]:
        for name, difference in variant.loss.items():
            expected = blend[name].mean - variant.metrics[name].mean
            assert difference.mean == pytest.approx(expected)
            assert difference.low <= difference.mean <= difference.high


def test_recall_by_item_group_is_that_of_the_groups_targets(report: EvaluationReport) -> None:
    """Popularity shows item-00 to 04 to everybody; all of them belong to the head."""
    popularity = report.variant("popularity")
    assert set(popularity.groups) == {"head", "middle", "tail"}
    assert popularity.groups["head"].mean == 1
    assert popularity.groups["middle"].mean == popularity.groups["tail"].mean == 0
    blend = report.variant("blend")
    assert not blend.group_loss
    for name, lost in popularity.group_loss.items():
        assert lost.mean == pytest.approx(blend.groups[name].mean - popularity.groups[name].mean)
    best = max(report.variants[1:], key=lambda each: each.metrics["ndcg@5"].mean)
    assert report.best_single == best
    text = report.to_markdown()
    assert f"| blend minus {best.name} |" in text
    assert report.metrics["popularity_head_recall_at_5"] == 1


def test_what_cannot_be_known_is_counted_and_missed(report: EvaluationReport) -> None:
    assert (report.targets, report.unknown_targets) == (7, 1)
    assert (report.users, report.users_in_period, report.new_users) == (5, 6, 1)
    assert report.items == 20


def test_a_perfect_model_scores_one(hold_out: HoldOut) -> None:
    rankings = tuple(tuple(wanted) for wanted in hold_out.targets)
    for metric in (metrics.recall, metrics.ndcg, metrics.mrr, metrics.hit_rate):
        assert score_each(metric, rankings, hold_out.targets, 5).tolist() == [1] * 5


def test_a_shopper_without_target_does_not_count() -> None:
    found = score_each(metrics.recall, (("a",), ("b",)), (frozenset({"a"}), frozenset()), 1)
    assert found[0] == 1
    assert np.isnan(found[1])


def test_what_lies_beyond_accuracy(bundle: ModelBundle, hold_out: HoldOut) -> None:
    rankings = (("item-02", "item-00"), ("item-06",), ("item-00", "item-12"), ("item-01",), ())
    # Own items shown: item-02 of shopper a and item-06 of shopper b, of six items in all.
    assert repeat_share(rankings, hold_out) == pytest.approx(2 / 6)
    counts = shown_counts(rankings, bundle)
    assert (counts.sum(), counts[0]) == (6, 2)
    found = beyond(rankings, bundle, hold_out)
    assert found["coverage"] == pytest.approx(5 / 20)
    popularity = np.linspace(10, 1, 20)
    share = (popularity + 1) / (popularity + 1).sum()
    surprise = -np.log2(share)
    expected = np.mean(
        [surprise[[2, 0]].mean(), surprise[6], surprise[[0, 12]].mean(), surprise[1]]
    )
    assert found["novelty"] == pytest.approx(expected, rel=1e-6)
    assert repeat_share(((),) * 5, hold_out) == 0


def test_relabelling_the_items_changes_no_figure(hold_out: HoldOut) -> None:
    """Only the order among equals may depend on the index; the shop's arrays have no equals."""
    order = np.random.default_rng(0).permutation(20)
    arrays = shop_arrays()
    plain = ask("x", Fitted(arrays, shop_info()).bundle(), hold_out, NEXT, SPEC)
    moved = relabelled(arrays, order)
    names = [f"item-{i:02d}" for i in order]
    bundle = Fitted(moved, shop_info()).bundle()
    assert bundle.catalogue.ids.ids.tolist() == names
    other = ask("x", bundle, hold_out, NEXT, SPEC)
    for name, values in plain.scores.items():
        assert other.scores[name] == pytest.approx(values)
