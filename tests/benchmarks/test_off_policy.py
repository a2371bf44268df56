from __future__ import annotations

import numpy as np

from benchmarks.off_policy import (
    World,
    beyond_support,
    reordering,
    simulate,
    simulate_shops,
    swapped,
)
from benchmarks.off_policy_shop import run_world


def test_estimates_are_within_three_standard_errors_of_the_truth() -> None:
    slates, slot = simulate(runs=20, lists=1500, seed=11)
    for tally in (slates, slot):
        assert tally.refused == 0
        for name in tally.hits:
            if name != "DM":  # its model is wrong on purpose
                assert tally.share(name) >= 0.95, name
    assert slot.share("DM") < 0.5


def test_a_policy_outside_the_support_is_refused() -> None:
    assert "100.0% of its mass where logging has none" in (beyond_support(500, 1).refusal or "")


def test_the_target_is_no_copy_of_the_logging_policy() -> None:
    world = World.make(3)
    assert any(swapped(world, context) != [0, 1, 2, 3] for context in range(6))
    log, _ = reordering(world, 3, 600)
    assert 0 < log.target.mean() < 1


def test_in_a_shop_the_truth_is_what_the_policy_itself_earns() -> None:
    asked = run_world(5, 400)
    served, other = asked["served"].slates, asked["other"].slates
    assert len(served) == len(other) > 50
    # The log is the same one; what is asked of it differs, and so does what is true.
    assert np.array_equal(served.reward, other.reward)
    assert not np.array_equal(served.target, other.target)
    assert asked["served"].truth != asked["other"].truth
    # Each policy's lists are among those that logging makes, and logging has no favourite.
    assert served.outside is not None
    assert not served.outside.any()
    assert 0 < served.running_weight[:, -1].mean() < 3
    assert served.propensity.max() < 1


def test_estimates_find_what_happens_in_a_shop() -> None:
    tallies = simulate_shops(runs=2, shoppers=1500, seed=3)
    assert tallies.keys() == {"served", "other"}
    for slates, choices in tallies.values():
        assert len(slates.ess) == len(choices.ess) == 2
        for tally in (slates, choices):
            for name, errors in tally.errors.items():
                assert max(map(abs, errors)) < 0.2, name
