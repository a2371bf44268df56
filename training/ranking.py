"""Teach the ranker: ask the candidate sources of an earlier model, and learn from what came next.

The features are computed by `recommender.features`, the code that serves, on the candidates that
the serving pipeline would hand to the ranker: same rules, same blend, same number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from recommender.bundle import ModelBundle
from recommender.bundle_manifest import RankerInfo
from recommender.features import FeatureMaker
from recommender.pipeline import find_seeds, propose, shortlisted
from recommender.placements import Placement
from recommender.ranker import (
    NEXT_STEP,
    PURCHASE_HEAD,
    arranged,
    columns_of,
    feature_maker,
)
from recommender.ranking import blend
from recommender.rules import eligible_items
from recommender.terms import Float32Array, Int32Array
from training.fitting import Fitted
from training.models.feature_file import FeatureFile
from training.models.item_stats import STAT_NAMES
from training.models.ranker import LEVELS, Lesson, TaughtHead, is_answerable, teach
from training.questions import Question
from training.sections import RankerSpec

HEADS = (NEXT_STEP, PURCHASE_HEAD)


@dataclass(frozen=True, slots=True)
class Taught:
    """A ranker, and how it came about.

    Parameters
    ----------
    heads
        By what they predict.
    asked, without_candidates
        Questions that were asked, and those of them to which no source proposed anything.
    """

    info: RankerInfo
    heads: Mapping[str, TaughtHead]
    asked: int
    without_candidates: int

    @property
    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The trees of all heads, as a bundle has them."""
        return {name: each for head in self.heads.values() for name, each in head.arrays.items()}

    @property
    def metrics(self) -> dict[str, float]:
        """Flat figures for the run."""
        flat: dict[str, float] = {
            "ranker_asked": self.asked,
            "ranker_without_candidates": self.without_candidates,
        }
        for head, taught in self.heads.items():
            flat |= {
                f"ranker_{head}_trees": taught.rounds,
                f"ranker_{head}_learnt_from": taught.questions[0],
                f"ranker_{head}_kept_aside": taught.questions[1],
                f"ranker_{head}_ndcg_at_20": max(taught.curve),
            }
        return flat

    @property
    def summary(self) -> dict[str, object]:
        """What the trees look at, and how they were grown."""
        return {
            "candidates": self.info.candidates,
            "shortlist": dict(self.info.shortlist),
            "importance": {head: dict(each.importance) for head, each in self.heads.items()},
            "curve": {head: list(each.curve) for head, each in self.heads.items()},
        }

    def added_to(self, model: Fitted) -> Fitted:
        """The model with this ranker."""
        info = replace(model.info, ranker=self.info)
        return replace(model, arrays={**model.arrays, **self.arrays}, info=info)


class Classroom:
    """Collects lessons from one or several models, each asked about what came after it.

    Parameters
    ----------
    shortlist
        Weight of each source in the score by which candidates are chosen.
    file
        Where features are kept, open until all is taught.
    """

    def __init__(
        self,
        placement: Placement,
        spec: RankerSpec,
        shortlist: Mapping[str, float],
        file: FeatureFile,
        threads: int,
    ) -> None:
        self._placement, self._spec, self._shortlist = placement, spec, dict(shortlist)
        self._file, self._threads = file, threads
        self._lessons: dict[str, list[Lesson]] = {head: [] for head in HEADS}
        self._names: tuple[str, ...] = ()
        self._asked = self._unanswered = 0

    @property
    def asked(self) -> int:
        """Questions so far."""
        return self._asked

    def ask(
        self,
        model: Fitted,
        questions: Iterable[Question],
        on_question: Callable[[], None] = lambda: None,
    ) -> None:
        """Put questions before a model that knows nothing of their period."""
        bundle = model.bundle()
        maker = feature_maker(bundle.arrays, bundle.catalogue, bundle.sources, STAT_NAMES)
        self._names = self._names or maker.names
        columns = columns_of(self._names, maker.names)
        # One thread: small systems are solved here, and BLAS threads would wait for each other.
        with threadpool_limits(1, "blas"):
            for question in questions:
                self._asked += 1
                if (found := self._answer(bundle, maker, question)) is None:
                    self._unanswered += 1
                else:
                    self._keep(*found, columns)
                on_question()

    def _keep(
        self, features: Float32Array, levels: Mapping[str, Int32Array], columns: Int32Array
    ) -> None:
        # Most questions cannot be answered for the purchase: nothing was bought after them.
        answerable = {head: each for head, each in levels.items() if is_answerable(each)}
        if answerable:
            rows = self._file.append(arranged(features, columns))
            for head, each in answerable.items():
                self._lessons[head].append(Lesson(rows, each))

    def teach(self) -> Taught | None:
        """Grow the trees; None where there were too few questions for the next step.

        Purchases are few: what is bought is learnt as a correction of what comes next.
        """
        if (step := self._taught(NEXT_STEP)) is None:
            return None
        heads = {NEXT_STEP: step}
        if purchase := self._taught(PURCHASE_HEAD, step):
            heads[PURCHASE_HEAD] = purchase
        info = RankerInfo(self._names, STAT_NAMES, self._spec.candidates, self._shortlist)
        return Taught(info, heads, self._asked, self._unanswered)

    def _taught(self, head: str, onto: TaughtHead | None = None) -> TaughtHead | None:
        lessons = self._lessons[head]
        return teach(lessons, head, self._names, self._spec, self._threads, onto)

    def _answer(
        self, bundle: ModelBundle, maker: FeatureMaker, question: Question
    ) -> tuple[Float32Array, dict[str, Int32Array]] | None:
        eligibility = eligible_items(question.query, bundle.catalogue, self._placement)
        _, seeds = find_seeds(question.query, bundle, self._placement)
        proposed = propose(seeds, bundle, self._placement, eligibility)
        blended = blend(proposed, self._shortlist, self._spec.candidates, of_all=True)
        shortlist = shortlisted(blended)
        if not len(shortlist.item_idx):
            return None
        index = bundle.catalogue.ids.index
        levels = {
            head: _levels(
                shortlist.item_idx, {index(name): worth for name, worth in worths.items()}
            )
            for head, worths in (
                (NEXT_STEP, question.next_step),
                (PURCHASE_HEAD, question.purchase),
            )
        }
        return maker.features(shortlist, seeds), levels


def _levels(item_idx: Int32Array, worths: Mapping[int | None, float]) -> Int32Array:
    """What each candidate is worth in whole levels; what is right at all is worth at least one."""
    levels = np.zeros(len(item_idx), np.int32)
    for item, worth in worths.items():
        if item is not None:
            levels[item_idx == item] = max(1, round(worth * LEVELS)) if worth else 0
    return levels
