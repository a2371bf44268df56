from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.acceptance import acceptance_arrays, build_acceptance
from training.models.acceptance import ShownItems, learn_acceptance
from training.sections import AcceptanceSpec

SPEC = AcceptanceSpec(min_clicks=1, prior=5, places=4)
PLACEMENTS = ("", "cart", "home")

rows = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 9), st.booleans()), min_size=1, max_size=60
)


def shown(rows: list[tuple[int, int, bool]]) -> ShownItems:
    placement, position, taken = (np.array(part) for part in zip(*rows, strict=True))
    each = np.ones(len(rows), np.int64)
    return ShownItems(PLACEMENTS, placement, position, each, taken.astype(np.int64))


def simulated(rates: dict[int, list[float]], n: int, seed: int = 0) -> ShownItems:
    """n showings of each place of some placements, taken up at given rates."""
    rng = np.random.default_rng(seed)
    made = [
        (placement, place, bool(rng.random() < rate))
        for placement, curve in rates.items()
        for place, rate in enumerate(curve)
        for _ in range(n)
    ]
    return shown(made)


@given(rows)
def test_curves_are_probabilities_that_fall_along_a_list(
    given_rows: list[tuple[int, int, bool]],
) -> None:
    found = learn_acceptance(shown(given_rows), SPEC)
    if not any(taken for _, _, taken in given_rows):
        assert found is None
        return
    assert found is not None
    assert {"", *(PLACEMENTS[p] for p, _, _ in given_rows)} <= found.rows.keys()
    for curve in found.rows.values():
        assert len(curve) == SPEC.places
        assert all(0 < rate <= 1 for rate in curve)
        assert sorted(curve, reverse=True) == list(curve)
    assert build_acceptance(acceptance_arrays(found)) is not None


@given(rows)
def test_the_common_curve_promises_what_was_delivered(
    given_rows: list[tuple[int, int, bool]],
) -> None:
    """Pooling moves showings together and keeps their mean."""
    made = shown(given_rows)
    if (found := learn_acceptance(made, SPEC)) is None:
        return
    promised = sum(found.curve("elsewhere")[min(place, 3)] for place in made.position.tolist())
    assert promised == pytest.approx(made.taken.sum(), abs=1e-4)


def test_each_placement_learns_its_own_curve() -> None:
    truth = {1: [0.10, 0.08, 0.06, 0.04], 2: [0.30, 0.20, 0.10, 0.05]}
    found = learn_acceptance(simulated(truth, 20_000), SPEC)
    assert found is not None
    for placement, curve in truth.items():
        assert found.curve(PLACEMENTS[placement]) == pytest.approx(curve, rel=0.1)


def test_a_placement_hardly_known_takes_the_common_curve() -> None:
    known = simulated({2: [0.30, 0.20, 0.10, 0.05]}, 5_000)
    few = shown([(1, 0, True), (1, 1, False)])
    both = ShownItems(
        PLACEMENTS,
        np.concatenate([known.placement, few.placement]),
        np.concatenate([known.position, few.position]),
        np.concatenate([known.shown, few.shown]),
        np.concatenate([known.taken, few.taken]),
    )
    found = learn_acceptance(both, SPEC)
    assert found is not None
    assert found.curve("cart") == pytest.approx(found.curve("home"), rel=0.25)


def test_far_places_are_one() -> None:
    found = learn_acceptance(shown([(2, 3, True), (2, 50, False)] * 200), SPEC)
    assert found is not None
    assert found.curve("home")[-1] == pytest.approx(0.5, rel=0.1)


def test_only_the_placements_with_the_most_showings_are_kept() -> None:
    made = shown([(0, 0, True)] + [(1, 0, True)] * 5 + [(2, 0, True)] * 9)
    found = learn_acceptance(made, AcceptanceSpec(min_clicks=1, placements=1))
    assert found is not None
    assert found.rows.keys() == {"", "home"}


def test_too_little_taken_up_teaches_nothing() -> None:
    made = simulated({2: [0.5]}, 100)
    assert learn_acceptance(made, AcceptanceSpec(min_clicks=int(made.taken.sum()) + 1)) is None


def test_places_that_were_never_shown_promise_as_their_neighbours() -> None:
    found = learn_acceptance(shown([(2, 1, True), (2, 1, False)] * 200), SPEC)
    assert found is not None
    assert found.curve("home") == pytest.approx([0.5] * 4, rel=0.05)
    assert found.curve("elsewhere") == pytest.approx([0.5] * 4)
