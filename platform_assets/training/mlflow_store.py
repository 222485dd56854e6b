"""Where MLflow keeps its runs: a SQLite database and a folder of artifacts below the home."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import Any

from platform_assets.lake.atomic_files import exclusive_lock
from platform_assets.stores import Stores

DATABASE = "mlflow.db"


def tracking_uri(stores: Stores) -> str:
    """The tracking and registry URI of a home."""
    return f"sqlite:///{stores.home.mlflow / DATABASE}"


def quiet_mlflow() -> None:
    """Settings that must stand before MLflow's first import: no telemetry, no prompts, no git look-up."""
    for name, value in (
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("DO_NOT_TRACK", "true"),
        ("GIT_PYTHON_REFRESH", "quiet"),
        ("MLFLOW_ENABLE_ASYNC_LOGGING", "false"),
    ):
        os.environ.setdefault(name, value)


def open_mlflow(stores: Stores) -> Any:
    """An `MlflowClient` on the home's database, made on first use.

    A fresh database that several processes open at once, or that a kill leaves half made, breaks
    later runs: so it is made aside, by one, and put in its place by one rename.
    """
    quiet_mlflow()
    from mlflow import MlflowClient

    database = stores.home.mlflow / DATABASE
    if not database.exists():
        with exclusive_lock(stores.home.locks / "mlflow.lock"):
            if not database.exists():
                _make(database, stores.home.mlflow / "artifacts")
    uri = tracking_uri(stores)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment_id(stores: Stores, client: Any, product: str) -> str:
    """The experiment of a product, made on first use; artifacts lie below the home.

    MLflow writes an experiment's folder down as an absolute path, so in a home that was moved the
    old experiment is put by under another name and a new one is made.
    """
    from mlflow.exceptions import MlflowException

    location = (stores.home.mlflow / "artifacts" / product).as_uri()
    with exclusive_lock(stores.home.locks / "mlflow.lock"):
        found = client.get_experiment_by_name(product)
        if found is not None and found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        if found is not None and found.artifact_location != location:
            client.rename_experiment(found.experiment_id, f"{product} before move {found.experiment_id}")
            found = None
        if found is None:
            with contextlib.suppress(MlflowException):  # made by hand meanwhile
                return str(client.create_experiment(product, artifact_location=location))
            found = client.get_experiment_by_name(product)
    return str(found.experiment_id)


def _make(database: Path, artifacts: Path) -> None:
    import logging

    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    artifacts.mkdir(parents=True, exist_ok=True)
    aside = database.with_name(f".{DATABASE}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    loggers = [logging.getLogger(name) for name in ("mlflow.store.db.utils", "alembic")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)  # a page of migrations from an empty database
        store = SqlAlchemyStore(f"sqlite:///{aside}", artifacts.as_uri())
        store.engine.dispose()
        aside.replace(database)
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        aside.unlink(missing_ok=True)
