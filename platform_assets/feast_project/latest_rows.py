"""Each entity's newest row as of a moment: what a feature view's online values must be.

Feast materializes an interval and remembers the largest end; what arrives late, or was missed, stays
missing. Here the whole history is looked at each time, so the result depends on the source and the
moment alone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from platform_assets.errors import Blocked, SourceError
from platform_assets.feast_project.feast_errors import store_told
from platform_assets.feast_project.open_project import OpenProject, moment_of
from platform_assets.feast_project.snapshot import View
from platform_assets.feast_project.source_state import EPOCH, STATE, WHOLE, SourceState, source_state
from platform_assets.feast_project.utc_times import in_utc, utc_type
from platform_assets.lake.manifest import Manifest
from platform_assets.vocabulary import feast_table

if TYPE_CHECKING:
    import pyarrow as pa

PARTITION = "latest"
TIME = "_event_timestamp"
CREATED = "_created"
EXPIRED = "_expired"


def cut_off(opened: OpenProject, run_began: datetime) -> datetime:
    """The moment as of which a run publishes: its beginning, or the newest row of all sources.

    It is never later than the run's beginning. Raises Blocked when no source was looked at yet.
    """
    began = run_began.astimezone(UTC)
    if opened.project.as_of == "now":
        return began - timedelta(microseconds=1)
    newest = []
    for source in {view.source for view in opened.views}:
        known = opened.stores.lake.table(feast_table(opened.name, "sources", source)).document(STATE)
        if known is None:
            raise Blocked(
                f"source {source!r} was not looked at yet; materialize {opened.asset('source', source)}"
            )
        newest.append(moment_of(known["newest"]))
    return min(max(newest), began)


def build_latest(
    opened: OpenProject, view: View, as_of: datetime, *, cause: str, run_id: str = ""
) -> Manifest:
    """Write the newest row of each entity at `as_of`; a row older than the view's TTL is marked as expired.

    Raises Blocked when the view is not registered, or there is no row up to `as_of`; SourceError for a
    source that cannot be used.
    """
    opened.check_registered(view)
    source = opened.snapshot.source(view.source)
    state = source_state(opened, source)
    rows = _pulled(opened, view, as_of)
    if not rows.num_rows:
        raise Blocked(
            f"feature view {view.name!r}: no row of source {source.name!r} up to {as_of.isoformat()}; its "
            f"rows are from {state.oldest} to {state.newest}"
        )
    return opened.stores.lake.table(feast_table(opened.name, "views", view.name)).write(
        PARTITION,
        rows,
        key=_keys(view),
        code_version=view.version,
        inputs=latest_inputs(opened, view, state, as_of),
        cause=cause,
        run_id=run_id,
        notes={"as_of": as_of.isoformat(), "expired": _expired(rows)},
    )


def latest_inputs(
    opened: OpenProject, view: View, state: SourceState, as_of: datetime
) -> dict[str, dict[str, str]]:
    """What the newest rows follow from: the source as it is, and the moment."""
    return {
        feast_table(opened.name, "sources", view.source): {"fingerprint": state.fingerprint},
        "as_of": {PARTITION: as_of.isoformat()},
    }


def as_of_of(manifest: Manifest) -> datetime:
    """The moment that newest rows were written for."""
    return moment_of(manifest.inputs["as_of"][PARTITION])


def latest_manifest(opened: OpenProject, view: View) -> Manifest:
    """The present newest rows; Blocked when they were never built, or of another version of the view."""
    manifest = opened.stores.lake.table(feast_table(opened.name, "views", view.name)).manifest(PARTITION)
    if manifest is None or manifest.code_version != view.version:
        what = "was not read yet" if manifest is None else "has changed since it was read"
        raise Blocked(f"feature view {view.name!r} {what}; materialize {opened.asset('offline', view.name)}")
    return manifest


def event_times(rows: pa.Table) -> list[datetime]:
    """Event timestamps of newest rows; the lake keeps them in UTC without saying so."""
    return [time.replace(tzinfo=UTC) for time in rows.column(TIME).to_pylist()]


def _keys(view: View) -> tuple[str, ...]:
    from feast.feature_view import DUMMY_ENTITY_ID

    return view.join_keys or (DUMMY_ENTITY_ID,)


def _pulled(opened: OpenProject, view: View, as_of: datetime) -> pa.Table:
    """Newest rows under the view's own names, in the columns' declared order."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from feast.utils import _get_column_names, _run_pyarrow_field_mapping

    feast_view = opened.feast_view(view.name)
    entities = [opened.feast.get_entity(name) for name in view.entities]
    with store_told(opened.offline_store, "see that it can be reached, then run again"):
        keys, features, time, created = _get_column_names(feast_view, entities)
        pulled = opened.feast.provider.offline_store.pull_latest_from_table_or_query(
            config=opened.feast.config,
            data_source=feast_view.batch_source,
            join_key_columns=keys,
            feature_name_columns=features,
            timestamp_field=time,
            created_timestamp_column=created,
            start_date=EPOCH,
            end_date=as_of,
        ).to_arrow()
    if feast_view.batch_source.field_mapping:
        mapping = feast_view.batch_source.field_mapping
        pulled = _run_pyarrow_field_mapping(pulled, mapping)
        time, created = mapping.get(time, time), mapping.get(created, created) if created else None
    columns = {name: pulled.column(name) for name in _keys(view)}
    columns |= {field.name: pulled.column(field.name) for field in view.features}
    columns[TIME] = in_utc(pulled.column(time))
    columns[CREATED] = in_utc(pulled.column(created)) if created else pa.nulls(pulled.num_rows, utc_type())
    oldest = as_of - timedelta(seconds=view.ttl) if view.ttl else EPOCH
    columns[EXPIRED] = pc.less(columns[TIME], pa.scalar(oldest, utc_type()))
    table = pa.table(columns)
    if table.column(_keys(view)[0]).null_count:
        raise SourceError(f"feature view {view.name!r}: rows without a {_keys(view)[0]!r}")
    _check_keys(view, feast_view, table)
    return table


def _check_keys(view: View, feast_view: Any, rows: pa.Table) -> None:
    """SourceError when a key is text on one side and a number on the other: 7 and "7" are different keys."""
    import pyarrow as pa

    for column in feast_view.entity_columns:
        if column.name not in view.join_keys:
            continue
        kind, declared = rows.schema.field(column.name).type, str(column.dtype)
        whole = pa.types.is_integer(kind) and declared == "String"
        text = (pa.types.is_string(kind) or pa.types.is_large_string(kind)) and declared in WHOLE
        if whole or text:
            raise SourceError(
                f"feature view {view.name!r}: join key {column.name!r} is {kind} in source {view.source!r} "
                f"and declared {declared}; declare its entity with the type that the source has"
            )


def _expired(rows: pa.Table) -> int:
    import pyarrow.compute as pc

    return int(pc.sum(rows.column(EXPIRED)).as_py() or 0)
