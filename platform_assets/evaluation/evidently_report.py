"""An Evidently page for people: quality on the test days, and how the inputs moved since the train days.

Nothing decides by it: its stability index misses heavy tails and its precision cuts at a score of 0.5.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from platform_assets.lake.atomic_files import half_written

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

SAMPLE = 20_000
LABEL, SCORE = "label", "score"
# a card grows with what it holds, and its frame cuts off what lies beyond the window
FITS_THE_WINDOW = "<style>.MuiGrid-direction-xs-column > .MuiGrid-root { max-width: 100%; }</style>"


@dataclass(frozen=True)
class Side:
    """Sampled rows of one side: model inputs, labels 0 or 1, and scores."""

    inputs: pa.Table
    labels: np.ndarray
    scores: np.ndarray


def write_evidently(path: Path, train: Side, test: Side) -> None:
    """Render the page; it appears whole, by one rename.

    Costs about 3 CPU s at 20,000 rows and 15 inputs, and 4 more for the import. Raises whatever
    Evidently raises, the page of an earlier model removed; callers report it and go on.
    """
    try:
        _write(path, train, test)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _write(path: Path, train: Side, test: Side) -> None:
    from evidently import BinaryClassification, DataDefinition, Dataset, Report
    from evidently.presets import ClassificationQuality, DataDriftPreset

    inputs = list(test.inputs.column_names)
    definition = DataDefinition(
        numerical_columns=[*inputs, SCORE],
        categorical_columns=[LABEL],
        classification=[BinaryClassification(target=LABEL, prediction_probas=SCORE, pos_label=1)],
    )
    report = Report(
        [
            ClassificationQuality(conf_matrix=True, pr_curve=True, pr_table=True, include_tests=False),
            DataDriftPreset(columns=[*inputs, SCORE], include_tests=False),
        ]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 0/0 where no score is above 0.5, and notes on its own future
        sides = [Dataset.from_pandas(_frame(side), data_definition=definition) for side in (test, train)]
        rendered = report.run(current_data=sides[0], reference_data=sides[1])
        with half_written(path) as temporary:
            rendered.save_html(str(temporary))
            page = temporary.read_text(encoding="utf-8")
            temporary.write_text(page.replace("</head>", f"{FITS_THE_WINDOW}</head>", 1), encoding="utf-8")


def stride(rows: int, at_most: int = SAMPLE) -> np.ndarray:
    """Positions of an even sample of ordered rows, the same every time; all of them when there are few.

    >>> stride(5, 3).tolist()
    [0, 2, 4]
    """
    import numpy as np

    if rows <= at_most:
        return np.arange(rows)
    return np.linspace(0, rows - 1, at_most).astype(np.int64)


def _frame(side: Side) -> pd.DataFrame:
    frame: pd.DataFrame = side.inputs.to_pandas().astype("float64")
    frame[LABEL] = side.labels.astype("int64")
    frame[SCORE] = side.scores
    return frame
