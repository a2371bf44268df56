"""`desirepath tune` from the store to a training file, with the search in one MLflow run."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from feature_store.atomic_file import write_atomic
from recommender.errors import RefusedError
from training.deliver import open_lock
from training.evaluation.bootstrap import Interval
from training.registry_run import Run, start_run
from training.spec_file import spec_text
from training.stages import Stages
from training.tuning import Limits, Search, TrialRow
from training.tuning_fits import SharedFits
from training.tuning_judge import MIN_SHOPPERS, Judge, K
from training.tuning_plots import draw_history, draw_importances
from training.tuning_space import Value
from training.workflow import TrainRequest, Workbench, bring_in

FOLDER: Final = "tuning"
STUDY_FILE: Final = "study.db"
WINNER_FILE: Final = "training.toml"


@dataclass(frozen=True, slots=True)
class TuneOutcome:
    """What a search found.

    Parameters
    ----------
    resumed
        Trials that the study had before.
    start, best
        The trial of the starting point, and the one that found most.
    best_interval, start_interval, gain
        nDCG@20 of the best trial and of the start, and their paired difference, on validation
        shoppers that no trial was judged by.
    known
        Shoppers that judged the trials and of whom anything was known.
    changed
        Settings in which the best trial differs from the start: value then, value now.
    file
        Training file of the best trial if that is better, else of the start.
    """

    study: str
    resumed: int
    rows: tuple[TrialRow, ...]
    start: TrialRow
    best: TrialRow
    best_interval: Interval
    start_interval: Interval
    gain: Interval
    known: int
    changed: Mapping[str, tuple[Value, Value]]
    importances: Mapping[str, float]
    file: Path
    fits_shared: int

    @property
    def is_better(self) -> bool:
        """Whether a trial found more than the start, and not only with those who chose it."""
        return bool(self.changed) and is_confirmed(self.gain)

    @property
    def counts(self) -> dict[str, int]:
        """Trials by state."""
        return dict(Counter(row.state for row in self.rows))

    @property
    def metrics(self) -> dict[str, float]:
        """Flat figures for the run."""
        flat = {"best_ndcg@20": self.best.value or 0.0, "start_ndcg@20": self.start.value or 0.0}
        for name, interval in (
            ("confirmed_best", self.best_interval),
            ("confirmed_start", self.start_interval),
            ("gain", self.gain),
        ):
            flat |= {f"{name}_{part}": value for part, value in asdict(interval).items()}
        flat |= {f"trials_{state}": float(count) for state, count in self.counts.items()}
        return flat | {"known_shoppers": float(self.known), "fits_shared": float(self.fits_shared)}


def is_confirmed(gain: Interval) -> bool:
    """Shoppers that no trial saw were served better on average, and perhaps by no accident."""
    return gain.mean > 0 and gain.high > 0


def tune(request: TrainRequest, limits: Limits, bench: Workbench) -> TuneOutcome:
    """Search, or continue the search, and write the best training file.

    Raises
    ------
    DataError
        The log is too short or has too few validation shoppers.
    RefusedError
        Another search runs in this store.
    RegistryError
        MLflow does not answer.
    """
    bring_in(request, Stages(), bench.console)
    folder = request.layout.root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (
        open_lock(folder, wait_seconds=0.0) as is_mine,
        tempfile.TemporaryDirectory(prefix="desirepath-tune-") as scratch,
    ):
        if not is_mine:
            raise RefusedError(f"another search runs in {folder}; wait for it, or stop it")
        with start_run(bench.registry, "tune", bench.clock) as run:
            run.log_params(request.spec.resolved | {"tune": asdict(limits)})
            fits = SharedFits(bench.engine)
            judge = Judge.prepare(request, fits, Path(scratch))
            outcome = _search(judge, request, limits, folder, bench, fits)
            _record(run, outcome)
            return outcome


def _search(
    judge: Judge,
    request: TrainRequest,
    limits: Limits,
    folder: Path,
    bench: Workbench,
    fits: SharedFits,
) -> TuneOutcome:
    search = Search(folder / STUDY_FILE, judge, request.spec, limits)
    if judge.known < MIN_SHOPPERS:
        bench.console.say(
            f"of {judge.known} of the {len(judge.judge)} shoppers that judge a trial anything is "
            'known: few settings can matter; split.asked = "in_visit" asks later, and knows more'
        )
    resumed = search.ended
    if resumed:
        bench.console.say(f"continuing {search.name} after {resumed} trials")
    with bench.console.progress("trials", limits.trials) as progress:
        progress.advance(resumed)

        def on_trial(row: TrialRow) -> None:
            progress.advance()
            value = "-" if row.value is None else f"{row.value:.4f}"
            bench.console.say(f"  trial {row.number}: {row.state} {value} {row.reason}".rstrip())

        search.run(on_trial)
    best, spec = search.best()
    best_interval, start_interval, gain = judge.gain(spec, request.spec)
    written = spec if is_confirmed(gain) else request.spec
    head = (
        f"{_verdict(best, gain)}; {len(search.rows())} trials of {search.name}.\n"
        f"nDCG@{K} of validation shoppers that no trial saw: {best_interval.mean:.4f}, "
        f"{start_interval.mean:.4f} where the search started."
    )
    file = folder / WINNER_FILE
    write_atomic(file, spec_text(written, head).encode())
    return TuneOutcome(
        search.name,
        resumed,
        search.rows(),
        search.first(),
        best,
        best_interval,
        start_interval,
        gain,
        judge.known,
        _changed(search, best),
        search.importances(),
        file,
        fits.shared,
    )


def _verdict(best: TrialRow, gain: Interval) -> str:
    if is_confirmed(gain):
        return f"Found by `desirepath tune`: trial {best.number}"
    return f"Nothing better found by `desirepath tune`, the start again: not trial {best.number}"


def _changed(search: Search, best: TrialRow) -> dict[str, tuple[Value, Value]]:
    own = search.own
    return {name: (own[name], value) for name, value in best.settings.items() if value != own[name]}


def _record(run: Run, outcome: TuneOutcome) -> None:
    run.log_tags({"mlflow.runName": outcome.study})
    run.log_metrics(outcome.metrics)
    rows = [asdict(row) | {"settings": dict(row.settings)} for row in outcome.rows]
    run.log_dict({"trials": rows, "importances": dict(outcome.importances)}, "tuning/trials.json")
    with tempfile.TemporaryDirectory(prefix="desirepath-tuning-") as scratch:
        folder = Path(scratch)
        (folder / WINNER_FILE).write_bytes(outcome.file.read_bytes())
        draw_history(outcome.rows, folder / "history.png")
        if outcome.importances:
            draw_importances(outcome.importances, folder / "importances.png")
        run.log_folder(folder, "tuning")
