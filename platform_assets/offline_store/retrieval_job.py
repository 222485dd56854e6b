"""The result of a request, run when it is asked for."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata  # noqa: TID253 - Feast loads this module

from platform_assets.errors import SourceError
from platform_assets.offline_store.parquet_writes import write_folder, write_rows
from platform_assets.offline_store.source_files import source_path

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from feast.on_demand_feature_view import OnDemandFeatureView
    from feast.saved_dataset import SavedDatasetStorage


class AsOfRetrievalJob(RetrievalJob):  # type: ignore[misc]
    """Rows that `open` gives as a stream, each time anew.

    `entity_frame` are the rows that were asked about, when they are a pandas frame: `to_df` gives its
    columns back as they were. With on-demand views all rows are held in memory, for Feast transforms a
    whole table; without, `to_batches`, `persist` and `to_remote_storage` hold one batch.
    """

    def __init__(
        self,
        open_rows: Callable[[], AbstractContextManager[pa.RecordBatchReader]],
        *,
        repo_path: Path | None,
        staging_location: str | None = None,
        entity_frame: pd.DataFrame | None = None,
        full_feature_names: bool = False,
        on_demand_feature_views: list[OnDemandFeatureView] | None = None,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._open = open_rows
        self._repo_path = repo_path
        self._staging_location = staging_location
        self._entity_frame = entity_frame
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = on_demand_feature_views or []
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        """Whether features are named `view__feature`."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """The on-demand views that Feast applies to the rows."""
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """The features asked for and the period they cover; None for rows pulled from a source."""
        return self._metadata

    def to_df(self, validation_reference: Any = None, timeout: int | None = None) -> pd.DataFrame:
        """All rows as a pandas frame."""
        import pandas as pd

        table = self.to_arrow(validation_reference=validation_reference, timeout=timeout)
        given = self._entity_frame
        if given is None:
            whole: pd.DataFrame = table.to_pandas()
            return whole
        found = table.drop_columns([str(name) for name in given.columns]).to_pandas()
        return pd.concat([given.reset_index(drop=True), found], axis=1)

    def to_batches(self) -> Iterator[pa.RecordBatch]:
        """All rows, some hundred thousand at a time."""
        with self._result() as rows:
            yield from rows

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        with self._open() as rows:
            return rows.read_all()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        whole: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return whole

    def persist(
        self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None
    ) -> None:
        """Write the rows where a saved dataset keeps them, whole or not at all.

        Raises Feast's SavedDatasetLocationAlreadyExists when something is there and may not be replaced.
        """
        from feast.errors import SavedDatasetLocationAlreadyExists

        source = storage.to_data_source()
        target = source_path(source, self._repo_path)
        if target.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=source.path)
        with self._result() as rows:
            write_rows(rows, target)

    def supports_remote_storage_export(self) -> bool:
        """True when `staging_location` is set."""
        return self._staging_location is not None

    def to_remote_storage(self) -> list[str]:
        """Write the rows below `staging_location` and return the paths of the files."""
        if self._staging_location is None:
            raise SourceError(
                "offline store: nowhere to export to; set staging_location of offline_store in "
                "feature_store.yaml to a folder that the readers see too"
            )
        folder = Path(self._repo_path or ".") / self._staging_location / uuid.uuid4().hex
        with self._result() as rows:
            return [str(path) for path in write_folder(rows, folder)]

    def _result(self) -> AbstractContextManager[pa.RecordBatchReader]:
        """The rows with on-demand features, as a stream."""
        if not self.on_demand_feature_views:
            return self._open()
        import contextlib

        return contextlib.nullcontext(self.to_arrow().to_reader())
