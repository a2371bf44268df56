"""What an off-policy evaluation of a model found, as data: JSON and tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from training.evaluation.off_policy import Diagnosis, Estimate
from training.evaluation.off_policy_support import Check
from training.evaluation.report import markdown_table


class OffPolicyReport(msgspec.Struct, frozen=True):
    """What a model would have earned on the served log; without estimates where it cannot be told.

    Parameters
    ----------
    candidate, asked
        Version of the bundle, and whether it was asked itself or its recipe, see `training.exam`.
    logged_models
        Versions that served the answers.
    reward
        What counts, per list.
    lists, subjects
        Answers looked at, and of how many shoppers.
    counts
        Answers of the log, by why they were looked at or left out; outcomes by how credited.
    observed
        What the served lists earned.
    same_lists
        Share of the answers in which the candidate would have shown the served list.
    checks
        Whether the logged propensities can be true.
    lift
        RIPS less what was observed, of the same lists.
    refusal
        Why there is no estimate.
    against, gain, gain_refusal
        Version of another bundle, SNRIPS of the candidate less that of it, and why that is not
        told; None where none was named.
    """

    candidate: str
    asked: str
    logged_models: tuple[str, ...]
    reward: str
    period_start: str
    period_end: str
    lists: int
    subjects: int
    counts: Mapping[str, int]
    observed: Estimate
    same_lists: float
    diagnosis: Diagnosis
    estimates: tuple[Estimate, ...] = ()
    checks: tuple[Check, ...] = ()
    lift: Estimate | None = None
    refusal: str | None = None
    against: str | None = None
    gain: Estimate | None = None
    gain_refusal: str | None = None

    def to_json(self) -> bytes:
        """The whole report."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    def to_markdown(self) -> str:
        """The report as text and tables."""
        return "\n\n".join([self._head(), self._basis(), self._found()]) + "\n"

    def rows(self) -> list[dict[str, str]]:
        """Observed and estimated values as rows of text."""
        compared = [each for each in (self.lift, self.gain) if each is not None]
        named = [self.observed, *self.estimates, *compared]
        return [
            {
                "": each.name,
                f"{self.reward} per list": f"{each.value:.5f}",
                "95 % interval": f"[{each.low:.5f}, {each.high:.5f}]",
            }
            for each in named
        ]

    def basis(self) -> dict[str, str]:
        """What the estimates rest on."""
        found = self.diagnosis
        outside = "" if found.outside is None else f"{found.outside:.1%}"
        return {
            "lists": f"{self.lists:,} of {self.subjects:,} shoppers",
            "the candidate shows the same list": f"{self.same_lists:.1%}",
            "effective sample size": f"{found.ess:,.1f}",
            "largest weight": f"{found.max_weight:,.2f}",
            "mean weight": f"{found.mean_weight:.4f} ± {found.weight_error:.4f} (should be 1)",
            "mass where logging has none": outside,
        }

    def _head(self) -> str:
        return (
            f"# What {self.candidate} would have earned\n\n"
            f"Lists that {', '.join(self.logged_models)} served between {self.period_start} and "
            f"{self.period_end}; reward: {self.reward}, per list. The candidate was asked "
            f"{self.asked}."
        )

    def _basis(self) -> str:
        rows = [[name, value] for name, value in self.basis().items()]
        counts = [[name, f"{value:,}"] for name, value in self.counts.items()]
        basis = markdown_table(["what it rests on", ""], rows)
        checks = [list(row.values()) for row in self.check_rows()]
        tables = [basis, markdown_table(["of the log", ""], counts)]
        return "\n\n".join([*tables, markdown_table(["check", "met", "found"], checks)])

    def check_rows(self) -> list[dict[str, str]]:
        """The checks as rows of text."""
        words = {True: "yes", False: "no", None: "cannot be told"}
        return [
            {"check": each.name, "met": words[each.is_met], "found": each.found}
            for each in self.checks
        ]

    def _found(self) -> str:
        rows = self.rows()
        lines = [markdown_table(list(rows[0]), [list(row.values()) for row in rows])]
        if self.diagnosis.warning:
            lines.insert(0, f"Warning: {self.diagnosis.warning}.")
        if self.refusal:
            lines.insert(0, f"**No estimate**: {self.refusal}.")
        elif self.gain_refusal:
            lines.insert(0, f"**No comparison with {self.against}**: {self.gain_refusal}.")
        return "\n\n".join(lines)

    def save(self, folder: Path) -> list[Path]:
        """Write ``off_policy.json`` and ``off_policy.md`` into an existing folder."""
        paths = [folder / "off_policy.json", folder / "off_policy.md"]
        paths[0].write_bytes(self.to_json())
        paths[1].write_text(self.to_markdown(), "utf-8")
        return paths
