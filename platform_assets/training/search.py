"""A declared search of parameters: trials on time-ordered folds of the train rows, within a budget."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.estimator import Estimator, SearchedParameter
from platform_assets.errors import TrainingError
from platform_assets.training.estimator import fit, score
from platform_assets.training.time_order import Part, calibration_part, folds

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Trial:
    """Parameters, and the mean of the metric over the folds."""

    parameters: dict[str, Any]
    value: float
    by_fold: dict[str, float]


@dataclass(frozen=True)
class SearchResult:
    """Every trial done, in order."""

    metric: str
    trials: tuple[Trial, ...]
    declared_trials: int

    @property
    def best(self) -> Trial:
        """The first of the highest."""
        return max(self.trials, key=lambda trial: trial.value)

    def told(self) -> str:
        """How the budget ended the search."""
        done = f"{len(self.trials)} of {self.declared_trials} trials"
        return done if len(self.trials) == self.declared_trials else f"{done}: CPU seconds exhausted"

    def summary(self) -> dict[str, Any]:
        """What a training run records, and a reproduction needs."""
        return {
            "metric": self.metric,
            "value": self.best.value,
            "parameters": self.best.parameters,
            "trials": len(self.trials),
            "budget": self.told(),
        }


def search(
    estimator: Estimator,
    rows: pa.Table,
    columns: Sequence[str],
    label: str,
    *,
    event_timestamp: str,
    trials: int | None = None,
) -> SearchResult:
    """Find the searched parameters; the same rows and number of trials find the same.

    Rows that calibrate are left out, as they judge what was found. At least one trial is done.
    `trials` replaces the declared budget. Raises TrainingError for folds without either class.
    """
    import optuna

    declared = estimator.search
    assert declared is not None
    if estimator.calibration is not None:
        rows = rows.take(calibration_part(rows, event_timestamp, estimator.calibration).fit)
    parts = folds(rows, event_timestamp, declared)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers: dict[str, type[Any]] = {
        "tpe": optuna.samplers.TPESampler,
        "random": optuna.samplers.RandomSampler,
    }
    study = optuna.create_study(direction="maximize", sampler=samplers[declared.sampler](seed=estimator.seed))
    seconds = declared.cpu_seconds if trials is None else None
    started, done = time.process_time(), []
    for number in range(trials or declared.trials):
        if number and seconds is not None and time.process_time() - started >= seconds:
            break
        asked = study.ask()
        parameters = {name: _suggest(asked, name, range_) for name, range_ in declared.parameters.items()}
        tried = estimator.found(parameters).model_copy(update={"calibration": None})
        by_fold = {
            f"fold_{place}": _judged(tried, rows, part, columns, label, declared.metric)
            for place, part in enumerate(parts, start=1)
        }
        value = sum(by_fold.values()) / len(by_fold)
        study.tell(asked, value)
        done.append(Trial(parameters, value, by_fold))
    return SearchResult(declared.metric, tuple(done), trials or declared.trials)


def _suggest(trial: Any, name: str, declared: SearchedParameter) -> Any:
    if declared.choices:
        return trial.suggest_categorical(name, declared.choices)
    assert declared.low is not None
    assert declared.high is not None
    if declared.integer:
        return trial.suggest_int(name, int(declared.low), int(declared.high), log=declared.log)
    return trial.suggest_float(name, declared.low, declared.high, log=declared.log)


def _judged(
    estimator: Estimator, rows: pa.Table, part: Part, columns: Sequence[str], label: str, metric: str
) -> float:
    import numpy as np
    from sklearn import metrics

    later = rows.take(part.judge)
    target = later.column(label).to_numpy().astype(np.int64)
    for what, values in (("fits on", rows.column(label).to_numpy()[part.fit]), ("is judged on", target)):
        if len(np.unique(values)) < 2:
            raise TrainingError(
                f"search: a fold {what} {len(values)} rows of one class; "
                f"declare fewer folds, or more train days"
            )
    scores = score(fit(estimator, rows.take(part.fit), columns, label), later)
    judge = {"average_precision": metrics.average_precision_score, "roc_auc": metrics.roc_auc_score}[metric]
    return float(judge(target, scores))
