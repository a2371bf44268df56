from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.records import DecisionItem, DecisionRecord, ExploreRecord
from recommender.exploration import Slots
from recommender.explore_settings import ExploreSettings
from recommender.listing import Listing
from recommender.policy import Leeway
from recommender.ranking import Origin
from recommender.terms import PERSONALISED
from tests.training.evaluation.experiment.trial import answer
from training.evaluation.off_policy_marginals import MOST_LISTS, lists_of, marginals_of


def working(scores: list[float], **settings: float) -> tuple[Listing, Leeway]:
    n, own = len(scores), np.array(scores, np.float32).tolist()
    ranking = Listing([*range(n)], own, [Origin("als", PERSONALISED)] * n)
    return ranking, Leeway(ExploreSettings(**settings))  # type: ignore[arg-type]


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=5).map(lambda s: sorted(s, reverse=True)),
    st.integers(1, 3),
    st.floats(0.05, 2),
    st.floats(0.05, 1),
    st.floats(0, 0.9),
)
def test_the_lists_are_all_that_logging_makes(
    scores: list[float], length: int, temperature: float, gap: float, epsilon: float
) -> None:
    ranking, leeway = working(scores, temperature=temperature, gap=gap, epsilon=epsilon, reach=2)
    length = min(length, len(ranking))
    found = lists_of((ranking, leeway), length)
    assert found is not None
    lists, share = found
    assert share.sum() == pytest.approx(1)
    assert len(np.unique(lists, axis=0)) == len(lists)
    for rows, probability in zip(lists.tolist(), share.tolist(), strict=True):
        slots, product = Slots(ranking, length, leeway), 1.0
        for slot, row in enumerate(rows):
            product *= {o.row: o.propensity for o in slots.options(slot)}[row]
            slots.take(row)
        assert probability == pytest.approx(product)


def test_too_many_lists_are_not_gone_through() -> None:
    scores = [1.0] * 12
    assert lists_of(working(scores, temperature=1, gap=1, reach=20), 3) is not None
    assert math.perm(12, 3) <= MOST_LISTS < math.perm(12, 4)
    assert lists_of(working(scores, temperature=1, gap=1, reach=20), 4) is None


def logged(shown: list[int], p: list[float], explore: ExploreRecord) -> DecisionRecord:
    return answer(
        1,
        "v",
        "control",
        1,
        items=tuple(
            DecisionItem(f"i{row}", slot + 1, chance, "als")
            for slot, (row, chance) in enumerate(zip(shown, p, strict=True))
        ),
        candidates=tuple((f"i{row}", 1.0) for row in range(3)),
        explore=explore,
    )


NEAR_TIES = ExploreRecord("near_ties", 0.0, 1.0, 5, (1, 2), 1.0, 1)
SLOT = ExploreRecord("slot", 0.3, 0.0, 5, (2,), 0.0, 1)


def test_of_near_ties_each_slot_has_a_probability_of_its_own() -> None:
    # Three equal items in two slots: each of six lists is as likely, each item in each slot too.
    found = marginals_of(logged([1, 0], [1 / 3, 1 / 2], NEAR_TIES), ["i1", "i2"])
    assert found is not None
    assert found.propensity == pytest.approx([1 / 3, 1 / 3])
    # Worked out by hand for lists of two of three: u has a mean of 1 over the six lists.
    weights = []
    for shown in ([0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]):
        each = marginals_of(logged(shown, [1 / 3, 1 / 2], NEAR_TIES), ["i1", "i2"])
        assert each is not None
        weights.append(each.weight)
    assert np.mean(weights) == pytest.approx(1)
    assert max(weights) == weights[3]


def test_one_exploring_slot_is_independent_of_the_others() -> None:
    found = marginals_of(logged([0, 2], [1.0, 0.3], SLOT), ["i0", "i1"])
    assert found is not None
    assert found.propensity == pytest.approx([1.0, 0.3])
    assert found.weight == pytest.approx(1 + (1 - 1) + (0 - 1))
    same = marginals_of(logged([0, 1], [1.0, 0.7], SLOT), ["i0", "i1"])
    assert same is not None
    assert same.weight == pytest.approx(1 / 0.7)


def test_what_a_record_does_not_tell_is_not_made_up() -> None:
    assert marginals_of(logged([1, 0], [0.9, 0.5], NEAR_TIES), ["i1", "i2"]) is None


def test_what_logging_never_shows_has_no_weight() -> None:
    record = logged([1, 0], [1 / 3, 1 / 2], NEAR_TIES)
    outside, short = (marginals_of(record, each) for each in (["i1", "elsewhere"], ["i1"]))
    assert outside is not None
    assert short is not None
    assert outside.propensity == pytest.approx([1 / 3, 1 / 3])
    assert outside.weight == pytest.approx(short.weight)
