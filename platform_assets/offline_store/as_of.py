"""The as-of join as a Feast offline store.

In `feature_store.yaml`, of any Feast repository whose sources are Parquet files:

    offline_store:
      type: platform_assets.offline_store.as_of.AsOfOfflineStore
      memory_limit: 2GB
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalMetadata  # noqa: TID253 - Feast loads it
from feast.repo_config import FeastConfigBaseModel, RepoConfig  # noqa: TID253
from pydantic import StrictStr

from platform_assets.errors import SourceError
from platform_assets.features.engine import MEMORY_LIMIT, duckdb_engine
from platform_assets.offline_store.historical_features import (
    DUMMY_KEY,
    RequestedView,
    historical_features,
    time_columns,
)
from platform_assets.offline_store.parquet_writes import add_files, append_to_source, parquet_rows
from platform_assets.offline_store.pulled_rows import PulledRows, pulled_columns
from platform_assets.offline_store.retrieval_job import AsOfRetrievalJob
from platform_assets.offline_store.source_files import open_source, parquet_paths, source_path

if TYPE_CHECKING:
    import pyarrow as pa


class AsOfOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Settings below `offline_store` in feature_store.yaml."""

    type: StrictStr = "platform_assets.offline_store.as_of.AsOfOfflineStore"
    """The class path of the store."""

    memory_limit: StrictStr = MEMORY_LIMIT
    """What a join may hold in memory before it spills to the temporary folder; results come on top."""

    staging_location: StrictStr | None = None
    """A folder that `to_remote_storage` exports to."""


class AsOfOfflineStore(OfflineStore):  # type: ignore[misc]
    """Point-in-time joins over Parquet files by DuckDB's ASOF join."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[Any],
        feature_refs: list[str],
        entity_df: Any,
        registry: Any,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> AsOfRetrievalJob:
        """Each row of the entity frame with the features known at its time, in the same order.

        Raises SourceError or DeclarationError, before anything is read, for what cannot be joined.
        """
        import pandas as pd
        from feast.on_demand_feature_view import OnDemandFeatureView
        from feast.utils import compute_non_entity_date_range

        period = None
        if entity_df is None:
            period = compute_non_entity_date_range(feature_views, start_date=start_date, end_date=end_date)
        request = historical_features(
            [_requested(view, feature_refs, full_feature_names) for view in feature_views],
            entity_df,
            repo_path=config.repo_path,
            period=period,
            as_known_then=filter_by_created_timestamp,
            memory_limit=config.offline_store.memory_limit,
        )
        rows = request.rows
        first, last = period or rows.bounds()
        return AsOfRetrievalJob(
            request.open,
            repo_path=config.repo_path,
            staging_location=config.offline_store.staging_location,
            entity_frame=rows.given if isinstance(rows.given, pd.DataFrame) else None,
            full_feature_names=full_feature_names,
            on_demand_feature_views=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[name for name in rows.columns if name != rows.event_timestamp],
                min_event_timestamp=first,
                max_event_timestamp=last,
            ),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: Any,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> AsOfRetrievalJob:
        """The newest row of each entity between two times, both included."""
        wanted = (join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column)
        return _pulled(config, data_source, *wanted, start_date, end_date, newest_only=True)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: Any,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> AsOfRetrievalJob:
        """All rows between two times, both included, in the order of the files."""
        wanted = (join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column)
        return _pulled(config, data_source, *wanted, start_date, end_date, newest_only=False)

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: Any, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Add rows to the files of a view, after those that are there."""
        source = feature_view.batch_source
        if source is None:
            raise SourceError(f"feature view {feature_view.name!r}: has no batch source to write to")
        with duckdb_engine(config.offline_store.memory_limit) as engine:
            files = open_source(engine, source, config.repo_path)
        # Feast has renamed the columns by the field mapping; the files have their own names
        own = {new: old for old, new in (source.field_mapping or {}).items() if old in files.types}
        # and pandas may have added its index
        index = [name for name in table.column_names if name.startswith("__index_level_")]
        table = table.drop_columns([name for name in index if name not in files.types])
        table = table.rename_columns([own.get(name, name) for name in table.column_names])
        append_to_source(files, source_path(source, config.repo_path), table)
        if progress is not None:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: RepoConfig, data: pa.Table | Path, source: Any, logging_config: Any, registry: Any
    ) -> None:
        """Add served features to the folder that a feature service logs to."""
        destination = logging_config.destination
        folder = source_path(destination.to_data_source(), config.repo_path)
        table = parquet_rows(data) if isinstance(data, Path) else data
        add_files(table, folder, destination.partition_by or [])

    def validate_data_source(self, config: RepoConfig, data_source: Any) -> None:
        """Raise SourceError when the files lack the declared times; files not there yet are only told."""
        if not parquet_paths(source_path(data_source, config.repo_path)):
            data_source.validate(config=config)
            return
        with duckdb_engine(config.offline_store.memory_limit) as engine:
            files = open_source(engine, data_source, config.repo_path)
        if data_source.timestamp_field:  # Feast may infer it later
            time_columns(data_source, _mapping(data_source), files)

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: Any
    ) -> Iterable[tuple[str, str]]:
        """Columns of the files with their Arrow types, partition columns included."""
        import pyarrow.parquet as pq

        with duckdb_engine(config.offline_store.memory_limit) as engine:
            files = open_source(engine, data_source, config.repo_path)
            read = engine.sql(f"SELECT * FROM {files.relation} LIMIT 0").to_arrow_table().schema
        written = pq.read_schema(files.paths[0])
        return [
            (field.name, str(written.field(field.name).type if field.name in written.names else field.type))
            for field in read
        ]


