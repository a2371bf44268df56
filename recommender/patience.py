"""How long an answer may take: a stage that would begin too late is left out, and is noted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Patience:
    """The time that the one who asks has.

    A stage that has begun is not stopped: it takes a fraction of a millisecond.

    Parameters
    ----------
    is_over
        Whether the time is up; asked before each stage.
    skipped
        The stages that were left out, in their order.
    """

    is_over: Callable[[], bool]
    skipped: list[str] = field(default_factory=list)

    def runs_out(self, stage: str) -> bool:
        """Whether it is too late for a stage; if so, the stage is noted as left out."""
        if self.is_over():
            self.skipped.append(stage)
            return True
        return False


ENDLESS: Final = Patience(lambda: False)
