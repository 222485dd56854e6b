"""Parity of whole feature vectors: what serving answers for a request against the training row of it.

A feature service with its on-demand views is asked twice for the same entities and request values: through
Feast's online call, and through its point-in-time join at the moment the online values are of.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from platform_assets.declaration.feast_project import TrainingSet
from platform_assets.errors import Blocked, PlatformError
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.feast_project.compared_view import typed
from platform_assets.feast_project.feast_errors import store_told
from platform_assets.feast_project.latest_rows import PARTITION, event_times
from platform_assets.feast_project.online_rows import FIX, read_online
from platform_assets.feast_project.online_state import check_unchanged, is_newer, online_state
from platform_assets.feast_project.open_project import OpenProject
from platform_assets.feast_project.parity_evidence import record_parity
from platform_assets.feast_project.snapshot import View
from platform_assets.feast_project.training_set import (
    TIME,
    feature_references,
    join_features,
    read_frame,
    request_values,
    training_version,
    views_read,
)
from platform_assets.parity.differences import column_of, compare, differing_places
from platform_assets.parity.key_alignment import key_hash, lowest_hashes
from platform_assets.vocabulary import feast_table

if TYPE_CHECKING:
    import pyarrow as pa

REQUESTS = 2_000
"""Requests asked at most; Feast answers about a thousand a second."""
BATCH = 500


def service_parity(opened: OpenProject, declared: TrainingSet, *, run_id: str = "") -> Evidence:
    """Compare a sample of the entity frame's requests, and record the evidence.

    PASSED when at most the declared share of requests differs, FAILED when more do, UNKNOWN when a view
    is not materialized, views are of different moments, or a store is down. Requests of entities whose
    values were pushed since are left out and counted.
    """
    versions = {"training_set": training_version(opened.snapshot, declared)}
    try:
        as_of, digests = _one_moment(opened, declared)
        versions |= {**digests, "as_of": as_of.isoformat()}
        measured = _measure(opened, declared, as_of)
        verdict, reason = _judged(opened, declared, measured)
    except PlatformError as error:
        verdict, reason, measured = Verdict.UNKNOWN, str(error), {}
    return record_parity(
        opened,
        feast_table(opened.name, "served", declared.name),
        versions,
        verdict,
        reason,
        measured,
        most={"requests": min(REQUESTS, opened.project.parity.entities)},
        run_id=run_id,
    )


def _one_moment(opened: OpenProject, declared: TrainingSet) -> tuple[datetime, dict[str, str]]:
    """The moment that all views are online as of, and what they hold; Blocked when they differ in it."""
    states = {view.name: online_state(opened, view) for view in views_read(opened.snapshot, declared)}
    moments = {name: state.as_of for name, state in states.items()}
    if len(set(moments.values())) > 1:
        told = ", ".join(f"{name} {moment.isoformat()}" for name, moment in sorted(moments.items()))
        raise Blocked(f"views are online as of different moments ({told}); materialize them in one run")
    for view in views_read(opened.snapshot, declared):
        check_unchanged(opened, view, states[view.name])
    return next(iter(moments.values())), {f"online:{n}": s.manifest.digest for n, s in states.items()}


def _measure(opened: OpenProject, declared: TrainingSet, as_of: datetime) -> dict[str, Any]:
    asked = _requests(opened, declared)
    requests = _without_pushed(opened, declared, asked)
    features = [feature for _, feature in feature_references(opened.snapshot, declared)]
    moment = _moments(as_of, requests.num_rows)
    trained = join_features(opened, declared, requests.append_column(TIME, moment))
    served = _served(opened, declared, requests)
    found = {
        name: compare(
            name,
            typed(served[name], trained.column(name)),
            column_of(trained.column(name)),
            tolerance=opened.project.parity.tolerance,
        )
        for name in features
    }
    places = differing_places(found, requests.num_rows)
    examples = []
    for place in places.nonzero()[0].tolist()[:5]:
        for name, difference in found.items():
            if difference.places[place]:
                examples.append(
                    {
                        "feature": name,
                        "key_hash": key_hash(list(requests.slice(place, 1).to_pylist()[0].values())),
                        "served": str(served[name][place]),
                        "trained": str(trained.column(name)[place].as_py()),
                    }
                )
    differing = int(places.sum())
    return {
        "as_of": as_of.isoformat(),
        "requests": requests.num_rows,
        "pushed_since": asked.num_rows - requests.num_rows,
        "differing": differing,
        "share": differing / requests.num_rows,
        "features": [difference.row() for difference in found.values()],
        "examples": examples,
    }


def _judged(opened: OpenProject, declared: TrainingSet, measured: dict[str, Any]) -> tuple[Verdict, str]:
    count, differing = measured["requests"], measured["differing"]
    if measured["share"] > opened.project.parity.at_most:
        worst = max(measured["features"], key=lambda row: row["mismatch"] + row["missing"] + row["extra"])
        return Verdict.FAILED, (
            f"{differing} of {count} requests of {declared.name} are served other features than training "
            f"takes, most in {worst['feature']}; at most {opened.project.parity.at_most:.2%} may"
        )
    return Verdict.PASSED, f"{count - differing} of {count} requests of {declared.name} equal training"


def _requests(opened: OpenProject, declared: TrainingSet) -> pa.Table:
    """Distinct requests of the entity frame (join keys and request values), those that hash lowest."""
    import pyarrow as pa

    frame = read_frame(opened, declared)
    keys = [k for view in views_read(opened.snapshot, declared) for k in view.join_keys]
    values = [field.name for field in request_values(opened.snapshot, declared)]
    names = list(dict.fromkeys([*keys, *values]))
    nobodys = [view.name for view in views_read(opened.snapshot, declared) if not view.join_keys]
    if nobodys:
        raise Blocked(
            f"training set {declared.name}: Feast answers no online request over {', '.join(nobodys)}, which "
            f"has no entity, together with others; its parity is measured alone"
        )
    distinct = frame.select(names).group_by(names).aggregate([]).sort_by([(n, "ascending") for n in names])
    most = min(REQUESTS, opened.project.parity.entities)
    return distinct.take(pa.array(lowest_hashes(distinct, most), pa.int64())).combine_chunks()


def _without_pushed(opened: OpenProject, declared: TrainingSet, requests: pa.Table) -> pa.Table:
    """The requests whose entities are served what the source has; Blocked when none is left."""
    import pyarrow as pa

    pushed = [False] * requests.num_rows
    for view in views_read(opened.snapshot, declared):
        if view.pushed_by:
            found = _pushed(opened, view, requests.select(list(view.join_keys)))
            pushed = [before or now for before, now in zip(pushed, found, strict=True)]
    if all(pushed):
        raise Blocked(f"training set {declared.name}: every entity's values were pushed since the source's")
    return requests.filter(pa.array([not one for one in pushed]))


def _pushed(opened: OpenProject, view: View, keys: pa.Table) -> list[bool]:
    """Whether each key's stored row is newer than the source's and has a value."""
    rows = opened.stores.lake.table(feast_table(opened.name, "views", view.name)).read([PARTITION])
    newest = dict(zip(_tuples(rows.select(keys.column_names)), event_times(rows), strict=True))
    stored = read_online(opened, view, keys)
    return [
        (key not in newest or is_newer(stored.times[place], newest[key]))
        and any(values[place] is not None for values in stored.values.values())
        for place, key in enumerate(_tuples(keys))
    ]


def _tuples(keys: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in keys.columns), strict=True))


def _moments(as_of: datetime, count: int) -> pa.Array:
    import pyarrow as pa

    return pa.array([as_of] * count, pa.timestamp("us", tz="UTC"))


def _served(opened: OpenProject, declared: TrainingSet, requests: pa.Table) -> dict[str, list[Any]]:
    """What Feast's online call answers, a value a request and feature."""
    features: Any = (
        opened.feast.get_feature_service(declared.feature_service)
        if declared.feature_service
        else list(declared.features)
    )
    names = [feature for _, feature in feature_references(opened.snapshot, declared)]
    found: dict[str, list[Any]] = {name: [] for name in names}
    with store_told(opened.online_store, FIX):
        for start in range(0, requests.num_rows, BATCH):
            rows = requests.slice(start, BATCH).to_pylist()
            answer = opened.feast.get_online_features(features=features, entity_rows=rows).to_dict()
            for name in names:
                found[name].extend(answer[name])
    return found
