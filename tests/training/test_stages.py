from __future__ import annotations

import numpy as np
import pytest

from training.stages import Stages


def test_seconds_come_from_the_timer_and_every_stage_is_announced() -> None:
    announced: list[str] = []
    ticks = iter([10.0, 12.5, 20.0, 20.25])
    stages = Stages(announced.append, lambda: next(ticks))
    with stages.stage("one"):
        pass
    with stages.stage("two"):
        pass
    assert announced == ["one", "two"]
    assert [cost.seconds for cost in stages.costs] == [2.5, 0.25]
    assert stages.metrics["stage_one_seconds"] == 2.5
    assert set(stages.costs[0].as_row()) == {"stage", "seconds", "peak MB"}


def test_the_peak_is_that_of_the_stage_and_is_forgotten_after_it() -> None:
    stages = Stages()
    with stages.stage("small"):
        np.ones(1).sum()
    with stages.stage("large"):
        np.ones(40_000_000).sum()  # 320 MB, given back at once
    with stages.stage("after"):
        np.ones(1).sum()
    small, large, after = (cost.peak_mb for cost in stages.costs)
    assert large > small + 250
    assert after < large - 250


def test_a_stage_that_fails_is_not_recorded() -> None:
    stages = Stages()
    with pytest.raises(ZeroDivisionError), stages.stage("broken"):
        _ = 1 / 0
    assert stages.costs == []
