from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender import feature_table, forest
from recommender.bundle import ModelBundle, bundle_of, load_bundle
from recommender.bundle_manifest import BundleInfo, BundleManifest, RankerInfo
from recommender.candidates import past_visits
from recommender.errors import BundleError
from recommender.pipeline import find_seeds, propose, rank, recommend
from recommender.placements import Placement
from recommender.policy import TopPolicy
from recommender.query import Query
from recommender.rules import eligible_items
from recommender.slate import Slate
from tests.bundles import AT, viewed
from tests.forests import named
from tests.rankers import ranked_bundle, ranked_parts, saved_ranked_bundle

RANKED = ranked_bundle(candidates=12)
NEXT = Placement("next", exclude=("dismissed",))


def query(*session: int, **parts: object) -> Query:
    given_parts = {"at": AT, "placement": "next", "session": viewed(*session), "limit": 8} | parts
    return Query(**given_parts)  # type: ignore[arg-type]


def ask(question: Query, bundle: ModelBundle = RANKED, placement: Placement = NEXT) -> Slate:
    return recommend(question, bundle, placement, TopPolicy())


def rankings(question: Query, bundle: ModelBundle, placement: Placement) -> tuple[object, object]:
    """The blend's order and the ranker's, before the ladder fills up."""
    level, seeds = find_seeds(question, bundle, placement)
    eligibility = eligible_items(question, bundle.catalogue, placement)
    proposed = propose(seeds, bundle, placement, eligibility)
    plain = rank(proposed, level, seeds, replace(bundle, ranker=None), placement)
    return plain, rank(proposed, level, seeds, bundle, placement)


objectives = st.sampled_from(["next_step", "purchase", "path"])
sessions = st.lists(st.integers(0, 19), min_size=1, max_size=6)


@settings(deadline=None, max_examples=25)
@given(sessions, objectives, st.sets(st.integers(0, 19), max_size=6))
def test_the_ranker_orders_the_best_of_the_blend_and_adds_nothing(
    session: list[int], objective: str, hidden: set[int]
) -> None:
    excluded = frozenset(f"item-{item:02d}" for item in hidden)
    question = query(*session, exclude_items=excluded)
    placement = replace(NEXT, objective=objective)
    plain, ranked = rankings(question, RANKED, placement)
    best = plain.item_idx[: RANKED.ranker.candidates].tolist()  # type: ignore[union-attr,attr-defined]
    assert sorted(ranked.item_idx.tolist()) == sorted(best)  # type: ignore[attr-defined]
    assert (np.diff(ranked.scores) <= 0).all()  # type: ignore[attr-defined]
    assert (ranked.scores > 0).all()  # type: ignore[attr-defined]
    assert ranked.scores.sum() == pytest.approx(1, abs=1e-5)  # type: ignore[attr-defined]
    source = dict(zip(plain.item_idx.tolist(), plain.listed_origins(), strict=True))  # type: ignore[attr-defined]
    found = zip(ranked.item_idx.tolist(), ranked.listed_origins(), strict=True)  # type: ignore[attr-defined]
    assert all(source[item] == name for item, name in found)
    slate = ask(question, placement=placement)
    shown = [item.item_id for item in slate.items]
    assert len(set(shown)) == len(shown)
    assert not excluded & set(shown)
    assert "item-19" not in shown  # sold out
    scores = [item.score for item in slate.items]
    assert scores == sorted(scores, reverse=True)


def test_the_same_question_has_the_same_answer() -> None:
    assert ask(query(2, 4, 6)) == ask(query(2, 4, 6))
    assert ask(query(2, 4, 6), ranked_bundle(candidates=12)) == ask(query(2, 4, 6))


def test_a_stranger_gets_what_the_ladder_has() -> None:
    slate = ask(Query(at=AT, placement="next", limit=3))
    assert slate.fallback_level == "popular"
    assert [item.item_id for item in slate.items] == ["item-00", "item-01", "item-02"]


def scores_at(bundle: ModelBundle, placement: Placement) -> dict[int, float]:
    _, ranked = rankings(query(2, 4, 7), bundle, placement)
    return dict(zip(ranked.item_idx.tolist(), ranked.scores.tolist(), strict=True))  # type: ignore[attr-defined]


def test_a_path_mixes_the_shares_of_both_heads_by_the_placement() -> None:
    step, purchase = (
        scores_at(RANKED, replace(NEXT, objective=name)) for name in ("next_step", "purchase")
    )
    assert step != purchase
    for share in (0.0, 0.3, 1.0):
        path = scores_at(RANKED, replace(NEXT, objective="path", purchase_share=share))
        mixed = {item: (1 - share) * step[item] + share * purchase[item] for item in step}
        assert path == pytest.approx(mixed, abs=1e-6)


@pytest.mark.parametrize("objective", ["next_step", "purchase", "path"])
def test_a_model_that_knows_one_head_answers_every_objective_with_it(objective: str) -> None:
    only = ranked_bundle(heads=("next_step",), candidates=12)
    expected = scores_at(only, NEXT)
    assert scores_at(only, replace(NEXT, objective=objective)) == expected


