"""A data scientist's notebook materializes a partition on the shared home."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import nbformat
from clinic import Clinic
from nbclient import NotebookClient

from platform_assets.command_line.dagster_home import prepare

CELLS = (
    """
import dagster as dg
import clinic_code_location
from platform_assets.resources import PlatformResource

assets = list(clinic_code_location.defs.assets)
""",
    """
with dg.DagsterInstance.get() as instance:
    result = dg.materialize(
        assets, selection=[dg.AssetKey(["raw", "appointments"])], partition_key="2025-01-02",
        instance=instance, resources={"platform": PlatformResource()},
    )
    events = instance.get_materialized_partitions(dg.AssetKey(["raw", "appointments"]))
print("success", result.success, sorted(events))
""",
)


def test_notebook_materializes_a_partition(make_clinic: Callable[..., Clinic], monkeypatch: object) -> None:
    clinic = make_clinic(3)
    kept = dict(os.environ)
    try:
        prepare(clinic.stores.home)
        os.environ["CLINIC_DEFS"] = str(clinic.defs)
        here = str(Path(__file__).resolve().parent)
        os.environ["PYTHONPATH"] = os.pathsep.join([here, *filter(None, [kept.get("PYTHONPATH")])])
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    finally:
        os.environ.clear()
        os.environ.update(kept)
    printed = "".join(out.get("text", "") for out in notebook.cells[1].outputs if out.output_type == "stream")
    assert "success True ['2025-01-02']" in printed
    manifest = clinic.stores.lake.table("raw/appointments").manifest("2025-01-02")
    assert manifest is not None
    assert manifest.rows == 200
