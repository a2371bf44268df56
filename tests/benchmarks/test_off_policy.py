from __future__ import annotations

from benchmarks.off_policy import World, beyond_support, reordering, simulate, swapped


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
