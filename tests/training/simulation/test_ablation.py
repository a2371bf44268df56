"""Policies that do without parts of personalisation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recommender.errors import InvalidInputError
from recommender.fatigue_settings import NO_FATIGUE
from recommender.pace_table import NO_PACE
from recommender.placements import Placement, read_placements
from recommender.terms import ITEM, KINDS, NAVIGATION_KINDS, RESUME
from tests.bundles import shop_bundle
from training.simulation.ablation import ablated, taken_apart
from training.simulation.pipeline import Answering, answering

PLACES = read_placements()
BUNDLE = shop_bundle()


def placements_of(policy: str) -> dict[str, Placement]:
    made = answering(policy, BUNDLE, PLACES)
    assert isinstance(made, Answering)
    return dict(made.placements or {})


def test_each_part_is_taken_away_alone() -> None:
    """A placement without a part differs from the whole one in that part's settings only."""
    for name, place in PLACES.items():
        assert placements_of("file:tireless")[name] == replace(place, fatigue=NO_FATIGUE)
        assert placements_of("file:paceless")[name] == replace(place, pace=NO_PACE)
        assert placements_of("file:doseless")[name] == replace(place, max_changed_share=1.0)
        assert placements_of("file:floorless")[name] == replace(place, path_floor=0.0)
        without = placements_of("file:kindless")[name]
        assert without == replace(
            place, kinds=without.kinds, kind_order=(), at_most=without.at_most
        )
        assert set(without.kinds) <= {ITEM, *NAVIGATION_KINDS}
    assert any(place.fatigue != NO_FATIGUE for place in PLACES.values())
    assert any(place.pace != NO_PACE for place in PLACES.values())
    assert any(place.max_changed_share < 1 for place in PLACES.values())
    assert any(place.kinds != (ITEM,) for place in PLACES.values())
    assert any(place.path_floor > 0 for place in PLACES.values())


def test_several_parts_in_any_order_and_plain_is_all_of_them() -> None:
    assert placements_of("file:tireless:paceless") == placements_of("file:paceless:tireless")
    assert placements_of("file:tireless:paceless") != placements_of("file:tireless")
    every = "path:tireless:doseless:kindless:paceless:floorless"
    assert placements_of("path:plain") == placements_of(every)
    assert {place.objective for place in placements_of("path:plain").values()} == {"path"}


def test_without_kinds_items_and_ways_stay_as_they_are() -> None:
    place = Placement("home", kinds=KINDS, kind_order=(RESUME,), at_most={RESUME: 3, ITEM: 4})
    without = ablated(place, ["kindless"])
    assert without.kinds == (ITEM, *NAVIGATION_KINDS)
    assert (without.kind_order, dict(without.at_most)) == ((), {ITEM: 4})
    # A shelf of one kind becomes a shelf of plain items.
    assert ablated(Placement("again", kinds=(RESUME,)), ["kindless"]).kinds == (ITEM,)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("file:fast", "no part is called 'fast'; accepted behind a policy: :paceless, :kindless"),
        ("file:", "no part is called ''"),
        ("file:tireless:tireless", "taken away twice"),
        ("file:plain:paceless", "taken away twice; .*each once, or :plain alone"),
        ("shop:tireless", "policy 'shop:tireless'; accepted: file, .*behind file, next_step"),
        ("oracle:plain", "policy 'oracle:plain'; accepted"),
        ("guess:plain", "policy 'guess:plain'; accepted: file, next_step"),
    ],
)
def test_what_cannot_be_taken_away_is_refused(policy: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        answering(policy, BUNDLE, PLACES)


def test_a_policy_without_parts_is_whole() -> None:
    assert taken_apart("file") == ("file", ())
    assert placements_of("file") == PLACES
