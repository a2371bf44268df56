from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import training.ranking
from recommender.bundle_manifest import BundleInfo
from recommender.placements import Placement
from recommender.query import Query
from recommender.ranker import NEXT_STEP, PURCHASE_HEAD
from tests.bundles import AT, BLEND, shop_arrays, shop_info, shop_visits, viewed, visit_arrays
from training.fitting import Fitted
from training.models.feature_file import FeatureFile
from training.models.item_stats import STAT_NAMES
from training.models.ranker import LEVELS, Lesson, TaughtHead
from training.questions import Question
from training.ranking import Classroom
from training.sections import RankerSpec

SPEC = RankerSpec(candidates=15, rounds=10, leaves=4, min_leaf=3, min_questions=10)
NEXT = Placement("next", exclude=("dismissed",))


def shop(**changes: object) -> Fitted:
    arrays = shop_arrays() | visit_arrays(shop_visits(20), 20)
    stats = np.random.default_rng(0).uniform(0, 1, (20, len(STAT_NAMES)))
    info: BundleInfo = replace(shop_info(), **changes)  # type: ignore[arg-type]
    return Fitted({**arrays, "item_stats": stats.astype(np.float32)}, info)


def question(*session: int, right: str = "", **purchase: float) -> Question:
    bought = {name.replace("_", "-"): worth for name, worth in purchase.items()}
    query = Query(at=AT, placement="next", session=viewed(*session))
    return Question(query, {right: 1.0} if right else {}, bought)


def returning() -> list[Question]:
    """Shoppers who go back to the first thing they saw."""
    return [
        question(a, (a + 2) % 18, right=f"item-{a:02d}", **{f"item_{a:02d}": 0.5})
        for a in range(18)
    ]


@pytest.fixture
def lessons(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Lesson]]:
    """What each head is taught, instead of teaching it."""
    seen: dict[str, list[Lesson]] = {}

    def teach(given: list[Lesson], head: str, *_: object) -> TaughtHead | None:
        seen[head] = given
        return TaughtHead({}, (0, 0), 0, (0.0,), {}) if head == NEXT_STEP else None

    monkeypatch.setattr(training.ranking, "teach", teach)
    return seen


@pytest.fixture
def classroom(tmp_path: Path) -> Iterator[Classroom]:
    with FeatureFile(tmp_path) as file:
        yield Classroom(NEXT, SPEC, BLEND, file, 1)


def taught_by(classroom: Classroom, questions: Sequence[Question], *models: Fitted) -> Classroom:
    for model in models or (shop(),):
        classroom.ask(model, questions)
    return classroom


def test_what_is_right_has_the_highest_level_and_a_purchase_its_worth(
    classroom: Classroom, lessons: dict[str, list[Lesson]]
) -> None:
    asked = [
        question(2, 4, right="item-02", item_04=0.5, item_02=1 / 1000),
        question(3, right="no-such-item"),
    ]
    found = taught_by(classroom, asked).teach()
    assert found is not None
    assert set(found.heads) == {NEXT_STEP}  # of the purchase nothing was taught
    # The second question cannot be answered: the item is not known.
    (step,), (purchase,) = lessons[NEXT_STEP], lessons[PURCHASE_HEAD]
    assert step.features is purchase.features
    assert len(step.levels) <= SPEC.candidates
    assert sorted(step.levels.tolist())[-2:] == [0, LEVELS]
    # What is right at all is worth at least one level.
    assert sorted(purchase.levels.tolist())[-3:] == [0, 1, LEVELS // 2]


def test_a_stranger_is_asked_but_teaches_nothing(classroom: Classroom) -> None:
    asked = [*returning(), question(right="item-01")]
    found = taught_by(classroom, asked).teach()
    assert found is not None
    assert (found.asked, found.without_candidates) == (19, 1)


def test_each_question_is_reported_as_it_is_put(classroom: Classroom) -> None:
    calls: list[None] = []
    classroom.ask(shop(), returning(), lambda: calls.append(None))
    assert len(calls) == 18


def test_what_was_taught_orders_the_model_it_is_added_to(classroom: Classroom) -> None:
    found = taught_by(classroom, returning()).teach()
    assert found is not None
    assert set(found.heads) == {NEXT_STEP, PURCHASE_HEAD}
    # What is bought is learnt on top of what comes next.
    steps, purchases = (found.arrays[f"forest_{head}_leaf"] for head in (NEXT_STEP, PURCHASE_HEAD))
    assert len(purchases) > len(steps)
    assert purchases[: len(steps)].tobytes() == steps.tobytes()
    assert found.info.stats == STAT_NAMES
    assert found.info.candidates == SPEC.candidates
    model = found.added_to(shop())
    assert model.info.ranker == found.info
    ranker = model.bundle().ranker
    assert ranker is not None
    assert ranker.columns.tolist() == list(range(len(found.info.features)))


def test_with_too_few_questions_there_is_no_ranker(classroom: Classroom) -> None:
    assert classroom.teach() is None
    assert taught_by(classroom, returning()[:5]).teach() is None


def test_models_with_other_sources_teach_the_columns_of_the_first(
    classroom: Classroom, lessons: dict[str, list[Lesson]]
) -> None:
    whole = shop()
    fewer = {name: each for name, each in whole.info.sources.items() if name != "item_knn"}
    blend = {name: each for name, each in whole.info.blend.items() if name != "item_knn"}
    taught_by(classroom, returning(), whole, shop(sources=fewer, blend=blend)).teach()
    given = lessons[NEXT_STEP]
    assert len(given) == 36
    second = np.concatenate([each.features.read() for each in given[18:]])
    names = list(classroom._names)
    assert not second[:, [names.index(f"item_knn.{part}") for part in ("score", "last")]].any()
    assert second[:, names.index("als.last")].any()
