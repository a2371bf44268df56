"""Result of a search for people (tables) and for machines (one flat object)."""

from __future__ import annotations

from feature_store.console import Console
from training.evaluation.report import shown
from training.registry import Tracking
from training.summary import interval_summary
from training.tuning_job import TuneOutcome

_SHOWN = 8


def show_tuning(outcome: TuneOutcome, console: Console) -> None:
    """Best against start, what changed, what matters."""
    rows: list[dict[str, object]] = [
        {"": "best trial", "nDCG@20": shown(outcome.best_interval)},
        {"": "where the search started", "nDCG@20": shown(outcome.start_interval)},
        {"": "best minus start", "nDCG@20": shown(outcome.gain, signed=True)},
    ]
    console.table("On validation shoppers that no trial saw", rows)
    console.table(
        f"Trial {outcome.best.number} against the start",
        [
            {"setting": name, "start": start, "best": best}
            for name, (start, best) in outcome.changed.items()
        ],
    )
    if not outcome.is_better:
        console.say(_nothing_better(outcome))
    console.table(
        "Which settings matter",
        [
            {"setting": name, "share": f"{share:.1%}"}
            for name, share in list(outcome.importances.items())[:_SHOWN]
        ],
    )


def _nothing_better(outcome: TuneOutcome) -> str:
    if not outcome.changed:
        return "nothing better: no trial found more than the start"
    return (
        f"nothing better: trial {outcome.best.number} found {outcome.best.value or 0:.4f} with the "
        f"shoppers that judged it (the start: {outcome.start.value or 0:.4f}), but with those that "
        f"no trial saw its gain is {shown(outcome.gain, signed=True)}"
    )


def tuning_summary(outcome: TuneOutcome, tracking: Tracking) -> dict[str, object]:
    """What a search gave."""
    return {
        "outcome": "better" if outcome.is_better else "nothing_better",
        "study": outcome.study,
        "resumed": outcome.resumed,
        "trials": outcome.counts,
        "known_shoppers": outcome.known,
        "best_trial": outcome.best.number,
        "best": interval_summary(outcome.best_interval),
        "start": interval_summary(outcome.start_interval),
        "gain": interval_summary(outcome.gain),
        "changed": {name: list(pair) for name, pair in outcome.changed.items()},
        "importances": {name: round(share, 4) for name, share in outcome.importances.items()},
        "fits_shared": outcome.fits_shared,
        "file": str(outcome.file),
        "tracking_uri": tracking.uri,
    }
