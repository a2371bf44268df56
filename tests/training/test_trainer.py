from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recommender.bundle import save_bundle
from recommender.candidates.als import AlsSource
from recommender.errors import DataError
from recommender.placements import Placement
from recommender.terms import VIEW_ITEM, VIEW_ITEM_LIST
from tests.factories import DAY, SECOND, START, Did, checkerboard, write_log
from training.engines.local import LocalEngine
from training.evaluation.offline import answers
from training.sections import AcceptanceSpec, RankerSpec
from training.spec import TrainingSpec, parse_spec
from training.stages import Stages
from training.trainer import Trained, Trainer

NEXT = Placement("next", exclude=("dismissed",))
SPEC = parse_spec(
    {
        "als": {"factors": 4, "iterations": 5},
        "blend": {"restarts": 2, "min_users": 10},
        "evaluation": {"k": [3, 5], "bootstrap_rounds": 200},
        "split": {"validation_days": 8, "test_days": 8},
        "encoder": {"factors": 8, "epochs": 1, "min_steps": 30},
        "ranker": {
            "more_cuts": 0,
            "candidates": 12,
            "rounds": 15,
            "leaves": 4,
            "min_leaf": 5,
            "min_questions": 20,
        },
    }
)


def train(
    root: Path, done: list[Did], spec: TrainingSpec = SPEC, as_of: int | None = None
) -> Trained:
    workspace = root / "work"
    workspace.mkdir(parents=True)
    layout = write_log(root / "store", done)
    return Trainer(LocalEngine(), spec, NEXT, workspace).train(layout, as_of)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train(tmp_path_factory.mktemp("checkerboard"), checkerboard())


def colour(shopper: str, item: str) -> bool:
    return (int(shopper[-2:]) + int(item[-2:])) % 2 == 0


def test_each_shopper_is_recommended_items_of_the_own_colour(trained: Trained) -> None:
    rankings = answers(trained.judged.bundle(), trained.test, NEXT, 5)
    assert len(rankings) == 40
    for shopper, ranking in zip(trained.test.shopper_ids, rankings, strict=True):
        assert all(colour(shopper, item) for item in ranking), (shopper, ranking)


def test_the_blend_beats_popularity_beyond_doubt(trained: Trained) -> None:
    report = trained.report
    assert report.beats("popularity")
    assert report.variant("blend").metrics["recall@5"].mean > 0.9
    assert report.variant("popularity").metrics["recall@5"].mean < 0.7


def test_the_arrays_are_as_the_bundle_wants_them(trained: Trained, tmp_path: Path) -> None:
    for name, array in trained.model.arrays.items():
        assert array.dtype.name in {"float32", "float64", "int32", "int64", "uint8", "bool"}, name
        assert np.isfinite(array).all(), name
    manifest = save_bundle(tmp_path / "bundle", trained.model.arrays, trained.model.info)
    assert manifest.info.window_start < manifest.info.window_end
    assert manifest.info.config == SPEC.resolved
    assert set(manifest.info.sources) == {
        "als",
        "item_knn",
        "linear",
        "view_view",
        "seen_together",
        "two_steps",
        "embedding",
        "encoder",
        "session_knn",
        "session_knn_near",
        "view_cart",
        "cart_purchase",
        "purchase_purchase",
        "returns",
        "popularity",
        "popular_in_category",
        "content",
        "buy_again",
    }
    assert manifest.info.blend.keys() == manifest.info.sources.keys()


def test_the_same_log_and_spec_give_the_same_digest(trained: Trained, tmp_path: Path) -> None:
    """Also when the rows come in another order: the table is the same, and so is the model."""
    rows = checkerboard()
    np.random.default_rng(0).shuffle(rows)  # type: ignore[arg-type]
    again = train(tmp_path, rows)
    assert again.model.info.blend == trained.model.info.blend
    one = save_bundle(tmp_path / "one", trained.model.arrays, trained.model.info)
    two = save_bundle(tmp_path / "two", again.model.arrays, again.model.info)
    assert one.digest == two.digest
    assert trained.report == again.report


def same_arrays(one: Trained, other: Trained, part: Callable[[Trained], object]) -> None:
    a, b = part(one), part(other)
    assert a.arrays.keys() == b.arrays.keys()  # type: ignore[attr-defined]
    for name, array in a.arrays.items():  # type: ignore[attr-defined]
        assert array.tobytes() == b.arrays[name].tobytes(), name  # type: ignore[attr-defined]


