"""The search behind `desirepath tune`: which settings find most on the validation period.

A study is a row of trials in a sqlite file of the store; whoever starts the same search again
continues it. What the next trial tries follows from the seed and from the trials that ended, so a
search that was killed and continued ends like one that was not: a trial that the kill cut off is
marked as failed and tried again.

Trials are chosen by TPE (Bergstra et al. 2011, *Algorithms for hyper-parameter optimization*), and
one that is below the median of the others at the same look ends early.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from optuna.trial import TrialState

from recommender.errors import ConfigError, DataError
from training.spec import TrainingSpec
from training.tuning_judge import Judge
from training.tuning_space import Knob, Value, settings_of, space_of, with_settings

_ENDED: Final = (TrialState.COMPLETE, TrialState.PRUNED)
_OPENING_TRIALS: Final = 10
# Share of the knobs that an opening trial turns. With all of them turned at once, as TPE begins by
# itself, each of the nine openings was worse than the start on a sample of a multi-category shop.
_TURNED: Final = 0.2
_SETTINGS: Final = "settings"
_REASON: Final = "reason"


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial.

    Parameters
    ----------
    state
        ``complete``, ``pruned`` (ended early), ``failed`` (its settings do not fit, or it was
        killed).
    value
        nDCG@20, of a pruned trial on the shoppers asked so far; None where there is none.
    reason
        Why it failed.
    """

    number: int
    state: str
    value: float | None
    seconds: float
    settings: Mapping[str, Value]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """When the search ends: at so many trials that ended in the study, or after so long."""

    trials: int
    timeout_seconds: float | None
    seed: int


class _QuickConnection(sqlite3.Connection):
    """Optuna commits each setting of each trial; waiting for the disk every time takes seconds.

    With a write-ahead log nothing is lost when the process is killed; a power cut may take the last
    trials, never the study (https://www.sqlite.org/pragma.html#pragma_synchronous).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA journal_mode=WAL")
        self.execute("PRAGMA synchronous=NORMAL")


class Search:
    """One study.

    Parameters
    ----------
    start
        The specification that the first trial tries and all others vary.

    Attributes
    ----------
    own
        Its value of every knob, by name.
    """

    def __init__(self, path: Path, judge: Judge, start: TrainingSpec, limits: Limits) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.start = start
        self.space = space_of(start)
        self.own = settings_of(start, self.space)
        self._judge = judge
        self._limits = limits
        self.name = _study_name(judge, start, self.space, limits.seed)
        self._study = optuna.create_study(
            storage=optuna.storages.RDBStorage(
                f"sqlite:///{path.resolve()}",
                engine_kwargs={"connect_args": {"factory": _QuickConnection}},
            ),
            study_name=self.name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_OPENING_TRIALS),
        )
        self._give_up_killed()

    @property
    def ended(self) -> int:
        """Trials that came to an end, complete or early."""
        return len(self._study.get_trials(deepcopy=False, states=_ENDED))

    def run(self, on_trial: Callable[[TrialRow], None]) -> None:
        """Try settings until a limit is reached; calls back after each trial."""
        begin = time.monotonic()
        while self.ended < self._limits.trials:
            limit = self._limits.timeout_seconds
            # The start itself is always tried: without it there is nothing to compare with.
            if limit is not None and self.ended and time.monotonic() - begin >= limit:
                return
            on_trial(self._try())

    def rows(self) -> tuple[TrialRow, ...]:
        """All trials of the study."""
        return tuple(_row(trial) for trial in self._study.get_trials(deepcopy=False))

    def best(self) -> tuple[TrialRow, TrainingSpec]:
        """The trial that found most; of equal ones the first."""
        row = _row(self._study.best_trial)
        return row, with_settings(self.start, self.space, row.settings)

    def first(self) -> TrialRow:
        """The trial of the start."""
        rows = self.rows()
        return next(row for row in rows if row.settings == self.own and row.state == "complete")

    def importances(self) -> dict[str, float]:
        """Share of each setting in what separates good trials from others, largest first.

        Empty while the trials say nothing: PED-ANOVA (Watanabe et al. 2023) compares the best ones
        with all, and needs some of both.
        """
        values = {row.value for row in self.rows() if row.state == "complete"}
        if len(values) < _OPENING_TRIALS:
            return {}
        found: dict[str, float] = optuna.importance.get_param_importances(self._study)
        return found

    def _try(self) -> TrialRow:
        ended = self.ended
        seed = int(np.random.SeedSequence([self._limits.seed, ended]).generate_state(1)[0])
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)
        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if ended < _OPENING_TRIALS and not waiting:
            self._study.enqueue_trial(self._opening(ended, np.random.default_rng(seed)))
        trial = self._study.ask()
        settings = {knob.name: _suggest(trial, knob, self.own[knob.name]) for knob in self.space}
        trial.set_user_attr(_SETTINGS, settings)
        try:
            self._study.tell(trial, self._value(trial, settings))
        except optuna.TrialPruned:
            self._study.tell(trial, state=TrialState.PRUNED)
        except (ConfigError, DataError) as error:
            # Not a failure of the search: it counts as tried, with nothing found.
            trial.set_user_attr(_REASON, str(error))
            self._study.tell(trial, state=TrialState.PRUNED)
        return _row(self._study.get_trials(deepcopy=False)[trial.number])

    def _value(self, trial: optuna.Trial, settings: Mapping[str, Value]) -> float:
        for row in self.rows():
            if row.state == "complete" and row.settings == settings and row.value is not None:
                return row.value

        def report(step: int, value: float) -> None:
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned

        return self._judge.value(with_settings(self.start, self.space, settings), report)

    def _opening(self, ended: int, rng: np.random.Generator) -> dict[str, Value]:
        """Parameters of the first trials: the start, then the start with some knobs turned."""
        found: dict[str, Value] = {}
        for knob in self.space:
            own = self.own[knob.name]
            choices = knob.choices(own)
            place = choices.index(own)
            if ended and rng.random() < _TURNED:
                place = int(rng.integers(len(choices)))
            found[knob.name] = place if knob.is_ordered else choices[place]
        return found

    def _give_up_killed(self) -> None:
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)


def _study_name(judge: Judge, start: TrainingSpec, space: Sequence[Knob], seed: int) -> str:
    """Equal for searches that mean the same: data, starting point, space, place and seed."""
    asked = [len(part) for part in (judge.judge, judge.confirm)]
    meaning = [start.resolved, [asdict(knob) for knob in space], judge.placement.name, asked, seed]
    text = json.dumps([judge.data_digest, judge.cuts.validation, meaning], sort_keys=True)
    return f"tune-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _suggest(trial: optuna.Trial, knob: Knob, start: Value) -> Value:
    choices = knob.choices(start)
    if knob.is_ordered:
        # The rung and not the value: steps between rungs count alike.
        return choices[trial.suggest_int(knob.name, 0, len(choices) - 1)]
    chosen: Value = trial.suggest_categorical(knob.name, choices)  # type: ignore[assignment]
    return chosen


def _row(trial: optuna.trial.FrozenTrial) -> TrialRow:
    value = trial.value
    if value is None and trial.intermediate_values:
        value = trial.intermediate_values[max(trial.intermediate_values)]
    reason = trial.user_attrs.get(_REASON, "")
    state = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}.get(
        trial.state, "failed"
    )
    return TrialRow(
        trial.number,
        "failed" if reason else state,
        value,
        trial.duration.total_seconds() if trial.duration else 0.0,
        trial.user_attrs.get(_SETTINGS, {}),
        reason or ("killed" if state == "failed" else ""),
    )
