"""A search whose best settings are known, in a process that can be killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from training.spec import TrainingSpec
from training.tuning import Limits, Search


@dataclass
class KnownJudge:
    """More factors, less alpha: better. Kills its process at the second look of a trial."""

    killed_at: int | None = None
    data_digest: str = "0" * 64
    asked: int = 0
    cuts: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(validation=0))
    placement: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(name="next"))
    judge: str = "aaa"
    confirm: str = "aaa"

    def value(self, spec: TrainingSpec, report: Callable[[int, float], None]) -> float:
        value = spec.als.factors / 256 - spec.als.alpha / 100 + spec.item_knn.b / 50
        for step in range(4):
            report(step, value)
            if self.asked == self.killed_at and step == 1:
                os.kill(os.getpid(), signal.SIGKILL)
        self.asked += 1
        return value


def search(path: Path, judge: KnownJudge, trials: int, **limits: object) -> Search:
    settings = {"timeout_seconds": None, "seed": 7} | limits
    return Search(path, judge, TrainingSpec(), Limits(trials, **settings))  # type: ignore[arg-type]


if __name__ == "__main__":
    search(Path(sys.argv[1]), KnownJudge(int(sys.argv[2])), 16).run(lambda _: None)
