"""What a measurement of the candidate sources found, as data: JSON and tables.

The figures are defined in `training.evaluation.candidates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from training.evaluation.bootstrap import Interval
from training.evaluation.report import markdown_table

CUT_OFFS = (50, 100, 200)
UNION = "union"
POOL = "pool"


class SourceRecall(msgspec.Struct, frozen=True):
    """What one source, the union or the pool finds, by cut-off.

    Parameters
    ----------
    adds, adds_to_pool
        Recall of the union, and of the pool, minus the same without this source; empty for the
        union and the pool themselves.
    """

    name: str
    recall: Mapping[int, Interval]
    adds: Mapping[int, Interval] = {}
    adds_to_pool: Mapping[int, Interval] = {}


class SliceRecall(msgspec.Struct, frozen=True):
    """All sources on one group of shoppers or targets.

    Parameters
    ----------
    users, targets
        Shoppers that the means are over, and their right answers.
    rows
        The union first, the pool second, then each source.
    """

    group: str
    name: str
    users: int
    targets: int
    rows: tuple[SourceRecall, ...]

    def row(self, name: str) -> SourceRecall:
        """One source, the union or the pool. Raises `KeyError`."""
        for each in self.rows:
            if each.name == name:
                return each
        raise KeyError(f"no source {name!r}; there are: {[each.name for each in self.rows]}")


class CandidateReport(msgspec.Struct, frozen=True):
    """Recall of the candidates of one model.

    Parameters
    ----------
    period_start, period_end
        The hold-out period, ISO 8601 in UTC.
    pool_size
        Mean number of distinct candidates of a shopper, by cut-off.
    unknown_targets
        Right answers that the model cannot know; they count as misses.
    slices
        Everybody first.
    """

    model_version: str
    placement: str
    period_start: str
    period_end: str
    confidence: float
    users: int
    targets: int
    unknown_targets: int
    pool_size: Mapping[int, float]
    slices: tuple[SliceRecall, ...]

    @property
    def everybody(self) -> SliceRecall:
        """The slice of all shoppers and targets."""
        return self.slices[0]

    def to_json(self) -> bytes:
        """The whole report."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> CandidateReport:
        """The inverse of `to_json`."""
        return msgspec.json.decode(text, type=cls)

    def to_markdown(self) -> str:
        """The report as tables."""
        sizes = ", ".join(f"{size:.0f} at {k}" for k, size in self.pool_size.items())
        head = (
            f"# Candidates of {self.model_version}\n\n"
            f"{self.users} shoppers with {self.targets} targets between {self.period_start} and "
            f"{self.period_end}, {self.unknown_targets} of them items that the model could not "
            f"know; placement `{self.placement}`. The pool holds {sizes} candidates a shopper. "
            f"Brackets: {self.confidence:.0%} interval over shoppers."
        )
        return "\n\n".join([head, *map(_markdown, self.slices)]) + "\n"

    def save(self, folder: Path) -> list[Path]:
        """Write ``candidates.json`` and ``candidates.md`` into an existing folder."""
        paths = [folder / "candidates.json", folder / "candidates.md"]
        paths[0].write_bytes(self.to_json())
        paths[1].write_text(self.to_markdown(), "utf-8")
        return paths


def recall_rows(part: SliceRecall) -> list[dict[str, str]]:
    """One row of text for each source: its recall, and what it adds."""
    k = CUT_OFFS[-1]
    return [
        {
            "source": each.name,
            **{f"recall@{cut}": _brief(each.recall[cut]) for cut in CUT_OFFS},
            f"adds to union@{k}": _brief(each.adds[k], "+") if each.adds else "",
            f"adds to pool@{k}": _brief(each.adds_to_pool[k], "+") if each.adds_to_pool else "",
        }
        for each in part.rows
    ]


def _brief(interval: Interval, sign: str = "") -> str:
    # Three digits: five intervals have to stand side by side in a terminal.
    return f"{interval.mean:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"


def _markdown(part: SliceRecall) -> str:
    rows = recall_rows(part)
    title = f"{part.group}: {part.name}, {part.users} shoppers, {part.targets} targets"
    return f"## {title}\n\n" + markdown_table(list(rows[0]), [list(row.values()) for row in rows])