def test_shuffling_the_future_changes_nothing_that_was_learnt_before(
    trained: Trained, tmp_path: Path
) -> None:
    """Leakage: blend and judged model must not move whatever happens in the test period."""
    cut, end = trained.cuts.test, trained.cuts.end
    past = [did for did in checkerboard() if did.ts < cut]
    rng = np.random.default_rng(1)
    future = [
        Did(f"shopper-{int(rng.integers(60)):02d}", f"item-{int(rng.integers(30)):02d}", ts)
        for ts in rng.integers(cut, end, 300).tolist()
    ]
    other = train(tmp_path, [*past, *future, Did("shopper-00", "item-00", end - 1)])
    assert (other.cuts.validation, other.cuts.test) == (trained.cuts.validation, cut)
    same_arrays(trained, other, lambda each: each.judged)
    assert "forest_next_step_leaf" in other.judged.arrays
    assert other.judged.info.ranker == trained.judged.info.ranker
    assert other.judged.info.blend == trained.judged.info.blend
    assert other.judged.info.window_end == trained.judged.info.window_end
    assert other.report != trained.report


def test_what_the_future_deletes_changes_nothing_that_was_learnt_before(
    trained: Trained, tmp_path: Path
) -> None:
    """Ranker, blend and judged model are the same bytes with an almost empty test period."""
    cut, end = trained.cuts.test, trained.cuts.end
    past = [did for did in checkerboard() if did.ts < cut]
    last = [Did("shopper-00", f"item-{item:02d}", end - 1) for item in range(12)]
    other = train(tmp_path, [*past, *last])
    assert other.cuts == trained.cuts
    one = save_bundle(tmp_path / "one", trained.judged.arrays, trained.judged.info)
    two = save_bundle(
        tmp_path / "two",
        other.judged.arrays,
        replace(other.judged.info, data_digest=trained.judged.info.data_digest),
    )
    assert one.digest == two.digest
    assert trained.ranker is not None
    assert other.ranker is not None
    assert other.ranker.heads["next_step"].curve == trained.ranker.heads["next_step"].curve


def test_the_trees_order_both_models(trained: Trained) -> None:
    assert trained.ranker is not None
    assert set(trained.ranker.heads) == {"next_step", "purchase"}
    assert trained.ranker.asked > trained.ranker.without_candidates >= 0
    for model in (trained.model, trained.judged):
        assert model.bundle().ranker is not None
        assert trained.ranker.arrays.keys() <= model.arrays.keys()


def test_without_a_ranker_the_blend_decides(tmp_path: Path) -> None:
    spec = replace(SPEC, ranker=replace(SPEC.ranker, learn=False))
    found = train(tmp_path, checkerboard(), spec)
    assert found.ranker is None
    assert found.model.info.ranker is None
    assert not any(name.startswith("forest") for name in found.model.arrays)


def test_training_as_of_a_moment_is_training_before_the_rest_happened(tmp_path: Path) -> None:
    moment = START + 42 * DAY
    early = [did for did in checkerboard() if did.ts < moment]
    then = train(tmp_path / "then", early, as_of=moment)
    later = train(tmp_path / "later", checkerboard(), as_of=moment)
    same_arrays(then, later, lambda each: each.model)
    assert then.model.info == later.model.info
    assert then.report == later.report


def test_relabelling_shoppers_only_permutes_the_answers(trained: Trained, tmp_path: Path) -> None:
    """Shoppers are renamed so that their order turns round; what is counted stays as it is."""
    moved = train(
        tmp_path,
        [
            replace(did, shopper=f"shopper-{99 - int(did.shopper[-2:]):02d}")
            for did in checkerboard()
        ],
    )
    for name, array in trained.model.arrays.items():
        other = moved.model.arrays[name]
        if name in {"item_factors", "factor_inverse"} or name.startswith("forest"):
            continue  # the factors start at random by row, and trees learn from random moments
        if array.dtype.kind == "f":
            assert other == pytest.approx(array, rel=1e-5, abs=1e-7), name
        elif not name.endswith("_idx"):
            assert np.array_equal(other, array), name
    scores = {
        shopper[-2:]: values
        for shopper, values in zip(trained.test.shopper_ids, trained.test.targets, strict=True)
    }
    for shopper, wanted in zip(moved.test.shopper_ids, moved.test.targets, strict=True):
        assert scores[f"{99 - int(shopper[-2:]):02d}"] == wanted


def test_a_log_of_views_alone_has_only_the_sources_it_can_fill(tmp_path: Path) -> None:
    views = [replace(did, category=None) for did in checkerboard() if did.event_type == VIEW_ITEM]
    found = train(tmp_path, views)
    names = {
        "als",
        "item_knn",
        "linear",
        "view_view",
        "seen_together",
        "two_steps",
        "embedding",
        "encoder",
        "session_knn",
    }
    names |= {"session_knn_near", "returns", "popularity"}
    assert set(found.model.info.sources) == names
    assert set(found.model.info.blend) == names


