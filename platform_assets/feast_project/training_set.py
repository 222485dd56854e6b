"""Point-in-time training sets through Feast's own join, with what it may lose or add told at once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feast_project import TrainingSet
from platform_assets.errors import Blocked, DeclarationError, SourceError, UnknownName
from platform_assets.feast_project.feast_errors import store_told
from platform_assets.feast_project.open_project import OpenProject
from platform_assets.feast_project.snapshot import Field, Snapshot, View
from platform_assets.feast_project.source_state import source_state
from platform_assets.feast_project.utc_times import in_utc
from platform_assets.lake.digest import document_digest
from platform_assets.lake.manifest import Manifest
from platform_assets.vocabulary import feast_table

if TYPE_CHECKING:
    import pyarrow as pa

PARTITION = "all"
ROW = "_row"
TIME = "event_timestamp"


def feature_references(snapshot: Snapshot, declared: TrainingSet) -> list[tuple[str, str]]:
    """View and feature of every input, in order; UnknownName tells the nearest of what does not exist."""
    if declared.feature_service:
        service = snapshot.service(declared.feature_service)
        return [(view, feature) for view, features in service.features for feature in features]
    found = []
    on_demand = {view.name: view for view in snapshot.on_demand_views}
    for reference in declared.features:
        view, feature = reference.split(":")
        if view not in on_demand and view not in {v.name for v in snapshot.views}:
            raise UnknownName.among("feature view", view, [*on_demand, *(v.name for v in snapshot.views)])
        fields = on_demand[view].features if view in on_demand else snapshot.view(view).features
        if feature not in {field.name for field in fields}:
            raise UnknownName.among(f"feature of {view}", feature, [field.name for field in fields])
        found.append((view, feature))
    names = [feature for _, feature in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DeclarationError(f"training set {declared.name}: two features are called {', '.join(twice)}")
    return found


def views_read(snapshot: Snapshot, declared: TrainingSet) -> list[View]:
    """The views with a batch source that a training set's features come from."""
    return snapshot.views_behind(dict.fromkeys(view for view, _ in feature_references(snapshot, declared)))


def request_values(snapshot: Snapshot, declared: TrainingSet) -> list[Field]:
    """What the features ask of the request itself: columns of the entity frame."""
    used = {view for view, _ in feature_references(snapshot, declared)}
    fields = [f for view in snapshot.on_demand_views if view.name in used for f in view.request]
    return list({field.name: field for field in fields}.values())


def frame_path(opened: OpenProject, declared: TrainingSet) -> Path:
    """Where the entity frame lies."""
    path = Path(declared.entities)
    return path if path.is_absolute() else opened.repo / path