def _requested(view: Any, feature_refs: list[str], full_feature_names: bool) -> RequestedView:
    projection = view.projection
    if view.batch_source is None:
        raise SourceError(f"feature view {view.name!r}: has no batch source, so it has no history to read")
    asked = projection.name_to_use()
    features = [ref.split(":", 1)[1] for ref in feature_refs if ref.split(":", 1)[0] == asked]
    prefix = f"{projection.name_alias or view.name}__" if full_feature_names else ""
    keys = [column.name for column in view.entity_columns if column.name != DUMMY_KEY]
    return RequestedView(
        name=asked,
        source=view.batch_source,
        keys=tuple((projection.join_key_map.get(key, key), key) for key in keys),
        features=tuple((feature, prefix + feature) for feature in dict.fromkeys(features)),
        ttl=view.ttl or None,
        mapping=_mapping(view.batch_source),
    )


def _mapping(source: Any) -> dict[str, str]:
    """The column of the files for each name that a source's field mapping gives."""
    return {new: old for old, new in (source.field_mapping or {}).items()}


def _pulled(
    config: RepoConfig,
    source: Any,
    keys: list[str],
    features: list[str],
    timestamp_field: str,
    created_timestamp_column: str | None,
    start: datetime | None,
    end: datetime | None,
    *,
    newest_only: bool,
) -> AsOfRetrievalJob:
    keys = [key for key in keys if key != DUMMY_KEY]
    mapping = _mapping(source)
    with duckdb_engine(config.offline_store.memory_limit) as engine:
        files = open_source(engine, source, config.repo_path)
    event = files.moment(timestamp_field, mapping.get(timestamp_field, ""), role="timestamp_field")
    created = created_timestamp_column or None
    if created:
        created = files.moment(created, mapping.get(created, ""), role="created_timestamp_column")
    times = [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
    # without features Feast wants every column: a transformation chooses among them
    names = [*keys, *features, *times] if features else [*files.types]
    rows = PulledRows(
        files=files,
        columns=pulled_columns(files, names, mapping),
        keys=tuple(column for column, _ in pulled_columns(files, keys, mapping)),
        event_timestamp=event,
        created_timestamp=created,
        start=start,
        end=end,
        newest_only=newest_only,
        memory_limit=config.offline_store.memory_limit,
    )
    return AsOfRetrievalJob(
        rows.open, repo_path=config.repo_path, staging_location=config.offline_store.staging_location
    )
