"""Which answers of the log an off-policy evaluation looks at, and the placements they came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feature_store.experiment_folder import known_experiment
from feature_store.layout import StoreLayout
from feature_store.records import DecisionRecord
from recommender.errors import InvalidInputError
from recommender.explore_settings import NO_SCHEME
from recommender.placement_overrides import overridden
from recommender.placements import Placement


@dataclass(frozen=True, slots=True)
class Part:
    """The part of the log that is looked at.

    Parameters
    ----------
    experiment, arm
        Only answers in this arm of this experiment, asked at the placements as the arm changes
        them; arm None: any, where all of them change the same. Experiment None: all answers.
    as_of
        Only answers before, microseconds since the epoch; None: all.
    """

    experiment: str | None = None
    arm: str | None = None
    as_of: int | None = None

    def __post_init__(self) -> None:
        if self.arm is not None and self.experiment is None:
            raise InvalidInputError(f"arm {self.arm!r} of no experiment; accepted: both, or none")

    def placements(
        self, base: Mapping[str, Placement], layout: StoreLayout
    ) -> Mapping[str, Placement]:
        """Placements as they were for these answers.

        Raises
        ------
        DataError
            There is no such experiment.
        InvalidInputError
            There is no such arm, or it is not named and arms change different things.
        """
        if self.experiment is None:
            return base
        spec = known_experiment(layout.experiments, self.experiment).spec
        arms = spec.arms if self.arm is None else [spec.arm(self.arm)]
        tables = [arm.placement for arm in arms]
        if any(table != tables[0] for table in tables):
            names = ", ".join(arm.key for arm in arms)
            raise InvalidInputError(
                f"arms of {self.experiment} change placements in different ways; accepted: the "
                f"name of one: {names}"
            )
        return {
            name: overridden(place, tables[0]) if spec.runs_at(name) else place
            for name, place in base.items()
        }

    def answers(
        self, records: Sequence[object], placements: Mapping[str, Placement]
    ) -> tuple[list[DecisionRecord], dict[str, int]]:
        """Answers that may be looked at, and how many of the log are or are not."""
        counts, kept = Counter[str](), list[DecisionRecord]()
        for record in records:
            if not isinstance(record, DecisionRecord):
                continue
            reason = self._left_out(record, placements)
            counts[reason or "answers that left something to chance"] += 1
            if reason is None:
                kept.append(record)
        return kept, dict(counts)

    def _left_out(self, record: DecisionRecord, placements: Mapping[str, Placement]) -> str | None:
        reasons = (
            (
                self.as_of is not None and record.ts_server >= self.as_of,
                "left out: later",
            ),
            (record.qa, "left out: tests"),
            (not self._is_in(record), "left out: not in the experiment"),
            (record.surface not in placements, "left out: unknown placement"),
            (not record.items, "left out: empty"),
            (record.explore.scheme == NO_SCHEME, "left out: nothing left to chance"),
        )
        return next((reason for is_so, reason in reasons if is_so), None)

    def _is_in(self, record: DecisionRecord) -> bool:
        return self.experiment is None or any(
            each.experiment == self.experiment
            and each.in_experiment
            and self.arm in (None, each.variant)
            for each in record.assignments
        )
