"""One MLflow run an attempt: ended whatever happens, and told apart from one that was killed."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from platform_assets.stores import Stores
from platform_assets.training.mlflow_store import experiment_id, open_mlflow

if TYPE_CHECKING:
    from platform_assets.training.search import SearchResult

PROCESS_TAG = "process"
_LONGEST_PARAMETER = 6000  # MLflow refuses longer ones


@dataclass(frozen=True)
class Attempt:
    """An MLflow run that is being written."""

    client: Any
    id: str
    artifacts: Path

    def parameters(self, parameters: Mapping[str, Any]) -> None:
        """Log parameters; values are written as text."""
        from mlflow.entities import Param

        self.client.log_batch(
            self.id,
            params=[Param(name, str(value)[:_LONGEST_PARAMETER]) for name, value in parameters.items()],
        )

    def tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        self.client.log_batch(self.id, tags=[RunTag(name, value) for name, value in tags.items()])

    def search(self, found: SearchResult) -> None:
        """Write each trial as a nested run, and the best parameters into this one."""
        experiment = self.client.get_run(self.id).info.experiment_id
        for number, trial in enumerate(found.trials):
            nested = self.client.create_run(
                experiment,
                run_name=f"trial {number}",
                tags={"mlflow.parentRunId": self.id, PROCESS_TAG: this_process()},
            )
            own = Attempt(self.client, nested.info.run_id, self.artifacts)
            own.parameters(trial.parameters)
            for name, value in ((found.metric, trial.value), *trial.by_fold.items()):
                self.client.log_metric(nested.info.run_id, name, value)
            self.client.set_terminated(nested.info.run_id, "FINISHED")
        self.parameters({f"search.best.{name}": value for name, value in found.best.parameters.items()})
        self.client.log_metric(self.id, f"search.{found.metric}", found.best.value)
        self.tags({"search": found.told()})

    def document(self, name: str, payload: Mapping[str, Any]) -> None:
        """Keep a JSON document beside the model."""
        self.artifacts.mkdir(parents=True, exist_ok=True)
        text = json.dumps(payload, indent=1, sort_keys=True, default=str)
        (self.artifacts / name).write_text(text, encoding="utf-8")


@contextlib.contextmanager
def attempt(stores: Stores, product: str, tags: Mapping[str, str]) -> Iterator[Attempt]:
    """A new run in the product's experiment: FINISHED when the body ends well, FAILED when it raises.

    Earlier runs of the product that are still RUNNING although their process is gone are ended as
    KILLED first; those of another machine are left alone, since nobody here can know.
    """
    client = open_mlflow(stores)
    experiment = experiment_id(stores, client, product)
    end_killed(client, experiment)
    run = client.create_run(
        experiment, run_name=tags.get("split"), tags={**tags, PROCESS_TAG: this_process()}
    )
    folder = Path(unquote(urlparse(run.info.artifact_uri).path))
    try:
        yield Attempt(client, run.info.run_id, folder)
    except BaseException as error:
        stopped = not isinstance(error, Exception)  # an interrupt from outside
        client.set_tag(run.info.run_id, "error", f"{type(error).__name__}: {error}"[:_LONGEST_PARAMETER])
        client.set_terminated(run.info.run_id, "KILLED" if stopped else "FAILED")
        raise
    client.set_terminated(run.info.run_id, "FINISHED")


def end_killed(client: Any, experiment: str) -> list[str]:
    """End runs whose process is gone; their ids."""
    running = client.search_runs(
        [experiment], filter_string="attributes.status = 'RUNNING'", max_results=1000
    )
    gone = [run.info.run_id for run in running if _is_gone(run.data.tags.get(PROCESS_TAG, ""))]
    for identifier in gone:
        client.set_tag(identifier, "error", "its process ended without a word")
        client.set_terminated(identifier, "KILLED")
    return gone


def this_process() -> str:
    """Machine, process id and when it started: a process id alone comes again."""
    import psutil

    pid = os.getpid()
    return f"{socket.gethostname()}/{pid}/{psutil.Process(pid).create_time():.2f}"


def _is_gone(process: str) -> bool:
    import psutil

    try:
        host, pid, started = process.rsplit("/", 2)
        if host != socket.gethostname():
            return False
        return f"{psutil.Process(int(pid)).create_time():.2f}" != started
    except psutil.NoSuchProcess:
        return True
    except ValueError:
        return False  # not ours
