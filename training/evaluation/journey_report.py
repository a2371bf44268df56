"""What replayed journeys said, as data: JSON for machines, Markdown for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from training.evaluation.bootstrap import Interval
from training.evaluation.report import markdown_table


class PathFigures(msgspec.Struct, frozen=True):
    """What one way to answer would have saved.

    Parameters
    ----------
    steps_saved
        Mean per journey.
    share_of_first_sight
        Sum of the steps saved / sum of the first sights; None where every first sight is 0.
    shortened
        Share of the journeys that were shortened.
    """

    steps_saved: Interval
    share_of_first_sight: Interval | None
    shortened: Interval


class JourneySlice(msgspec.Struct, frozen=True):
    """Journeys of one group, with the conversion of the visits of the same group beside them.

    Parameters
    ----------
    visits, conversion
        Visits of the group and the share that bought; None where the group holds no visit.
    steps, first_sight
        Steps to purchase, and first sight of the bought items, mean per journey; None without
        journeys.
    variants
        By name; empty without journeys.
    """

    group: str
    name: str
    journeys: int
    visits: int
    conversion: Interval | None
    steps: Interval | None
    first_sight: Interval | None
    variants: Mapping[str, PathFigures]


class PlacementFigures(msgspec.Struct, frozen=True):
    """What the model's lists at one placement would have saved, had they stood there all the way.

    Parameters
    ----------
    objective
        What the placement ranks for.
    """

    placement: str
    objective: str
    figures: PathFigures


class RemainingSteps(msgspec.Struct, frozen=True):
    """Expected steps from a stage of the visit to a purchase, up to the horizon.

    Parameters
    ----------
    visits, bought
        How many came so far, and how many of them bought later in the visit.
    """

    stage: str
    visits: int
    bought: int
    steps: Interval


class AskedModel(msgspec.Struct, frozen=True):
    """A model of the report.

    Parameters
    ----------
    asked
        Whether it was asked itself or its recipe was fitted again, see `training.exam`.
    answers
        How many questions it was asked; 0 where the variant shares another's model.
    """

    bundle_version: str
    asked: str
    answers: int


class JourneyReport(msgspec.Struct, frozen=True):
    """Everything that one replay found.

    Parameters
    ----------
    period_start, period_end
        The hold-out period, ISO 8601 in UTC.
    counts
        Purchases of the period, journeys kept and left out by reason, visits.
    models
        By variant.
    slices
        The first is the whole.
    gains
        The model minus each other variant on the same journeys, steps saved, paired.
    """

    placement: str
    objective: str
    k: int
    lookback_days: float
    max_steps: int
    horizon: int
    confidence: float
    period_start: str
    period_end: str
    counts: Mapping[str, int]
    models: Mapping[str, AskedModel]
    slices: tuple[JourneySlice, ...]
    gains: Mapping[str, Interval]
    placements: tuple[PlacementFigures, ...]
    remaining: tuple[RemainingSteps, ...]

    @property
    def whole(self) -> JourneySlice:
        """All journeys and visits."""
        return self.slices[0]

    def to_json(self) -> bytes:
        """The whole report."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> JourneyReport:
        """The inverse of `to_json`."""
        return msgspec.json.decode(text, type=cls)

    def save(self, folder: Path) -> list[Path]:
        """Write ``journeys.json`` and ``journeys.md`` into an existing folder."""
        paths = [folder / "journeys.json", folder / "journeys.md"]
        paths[0].write_bytes(self.to_json())
        paths[1].write_text(self.to_markdown(), "utf-8")
        return paths

    def to_markdown(self) -> str:
        """The report as tables."""
        tables = [
            (f"Steps saved@{self.k}, beside conversion", self.step_rows()),
            ("Shares, beside conversion", self.share_rows()),
            ("The model minus each other, paired by journey", self.gain_rows()),
            ("By placement, asked as its page would", self.placement_rows()),
            (f"Expected remaining steps, counted up to {self.horizon}", self.remaining_rows()),
            ("Counts", self.count_rows()),
        ]
        parts = [self._summary(), *(f"## {title}\n\n{_markdown(rows)}" for title, rows in tables)]
        return "\n\n".join(parts) + "\n"

    def step_rows(self) -> list[dict[str, object]]:
        """One row per slice: conversion, the way, and the steps that each variant saves."""
        return [
            _beside(each)
            | {"first sight": steps_cell(each.first_sight)}
            | {
                name: steps_cell(each.variants[name].steps_saved if each.variants else None)
                for name in self.models
            }
            for each in self.slices
        ]

    def share_rows(self) -> list[dict[str, object]]:
        """One row per slice with journeys and variant: share of first sight, share shortened."""
        return [
            _beside(each)
            | {
                "variant": name,
                "of first sight": share_cell(figures.share_of_first_sight),
                "shortened": share_cell(figures.shortened),
            }
            for each in self.slices
            for name, figures in each.variants.items()
        ]

    def gain_rows(self) -> list[dict[str, object]]:
        """One row per other variant."""
        return [
            {"model minus": name, f"steps saved@{self.k}": steps_cell(gain, signed=True)}
            for name, gain in self.gains.items()
        ]

    def placement_rows(self) -> list[dict[str, object]]:
        """One row per placement."""
        return [
            {
                "placement": each.placement,
                "objective": each.objective,
                "steps saved": steps_cell(each.figures.steps_saved),
                "of first sight": share_cell(each.figures.share_of_first_sight),
                "shortened": share_cell(each.figures.shortened),
                "conversion": share_cell(self.whole.conversion),
            }
            for each in self.placements
        ]

    def remaining_rows(self) -> list[dict[str, object]]:
        """One row per stage of the visit."""
        return [
            {
                "stage": each.stage,
                "visits": each.visits,
                "bought": each.bought,
                "remaining steps": steps_cell(each.steps),
            }
            for each in self.remaining
        ]

    def count_rows(self) -> list[dict[str, object]]:
        """One row per count."""
        return [{"what": name, "number": n} for name, n in self.counts.items()]

    def _summary(self) -> str:
        named = ", ".join(
            f"{name} = {model.bundle_version} ({model.asked})"
            for name, model in self.models.items()
        )
        return (
            f"# Journeys to a purchase\n\n"
            f"{self.counts['kept']} of {self.counts['purchases']} purchases between "
            f"{self.period_start} and {self.period_end}, each journey from the purchase before or "
            f"{self.lookback_days:g} days back; top {self.k} at placement `{self.placement}` "
            f"(objective {self.objective}), asked before each of the first {self.max_steps} steps. "
            f"{named}. Brackets: {self.confidence:.0%} interval over shoppers."
        )


def steps_cell(interval: Interval | None, *, signed: bool = False) -> str:
    """Steps for people."""
    if interval is None:
        return "-"
    sign = "+" if signed else ""
    return f"{interval.mean:{sign}.2f} [{interval.low:{sign}.2f}, {interval.high:{sign}.2f}]"


def share_cell(interval: Interval | None) -> str:
    """A share for people, in percent."""
    if interval is None:
        return "-"
    return f"{100 * interval.mean:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _beside(each: JourneySlice) -> dict[str, object]:
    return {
        "slice": each.name if each.group == each.name else f"{each.group}: {each.name}",
        "visits": each.visits,
        "conversion": share_cell(each.conversion),
        "journeys": each.journeys,
    }


def _markdown(rows: list[dict[str, object]]) -> str:
    if not rows:
        return "None."
    return markdown_table(list(rows[0]), [[str(cell) for cell in row.values()] for row in rows])