def test_scores_stay_positive_however_far_apart_the_trees_put_two_items() -> None:
    arrays, info = ranked_parts(heads=())
    assert info.ranker is not None
    place = info.ranker.features.index("place")
    arrays |= named(
        "next_step",
        feature=[place],
        threshold=[0],
        nan_left=[False],
        left=[-1],
        right=[-2],
        leaf=[1000.0, -1000.0],
        offsets=[0, 1],
    )
    bundle = bundle_of(arrays, BundleManifest.describe(info, {}))
    scores = scores_at(bundle, NEXT)
    assert all(score > 0 for score in scores.values())
    assert max(scores.values()) == pytest.approx(1)


def without_source(info: BundleInfo, name: str) -> BundleInfo:
    sources = {each: value for each, value in info.sources.items() if each != name}
    weights = {each: value for each, value in info.blend.items() if each != name}
    return replace(info, sources=sources, blend=weights)


@pytest.mark.parametrize("name", ["item_knn", "session_knn", "als", "returns"])
def test_a_model_without_a_source_that_the_trees_know_still_answers(name: str) -> None:
    arrays, info = ranked_parts()
    bundle = bundle_of(arrays, BundleManifest.describe(without_source(info, name), {}))
    assert bundle.ranker is not None
    assert (bundle.ranker.columns < 0).any()
    slate = ask(query(2, 4), bundle)
    assert len(slate.items) == 8
    assert all(np.isfinite(item.score) for item in slate.items)


def test_what_a_model_lacks_is_nothing_to_its_trees() -> None:
    """The same trees over a source with an empty list, and over no such source."""
    arrays, info = ranked_parts()
    info = replace(info, blend={**info.blend, "item_knn": 0.0})
    empty = dict(arrays)
    empty["neighbours_item_knn_idx"] = np.full_like(arrays["neighbours_item_knn_idx"], -1)
    empty["neighbours_item_knn_weight"] = np.zeros_like(arrays["neighbours_item_knn_weight"])
    with_it = bundle_of(empty, BundleManifest.describe(info, {}))
    without = bundle_of(arrays, BundleManifest.describe(without_source(info, "item_knn"), {}))
    assert scores_at(with_it, NEXT) == scores_at(without, NEXT)


def test_a_source_that_the_trees_do_not_know_changes_only_who_is_ranked() -> None:
    arrays, info = ranked_parts()
    assert info.ranker is not None
    known = tuple(name for name in info.ranker.features if not name.startswith("content."))
    _, fewer = ranked_parts(heads=())
    taught = replace(fewer, ranker=replace(info.ranker, features=known))
    # Trees over fewer columns: what is beyond them is not asked for.
    arrays = {
        name: np.minimum(each, len(known) - 1) if name.endswith("_feature") else each
        for name, each in arrays.items()
    }
    bundle = bundle_of(arrays, BundleManifest.describe(taught, {}))
    assert len(ask(query(2, 4), bundle).items) == 8


def test_a_saved_ranker_is_loaded_as_it_was(tmp_path: Path) -> None:
    manifest = saved_ranked_bundle(tmp_path / "bundle")
    loaded = load_bundle(tmp_path / "bundle")
    assert loaded.manifest == manifest
    assert loaded.manifest.info.ranker == ranked_parts()[1].ranker
    assert ask(query(2, 4), loaded) == ask(query(2, 4), ranked_bundle())


def test_a_loaded_bundle_runs_the_kernels_that_a_fresh_one_has_compiled(tmp_path: Path) -> None:
    """Loaded arrays are read-only, which numba takes for another type."""
    kernels = (feature_table.filled, past_visits.list_all, forest._score)
    ask(query(2, 4))
    compiled = [len(kernel.signatures) for kernel in kernels]  # type: ignore[attr-defined]
    saved_ranked_bundle(tmp_path / "bundle")
    ask(query(2, 4), load_bundle(tmp_path / "bundle"))
    assert [len(kernel.signatures) for kernel in kernels] == compiled  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays, info: arrays.pop("item_stats"), "item_stats are not there"),
        (
            lambda arrays, info: [
                arrays.pop(name) for name in list(arrays) if name.startswith("forest")
            ],
            "its trees or item_stats are not there",
        ),
        (
            lambda arrays, info: arrays.update(item_stats=arrays["item_stats"][:, :2].copy()),
            r"item_stats \(20, 2\); accepted: one column for each of",
        ),
        (
            lambda arrays, info: arrays.update(
                forest_purchase_feature=arrays["forest_purchase_feature"] + 10_000
            ),
            "forest_purchase_feature: feature 1",
        ),
    ],
)
def test_a_ranker_whose_parts_do_not_fit_is_refused(change: object, message: str) -> None:
    arrays, info = ranked_parts()
    change(arrays, info)  # type: ignore[operator]
    with pytest.raises(BundleError, match=message):
        bundle_of(arrays, BundleManifest.describe(info, {}))


@pytest.mark.parametrize(
    ("ranker", "message"),
    [
        (RankerInfo((), (), 0, {}), "ranker.candidates=0"),
        (RankerInfo((), (), True, {}), "ranker.candidates=True"),
    ],
)
def test_a_manifest_with_a_senseless_ranker_is_refused(ranker: RankerInfo, message: str) -> None:
    info = replace(ranked_parts()[1], ranker=ranker)
    with pytest.raises(BundleError, match=message):
        BundleManifest.from_json(BundleManifest.describe(info, {}).to_json())