def test_fixed_weights_are_used_as_they_are(tmp_path: Path) -> None:
    weights = {"als": 0.25, "returns": 1.0}
    spec = replace(SPEC, blend=parse_spec({"blend": {"learn": False, "weights": weights}}).blend)
    assert dict(train(tmp_path, checkerboard(), spec).model.info.blend) == weights


def test_with_too_few_known_shoppers_the_weights_of_the_spec_are_used(tmp_path: Path) -> None:
    spec = replace(SPEC, blend=replace(SPEC.blend, min_users=41))
    blend = train(tmp_path, checkerboard(), spec).model.info.blend
    assert blend == {name: weight for name, weight in spec.blend.weights if name in blend}


def test_a_source_that_the_placement_does_not_ask_keeps_the_weight_of_the_spec(
    tmp_path: Path,
) -> None:
    layout = write_log(tmp_path / "store", checkerboard())
    place = Placement("next", sources=("als", "returns"))
    trained = Trainer(LocalEngine(), SPEC, place, tmp_path).train(layout)
    fixed, learnt = dict(SPEC.blend.weights), trained.model.info.blend
    silent = learnt.keys() - {"als", "returns"}
    assert "view_view" in silent
    assert {name: learnt[name] for name in silent} == {name: fixed[name] for name in silent}
    assert max(learnt["als"], learnt["returns"]) == 1


def test_regularisation_that_grows_with_the_history_reaches_the_service(tmp_path: Path) -> None:
    als = replace(SPEC.als, frequency_exponent=0.5, regularization=0.2)
    found = train(tmp_path, checkerboard(), replace(SPEC, als=als))
    source = found.model.bundle().sources["als"]
    assert isinstance(source, AlsSource)
    assert (source.regularization, source.frequency_exponent) == (0.2, 0.5)
    assert found.report.variant("als").metrics["recall@5"].mean > 0.75


def test_a_log_that_cannot_be_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="too short to be split"):
        train(tmp_path, [Did("ann", "a", START)])


def test_stages_are_named_once_each(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    stages = Stages()
    layout = write_log(tmp_path / "store", checkerboard(10, 8))
    Trainer(LocalEngine(), SPEC, NEXT, tmp_path / "work", stages.stage).train(layout)
    names = [cost.stage for cost in stages.costs]
    learning = ["window", "fit_to_learn", "blend", "ask_1", "fit_to_learn_2", "ask_2", "teach"]
    assert names[: len(learning) + 2] == [*learning, "fit_to_judge", "evaluate"]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("max_questions", "asked"), [(10, 1), (10_000, 3)])
def test_few_questions_are_eked_out_with_earlier_ones(
    tmp_path: Path, max_questions: int, asked: int
) -> None:
    (tmp_path / "work").mkdir()
    stages = Stages()
    layout = write_log(tmp_path / "store", checkerboard())
    ranker = replace(SPEC.ranker, cuts=1, more_cuts=2, max_questions=max_questions)
    split = replace(SPEC.split, validation_days=3, test_days=3)
    spec = replace(SPEC, ranker=ranker, split=split)
    Trainer(LocalEngine(), spec, NEXT, tmp_path / "work", stages.stage).train(layout)
    names = [cost.stage for cost in stages.costs]
    assert [name for name in names if name.startswith("ask_")] == [
        f"ask_{number}" for number in range(1, asked + 1)
    ]


def test_promises_are_held_against_what_came_in_the_test_period(tmp_path: Path) -> None:
    views = [each for each in checkerboard() if each.event_type == VIEW_ITEM]
    shown = [
        Did(each.shopper, each.item, each.ts - SECOND, VIEW_ITEM_LIST, placement="home")
        for each in views
    ]
    # Whoever has an even number comes from the list, the others some other way.
    done = [
        replace(each, recommendation_id="r") if int(each.shopper[-2:]) % 2 == 0 else each
        for each in views
    ]
    spec = replace(SPEC, acceptance=AcceptanceSpec(min_clicks=10))
    trained = train(tmp_path, [*shown, *done], replace(spec, ranker=RankerSpec(learn=False)))
    period = trained.cuts.test_period
    inside = [each for each in shown if period.start <= each.ts < period.end]
    assert trained.expectation["expectation_shown"] == len(inside)
    assert trained.expectation["expectation_predicted"] == pytest.approx(0.5, rel=0.1)
    assert abs(trained.expectation["expectation_gap"]) < 0.2
    assert trained.model.bundle().promised("home")
