"""Reproduction: rebuild a registered version in a fresh process and compare its predictions bit by bit."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import Repository
from platform_assets.errors import LakeError, PlatformError
from platform_assets.home import Home
from platform_assets.provenance import code_version, lock_digest
from platform_assets.stores import Stores
from platform_assets.training import saved_environment
from platform_assets.training.estimator import score
from platform_assets.training.model_artifact import load_model
from platform_assets.training.rebuilding import rebuild, recorded_version
from platform_assets.training.training_rows import SPLIT_COLUMN


@dataclass(frozen=True)
class Reproduction:
    """What a rebuilt version has in common with the registered one.

    `identical` when every score of every row is equal to the last bit. `differences` names what is
    not as it was; code and packages may have changed and predictions still be identical.
    """

    product: str
    version: str
    identical: bool
    rows: int = 0
    test_rows: int = 0
    different_scores: int = 0
    max_difference: float = 0.0
    differences: tuple[str, ...] = ()

    def summary(self) -> str:
        """For a person: the verdict, the figures, and what differs."""
        about = f"{self.product} version {self.version}"
        if self.identical:
            head = (
                f"{about}: identical predictions on all {self.test_rows} test rows ({self.rows} rows in all)"
            )
        else:
            head = f"{about}: not reproduced"
        return "\n  ".join([head, *self.differences])


def reproduce(stores: Stores, repository: Repository, product: Product, version: str) -> Reproduction:
    """Rebuild a registered version from its recorded lineage in a fresh process.

    The declaration used is the recorded one, so changes to `repository` and `product` since then do
    not matter. Nothing is written to the lake. What cannot be rebuilt is told in `differences`.
    """
    del repository  # the recorded one counts
    with tempfile.TemporaryDirectory(prefix="platform-reproduce-") as folder:
        report = Path(folder) / "reproduction.json"
        command = [
            sys.executable,
            "-m",
            "platform_assets.training.reproduce",
            "--home",
            str(stores.home.root),
        ]
        command += ["--product", product.name, "--version", version, "--report", str(report)]
        # not a test's or a notebook's own settings of hashing and threads: they must not matter
        done = subprocess.run(
            command, env=os.environ | {"PYTHONHASHSEED": "random"}, capture_output=True, text=True
        )
        if not report.exists():
            tail = (done.stderr or done.stdout).strip().splitlines()[-1:]
            return _failed(product.name, version, f"its process {_ended(done.returncode)}: {' '.join(tail)}")
        found = json.loads(report.read_text(encoding="utf-8"))
    return Reproduction(**{**found, "differences": tuple(found["differences"])})


def compare(stores: Stores, product: str, version: str) -> Reproduction:
    """Rebuild in this process and compare with what was recorded and saved."""
    import numpy as np
    import pyarrow.compute as pc

    recorded = recorded_version(stores, product, version)
    notes, lineage = recorded.training_run.notes, recorded.lineage
    differences = [
        f"{what} differs: {then} when it was trained, {now} now"
        for what, then, now in (
            ("code version", notes["code_version"], code_version()),
            ("lock digest", notes["lock_digest"], lock_digest()),
        )
        if then != now
    ]
    # the lock digest says that packages changed, these say which
    differences += [
        f"{what} differs: {then} when it was trained, {now} now"
        for what, then, now in saved_environment.differences(stores.home.root / lineage["artifact_path"])
    ]
    rebuilt = rebuild(stores, recorded)
    rows = rebuilt.rows.num_rows
    test = pc.equal(rebuilt.rows.column(SPLIT_COLUMN), "test").to_numpy()
    for what, then, now in (
        ("training set", recorded.training_set.digest, rebuilt.training_set_digest),
        ("model digest", lineage["model_digest"], rebuilt.model_digest),
    ):
        if then != now:
            differences.append(f"{what} differs: {then} was recorded, {now} was rebuilt")
    if rows != recorded.training_set.rows:
        differences.append(f"rows differ: {recorded.training_set.rows} were recorded, {rows} were rebuilt")
    different, largest, saved_agrees = 0, 0.0, False
    try:
        model = load_model(stores, lineage["artifact_path"], lineage["artifact_digest"])
    except LakeError as error:
        differences.append(f"saved model cannot be compared: {error}")
    else:
        saved = score(model, rebuilt.rows.select(list(recorded.repository.input_columns(recorded.product))))
        unequal = saved.view(np.int64) != rebuilt.scores.view(np.int64)
        different = int(np.count_nonzero(unequal & test))
        largest = float(np.max(np.abs(saved - rebuilt.scores)[test], initial=0.0))
        saved_agrees = not unequal.any()
        if not saved_agrees:
            differences.append(
                f"predictions differ in {different} of {int(test.sum())} test rows, by at most {largest:.3g}"
            )
    return Reproduction(
        product=product,
        version=version,
        identical=saved_agrees and rebuilt.model_digest == lineage["model_digest"],
        rows=rows,
        test_rows=int(test.sum()),
        different_scores=different,
        max_difference=largest,
        differences=tuple(differences),
    )


def main(arguments: list[str] | None = None) -> int:
    """The fresh process: compare, and write the report as JSON."""
    parser = argparse.ArgumentParser(prog="python -m platform_assets.training.reproduce")
    for name in ("home", "product", "version", "report"):
        parser.add_argument(f"--{name}", required=True)
    asked = parser.parse_args(arguments)
    try:
        result = compare(Stores.at(Home.at(asked.home)), asked.product, asked.version)
    except PlatformError as error:
        result = _failed(asked.product, asked.version, str(error))
    Path(asked.report).write_text(json.dumps(dataclasses.asdict(result)), encoding="utf-8")
    return 0 if result.identical else 1


def _ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _failed(product: str, version: str, reason: str) -> Reproduction:
    return Reproduction(product, version, identical=False, differences=(f"could not be rebuilt: {reason}",))


if __name__ == "__main__":
    sys.exit(main())
