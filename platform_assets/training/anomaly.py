"""Estimators fitted without labels, and their scores between 0 and 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def is_unsupervised(estimator: Any) -> bool:
    """An outlier detector or a density: scores rows (`score_samples`, high is usual), is no classifier."""
    from sklearn.base import is_classifier

    return not is_classifier(estimator) and hasattr(estimator, "score_samples")


class AnomalyModel:
    """A fitted pipeline whose `score_samples` is read as a score between 0 (usual) and 1 (unusual).

    IsolationForest: its anomaly score 2^(-E[h(x)]/c(n)) as it is (Liu, Ting and Zhou 2008, equation
    2), which is scikit-learn's `-score_samples`. Any other: the share of train rows that are no more
    unusual than the row, the empirical distribution function of `-score_samples`; rows beyond every
    train row tie at 1. Both keep the order of rows; neither is a probability of the label.
    """

    def __init__(self, pipeline: Any) -> None:
        """`pipeline` is fitted before `of` is called, and the reference is set by it."""
        import numpy as np

        self.pipeline = pipeline
        self.classes_ = np.array([0, 1])
        self.feature_names_in_ = pipeline.feature_names_in_
        self.reference: np.ndarray | None = None

    @classmethod
    def fitted(cls, pipeline: Any, frame: pd.DataFrame) -> AnomalyModel:
        """Fit on inputs alone."""
        import numpy as np
        from sklearn.ensemble import IsolationForest

        model = cls(pipeline.fit(frame))
        if not isinstance(pipeline[-1], IsolationForest):
            model.reference = np.sort(-np.asarray(pipeline.score_samples(frame), dtype=np.float64))
        return model

    @property
    def steps(self) -> list[tuple[str, Any]]:
        """The pipeline's steps."""
        return list(self.pipeline.steps)

    def __getitem__(self, place: int) -> Any:
        """A step of the pipeline."""
        return self.pipeline[place]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The pipeline's parameters."""
        return dict(self.pipeline.get_params(deep=deep))

    def set_params(self, **parameters: Any) -> AnomalyModel:
        """Set the pipeline's parameters."""
        self.pipeline.set_params(**parameters)
        return self

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
        """Two columns, 1 - score and score, in the shape that scorers of classifiers read."""
        import numpy as np

        unusual = -np.asarray(self.pipeline.score_samples(frame), dtype=np.float64)
        if self.reference is not None:
            unusual = np.searchsorted(self.reference, unusual, side="right") / len(self.reference)
        return np.column_stack([1.0 - unusual, unusual])
