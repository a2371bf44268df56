"""What an evaluation found, as data: JSON for machines, Markdown for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from training.evaluation.bootstrap import Interval

BLEND = "blend"
POPULARITY = "popularity"
UNRANKED = "unranked"  # the blend of the sources, before the ranker has a say


class SliceReport(msgspec.Struct, frozen=True):
    """One metric of one variant on one group of shoppers or targets.

    Parameters
    ----------
    users
        Shoppers that the mean is over.
    """

    group: str
    name: str
    variant: str
    users: int
    interval: Interval


class VariantReport(msgspec.Struct, frozen=True):
    """One way to answer.

    Parameters
    ----------
    metrics
        ``"ndcg@20"`` and so on, each with its interval.
    beyond
        Coverage, Gini, novelty and repeat share at the largest k, over all answers.
    loss
        Blend minus this variant, paired, for the same metrics; empty for the blend itself.
    groups
        Recall at the deciding cut-off of the targets in each item group (head, middle, tail);
        groups without targets are left out.
    group_loss
        Blend minus this variant, paired, for the same groups; empty for the blend itself.
    """

    name: str
    metrics: Mapping[str, Interval]
    beyond: Mapping[str, float]
    loss: Mapping[str, Interval] = {}
    groups: Mapping[str, Interval] = {}
    group_loss: Mapping[str, Interval] = {}


class EvaluationReport(msgspec.Struct, frozen=True):
    """Everything one evaluation found.

    Parameters
    ----------
    period_start, period_end
        The hold-out period, ISO 8601 in UTC.
    users, users_in_period
        Shoppers asked for, and shoppers with a target in the period.
    targets, unknown_targets
        Right answers in all, and those that the model cannot know (items that first appeared
        later); they count as misses.
    new_users
        Shoppers that nothing was known about.
    variants
        The blend first, popularity second, then each single source.
    shown_counts
        How often each item was shown by the blend and by popularity at the largest k, most shown
        first: the popularity curve.
    """

    model_version: str
    placement: str
    period_start: str
    period_end: str
    asked: str
    k: tuple[int, ...]
    confidence: float
    users: int
    users_in_period: int
    new_users: int
    targets: int
    unknown_targets: int
    items: int
    blend_weights: Mapping[str, float]
    variants: tuple[VariantReport, ...]
    slices: tuple[SliceReport, ...]
    shown_counts: Mapping[str, tuple[int, ...]]

    def variant(self, name: str) -> VariantReport:
        """One variant. Raises `KeyError`."""
        for each in self.variants:
            if each.name == name:
                return each
        raise KeyError(f"no variant {name!r}; there are: {[v.name for v in self.variants]}")

    @property
    def k_max(self) -> int:
        """The largest cut-off; beyond-accuracy metrics and slices use it."""
        return self.k[-1]

    @property
    def headline(self) -> str:
        """Name of the metric that decides: nDCG at 20, or at the largest cut-off below."""
        return f"ndcg@{self.deciding_k}"

    @property
    def deciding_k(self) -> int:
        """The cut-off that decides: 20, or the largest below it."""
        return max((k for k in self.k if k <= 20), default=self.k[0])

    @property
    def best_single(self) -> VariantReport:
        """The single source, popularity among them, with the best headline metric."""
        singles = (each for each in self.variants if each.name not in {BLEND, UNRANKED})
        return max(singles, key=lambda each: each.metrics[self.headline].mean)

    @property
    def metrics(self) -> dict[str, float]:
        """Flat figures for a run's record: ``ndcg_at_20``, ``popularity_ndcg_at_20`` and so on."""
        flat: dict[str, float] = {"users": float(self.users), "new_users": float(self.new_users)}
        for each in self.variants:
            prefix = "" if each.name == BLEND else f"{each.name}_"
            for name, interval in each.metrics.items():
                flat[f"{prefix}{name.replace('@', '_at_')}"] = interval.mean
            flat |= {f"{prefix}{name}": value for name, value in each.beyond.items()}
            flat |= {
                f"{prefix}{group}_recall_at_{self.deciding_k}": interval.mean
                for group, interval in each.groups.items()
            }
        return flat

    def beats(self, name: str) -> bool:
        """The interval of blend minus this variant on the headline metric lies above 0."""
        return self.variant(name).loss[self.headline].low > 0

    def to_json(self) -> bytes:
        """The whole report."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> EvaluationReport:
        """The inverse of `to_json`."""
        return msgspec.json.decode(text, type=cls)

    def to_markdown(self) -> str:
        """The report as tables."""
        parts = [self._summary(), self._accuracy(), self._beyond(), self._rare(), self._slices()]
        return "\n\n".join(parts) + "\n"

    def save(self, folder: Path) -> list[Path]:
        """Write ``evaluation.json`` and ``evaluation.md`` into an existing folder."""
        paths = [folder / "evaluation.json", folder / "evaluation.md"]
        paths[0].write_bytes(self.to_json())
        paths[1].write_text(self.to_markdown(), "utf-8")
        return paths

    def _summary(self) -> str:
        share = self.unknown_targets / max(self.targets, 1)
        return (
            f"# Evaluation of {self.model_version}\n\n"
            f"{self.users} of {self.users_in_period} shoppers with a target between "
            f"{self.period_start} and {self.period_end}, asked {self.asked.replace('_', ' ')} for "
            f"placement `{self.placement}`; {self.new_users} of them unknown before. "
            f"{self.targets} targets, {share:.1%} of them items that the model could not know. "
            f"Brackets: {self.confidence:.0%} interval over shoppers."
        )

    def _accuracy(self) -> str:
        names = list(self.variants[0].metrics)
        rows = [
            [each.name, *(shown(each.metrics[name]) for name in names)] for each in self.variants
        ]
        against = [
            [each.name, *(shown(each.loss[name], signed=True) for name in names)]
            for each in self.variants
            if each.loss
        ]
        return (
            markdown_table(["variant", *names], rows)
            + "\n\nThe blend minus each other, paired by shopper:\n\n"
            + markdown_table(["blend minus", *names], against)
        )

    def _beyond(self) -> str:
        names = list(self.variants[0].beyond)
        rows = [
            [each.name, *(f"{each.beyond[name]:.4f}" for name in names)] for each in self.variants
        ]
        return f"At k = {self.k_max}:\n\n" + markdown_table(["variant", *names], rows)

    def _rare(self) -> str:
        names = list(self.variants[0].groups)
        best = self.best_single
        rows = [
            [each.name, *(shown(each.groups[n]) for n in names), f"{each.beyond['gini']:.4f}"]
            for each in self.variants
        ]
        against = [*(shown(best.group_loss[n], signed=True) for n in names)]
        gain = self.variants[0].beyond["gini"] - best.beyond["gini"]
        rows.append([f"blend minus {best.name}", *against, f"{gain:+.4f}"])
        title = (
            f"Rare items: recall@{self.deciding_k} by item group, and the Gini of what is shown; "
            f"the best single source is {best.name}:\n\n"
        )
        return title + markdown_table(["variant", *names, "gini"], rows)

    def _slices(self) -> str:
        found: dict[tuple[str, str], dict[str, SliceReport]] = {}
        for each in self.slices:
            found.setdefault((each.group, each.name), {})[each.variant] = each
        variants = list(dict.fromkeys(each.variant for each in self.slices))
        rows = [
            [group, name, str(by[variants[0]].users), *(shown(by[v].interval) for v in variants)]
            for (group, name), by in found.items()
        ]
        return f"{self.headline} by slice:\n\n" + markdown_table(
            ["group", "slice", "users", *variants], rows
        )


def shown(interval: Interval, *, signed: bool = False) -> str:
    """An interval for people."""
    sign = "+" if signed else ""
    return f"{interval.mean:{sign}.4f} [{interval.low:{sign}.4f}, {interval.high:{sign}.4f}]"


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
