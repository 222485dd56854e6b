"""A model that was saved under another Python or other packages: what is told, and what is refused."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

from platform_assets.declaration.estimator import Estimator
from platform_assets.errors import LakeError
from platform_assets.home import Home
from platform_assets.stores import Stores
from platform_assets.training.estimator import fit, score
from platform_assets.training.model_artifact import artifact_digest, load_model, save_model
from platform_assets.training.saved_environment import differences, saved_environment

INPUTS = ["amount"]
OTHER_PYTHON = f"3.{sys.version_info.minor + 1}.2"


class KeepsALambda(LogisticRegression):
    """An estimator as squads write them: importable itself, with a function that is not."""

    def fit(self, X, y, sample_weight=None):
        self.curve_ = lambda values: [2 * value for value in values if value]
        return super().fit(X, y, sample_weight)


@pytest.fixture
def rows() -> pa.Table:
    amount = np.random.default_rng(0).gamma(2, 30, 500)
    return pa.table({"amount": amount, "label": (amount > 60).astype(np.int64)})


def saved(folder: Path, estimator: str, rows: pa.Table, python: str | None = None) -> str:
    """A model saved under `folder/model`; its digest. `python` stands in its files as the one it was saved with."""
    model = fit(Estimator(path=estimator), rows, INPUTS, "label")
    save_model(
        model, folder / "model", rows.select(INPUTS), score(model, rows), identity="m", made_at="2024-01-01"
    )
    if python is not None:
        described = yaml.safe_load((folder / "model/MLmodel").read_text())
        described["flavors"]["python_function"]["python_version"] = python
        (folder / "model/MLmodel").write_text(yaml.safe_dump(described))
    return artifact_digest(folder / "model")


def load(folder: Path, digest: str):
    return load_model(Stores.at(Home.at(folder)), "model", digest)


def test_the_environment_is_read_off_the_model_itself(rows, tmp_path: Path) -> None:
    saved(tmp_path, "sklearn.linear_model.LogisticRegression", rows)
    found = saved_environment(tmp_path / "model")
    assert found["Python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert differences(tmp_path / "model") == ()


def test_plain_pickles_are_read_by_another_python(rows, tmp_path: Path) -> None:
    digest = saved(tmp_path, "sklearn.linear_model.LogisticRegression", rows, OTHER_PYTHON)
    assert differences(tmp_path / "model") == (("Python", OTHER_PYTHON, platform.python_version()),)
    assert np.all(score(load(tmp_path, digest), rows) >= 0)


def test_bytecode_of_another_python_is_refused_before_it_ends_the_process(rows, tmp_path: Path) -> None:
    digest = saved(tmp_path, f"{__name__}.KeepsALambda", rows, OTHER_PYTHON)
    with pytest.raises(LakeError) as told:
        load(tmp_path, digest)
    minor = ".".join(OTHER_PYTHON.split(".")[:2])
    assert f"saved with Python {OTHER_PYTHON}" in str(told.value)
    assert f"Go on with Python {minor};" in str(told.value)
    assert "lambda" in str(told.value)


def test_bytecode_of_this_python_is_loaded(rows, tmp_path: Path) -> None:
    digest = saved(tmp_path, f"{__name__}.KeepsALambda", rows)
    assert load(tmp_path, digest)[-1].curve_([1, 0]) == [2]


def test_a_model_that_cannot_be_loaded_is_told_with_what_differs(rows, tmp_path: Path, monkeypatch) -> None:
    digest = saved(tmp_path, f"{__name__}.KeepsALambda", rows)
    monkeypatch.delattr(f"{__name__}.KeepsALambda")
    with pytest.raises(LakeError, match=r"cannot be loaded: AttributeError: .*KeepsALambda") as told:
        load(tmp_path, digest)
    assert "saved with" not in str(told.value), "nothing differs"