def read_frame(opened: OpenProject, declared: TrainingSet) -> pa.Table:
    """The entity frame; SourceError, naming file, column and row count, when it cannot be joined.

    That is: no file, no row, a missing column, a timestamp that is none, nulls in keys, timestamps or
    request values, a row that is there twice.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = frame_path(opened, declared)
    try:
        frame = pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: the entity frame cannot be read ({error}); write it as Parquet") from None
    if not frame.num_rows:
        raise SourceError(f"{path}: the entity frame has no rows")
    keys = dict.fromkeys(k for view in views_read(opened.snapshot, declared) for k in view.join_keys)
    needed = [TIME, *keys, *(field.name for field in request_values(opened.snapshot, declared))]
    for name in needed:
        if name not in frame.column_names:
            raise SourceError(f"{path}: {UnknownName.among('column', name, frame.column_names)}")
        missing = frame.column(name).null_count
        if missing:
            raise SourceError(
                f"{path}: {missing} of {frame.num_rows} rows have no {name!r}; leave them out, or fill it"
            )
    if not pa.types.is_timestamp(frame.schema.field(TIME).type):
        raise SourceError(f"{path}: column {TIME!r} is {frame.schema.field(TIME).type}, not a timestamp")
    _refuse_copies(frame, path)
    both = [f for _, f in feature_references(opened.snapshot, declared) if f in frame.column_names]
    if both:
        raise SourceError(f"{path}: column {both[0]!r} is called like a feature; rename it, or leave it out")
    reserved = sorted({ROW} & set(frame.column_names))
    if reserved:
        raise SourceError(f"{path}: column {reserved[0]!r} is a name of ours; rename it")
    return _in_utc(frame)


def join_features(opened: OpenProject, declared: TrainingSet, frame: pa.Table) -> pa.Table:
    """The frame with its features, row for row in its order, by Feast's own point-in-time join.

    Raises Blocked when the offline store fails, or returns another number of rows than it was given.
    """
    import pyarrow as pa

    numbered = frame.append_column(ROW, pa.array(range(frame.num_rows), pa.int64()))
    features: Any = (
        opened.feast.get_feature_service(declared.feature_service)
        if declared.feature_service
        else list(declared.features)
    )
    return joined(opened, numbered, features)


def joined(opened: OpenProject, numbered: pa.Table, features: Any) -> pa.Table:
    """Rows that carry their number in `ROW`, with features; Blocked unless each comes back exactly once.

    Columns of the rows stay as they were given: through pandas, whole numbers with a null among them
    become doubles.
    """
    with store_told(opened.offline_store, "see that it can be reached, then run again"):
        found = opened.feast.get_historical_features(
            entity_df=numbered.to_pandas(), features=features
        ).to_arrow()
    ordered = found.sort_by(ROW)
    if ordered.column(ROW).to_pylist() != list(range(numbered.num_rows)):
        raise Blocked(
            f"{opened.offline_store}: {found.num_rows} rows came back for {numbered.num_rows}; its join "
            f"loses or repeats rows. Choose another offline store"
        )
    for name in ordered.column_names:
        if name not in numbered.column_names:
            numbered = numbered.append_column(name, ordered.column(name))
    return numbered


def build_training_set(
    opened: OpenProject, declared: TrainingSet, *, cause: str, run_id: str = ""
) -> Manifest:
    """Write the entity frame with its features; the lake keeps every version."""
    references = feature_references(opened.snapshot, declared)
    views = views_read(opened.snapshot, declared)
    opened.check_registered(*views)
    frame = read_frame(opened, declared)
    inputs = {
        feast_table(opened.name, "sources", name): {
            "fingerprint": source_state(opened, opened.snapshot.source(name)).fingerprint
        }
        for name in dict.fromkeys(view.source for view in views)
    }
    rows = join_features(opened, declared, frame)
    inputs["entities"] = {declared.entities: _bytes_digest(frame_path(opened, declared))}
    names = [*frame.column_names, *(feature for _, feature in references)]
    return opened.stores.lake.table(feast_table(opened.name, "training_sets", declared.name)).write(
        PARTITION,
        _in_utc(rows.select([ROW, *dict.fromkeys(names)])),
        key=(ROW,),
        code_version=training_version(opened.snapshot, declared),
        inputs=inputs,
        cause=cause,
        run_id=run_id,
    )


def training_version(snapshot: Snapshot, declared: TrainingSet) -> str:
    """Changes when the same rows would give another training set."""
    on_demand = {view.name: view.code for view in snapshot.on_demand_views}
    references = feature_references(snapshot, declared)
    return document_digest(
        {
            "features": references,
            "views": {view.name: view.version for view in views_read(snapshot, declared)},
            "on_demand": {name: on_demand[name] for name, _ in references if name in on_demand},
        }
    )[:16]


def null_counts(rows: pa.Table, features: Sequence[str]) -> list[dict[str, Any]]:
    """Rows without a value, by feature: what was not known, or older than its TTL."""
    return [
        {
            "feature": name,
            "rows": rows.num_rows,
            "nulls": rows.column(name).null_count,
            "share": round(rows.column(name).null_count / max(rows.num_rows, 1), 4),
        }
        for name in features
    ]


def _refuse_copies(frame: pa.Table, path: Path) -> None:
    import duckdb

    with duckdb.connect() as connection:  # Arrow cannot group by lists
        connection.register("frame", frame)
        found = connection.execute("SELECT count(*) FROM (SELECT DISTINCT * FROM frame)").fetchall()
    copies = frame.num_rows - found[0][0]
    if copies:
        raise SourceError(
            f"{path}: {copies} of {frame.num_rows} rows repeat another in every column; leave them out, or "
            f"tell them apart by a column of their own such as an id"
        )


def _in_utc(frame: pa.Table) -> pa.Table:
    """Timestamps as UTC microseconds: pandas' nanoseconds break readers, and no zone means UTC."""
    import pyarrow as pa

    for place, field in enumerate(frame.schema):
        if pa.types.is_timestamp(field.type):
            frame = frame.set_column(place, field.name, in_utc(frame.column(place)))
    return frame


def _bytes_digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
