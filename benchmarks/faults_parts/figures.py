"""What a fault did to the answers, and what the log has of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from benchmarks.open_loop import Outcome
from feature_store.event_log import LogReader
from feature_store.layout import StoreLayout
from feature_store.records import DecisionRecord, EventRecord
from recommender.sample_ratio import chi_square_tail

MAX_P99_GAP_MS: Final = 20.0
MAX_OPEN_SECONDS: Final = 1.0
MAX_RECOVERY_SECONDS: Final = 5.0
MAX_LOSS_SHARE: Final = 0.0001


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one stretch of load.

    Parameters
    ----------
    valid
        Requests; all of them are valid.
    good
        Answered 200 or 202, at the first try.
    retried
        Answered only after their first connection broke.
    refused
        How often each other status was answered; 0 stands for no answer.
    """

    valid: int
    good: int
    retried: int
    p50_ms: float
    p99_ms: float
    events_p99_ms: float
    refused: Mapping[int, int]

    @property
    def availability(self) -> float:
        """Share of good ones."""
        return self.good / self.valid if self.valid else 0.0


def answers(outcomes: Iterable[Outcome], asked: str) -> Answers:
    """Figures of a stretch; `asked` is the kind whose latencies are those of the service."""
    found = list(outcomes)
    own = [each.ms for each in found if each.question.kind == asked] or [float("nan")]
    others = [each.ms for each in found if each.question.kind != asked] or [float("nan")]
    good = [each for each in found if each.status in (200, 202)]
    return Answers(
        valid=len(found),
        good=sum(each.tries == 1 for each in good),
        retried=sum(each.tries > 1 for each in good),
        p50_ms=round(float(np.percentile(own, 50)), 2),
        p99_ms=round(float(np.percentile(own, 99)), 2),
        events_p99_ms=round(float(np.percentile(others, 99)), 2),
        refused=dict(Counter(each.status for each in found if each.status not in (200, 202))),
    )


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, beside the normal service right before and after it.

    Parameters
    ----------
    opened_seconds
        From the fault until the last worker asked Redis no more, or had noticed that it is empty.
    recovered_seconds
        From the end of the fault until the last worker asked again; where Redis was emptied, until
        it knew the whole log again.
    """

    name: str
    seconds: float
    normal: Answers
    during: Answers
    opened_seconds: float
    recovered_seconds: float | None

    @property
    def gap_ms(self) -> float:
        """How much later the 99th percentile came."""
        return round(self.during.p99_ms - self.normal.p99_ms, 2)

    def failures(self) -> list[str]:
        """Targets that were missed."""
        missed = []
        if self.during.availability < 1:
            missed.append(f"{self.name}: availability {self.during.availability:.5f}, wanted 1")
        if self.gap_ms > MAX_P99_GAP_MS:
            missed.append(f"{self.name}: p99 {self.gap_ms:+.1f} ms, wanted up to +20")
        if self.opened_seconds > MAX_OPEN_SECONDS:
            missed.append(f"{self.name}: noticed after {self.opened_seconds:.2f} s, wanted 1")
        if self.recovered_seconds is None or self.recovered_seconds > MAX_RECOVERY_SECONDS:
            missed.append(f"{self.name}: recovered after {self.recovered_seconds} s, wanted 5")
        return missed

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        availability = self.during.availability
        return asdict(self) | {"gap_ms": self.gap_ms, "availability": availability}


@dataclass(frozen=True, slots=True)
class Kept:
    """What the log has of what was acknowledged and answered.

    Parameters
    ----------
    events, events_lost
        Acknowledged; of these not in the log.
    decisions, decisions_lost
        Answered questions by arm; of these without a decision record. A record whose answer never
        arrived is no loss.
    p_equal
        Chi-square p that both arms lose alike; 1 where nothing is lost.
    """

    events: int
    events_lost: int
    decisions: Mapping[str, int]
    decisions_lost: Mapping[str, int]
    p_equal: float
    degraded: int

    @property
    def loss_share(self) -> float:
        """Of the answered questions."""
        return sum(self.decisions_lost.values()) / max(1, sum(self.decisions.values()))

    def failures(self) -> list[str]:
        """Targets that were missed."""
        missed = [f"{self.events_lost} acknowledged events lost"] if self.events_lost else []
        if self.loss_share > MAX_LOSS_SHARE:
            missed.append(f"decision records lost: {self.loss_share:.5%}, wanted up to 0.01 %")
        if self.p_equal < 0.01:
            missed.append(f"arms lose unequally: p {self.p_equal:.4f}")
        return missed

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {"loss_share": self.loss_share}


def kept(root: Path, outcomes: Iterable[Outcome], experiment: str) -> Kept:
    """Compare what callers were told with what is in the log."""
    records = [entry.record for entry in LogReader(StoreLayout(root).log)]
    decided = {each.decision_id: each for each in records if isinstance(each, DecisionRecord)}
    events = {each.event.event_id for each in records if isinstance(each, EventRecord)}
    told, told_lost = 0, 0
    answered, lost = Counter[str](), Counter[str]()
    for outcome in outcomes:
        if outcome.status == 202:
            told += 1
            told_lost += outcome.question.name not in events
        elif outcome.status == 200:
            recommendation, arm = _read(outcome.body, experiment)
            answered[arm] += 1
            lost[arm] += recommendation not in decided
    degraded = sum(each.degraded_reason is not None for each in decided.values())
    p_equal = equal_loss(answered, lost)
    return Kept(told, told_lost, dict(answered), dict(lost), p_equal, degraded)


def equal_loss(answered: Mapping[str, int], lost: Mapping[str, int]) -> float:
    """Chi-square p of the table arm x (kept, lost); 1 where there is nothing to compare.

    Pearson's statistic: sum over cells of (observed - expected)^2 / expected.
    """
    share = sum(lost.values()) / max(1, sum(answered.values()))
    arms = [arm for arm, count in answered.items() if count]
    if not 0 < share < 1 or len(arms) < 2:
        return 1.0
    statistic = sum(
        (lost.get(arm, 0) - answered[arm] * share) ** 2 / (answered[arm] * share * (1 - share))
        for arm in arms
    )
    return chi_square_tail(statistic, len(arms) - 1)


def _read(body: bytes, experiment: str) -> tuple[str, str]:
    answer = msgspec.json.decode(body)
    arms = [each["variant"] for each in answer["assignments"] if each["experiment"] == experiment]
    return answer["recommendation_id"], arms[0] if arms else "none"


def last_of(moments: Sequence[float], workers: int, since: float) -> float | None:
    """Seconds until the last of the workers said something; None while one has not."""
    return round(moments[workers - 1] - since, 3) if len(moments) >= workers else None
