"""Every kind of cause, planted into a real store or lake, is told apart, repaired, and proved repaired."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from planted_faults import Columns, alter, as_of, held, keep, remove, write
from sales_world import DAYS, MEMBER_RETURNS, NEWEST, REPOSITORY, SHOP_TRADE, World, sales, write_raw

from platform_assets.declaration.feature_view import FeatureView
from platform_assets.declaration.repository import Repository
from platform_assets.evidence.evidence import Evidence, Verdict
from platform_assets.online.online_store import fill_online
from platform_assets.parity.hypotheses import Cause
from platform_assets.parity.repair import carry_out
from platform_assets.parity.repair_plan import BUILD, FILL
from platform_assets.parity.view_parity import view_parity
from platform_assets.vocabulary import feature_table, raw_table

SHOPS = [f"shop {n}" for n in range(4)]
DAY = 24 * 3_600_000_000


def at(day: str) -> int:
    return int((datetime.fromisoformat(day) - datetime(1970, 1, 1)).total_seconds()) * 1_000_000


def late_data(world: World) -> None:
    """A day is corrected after the fill; its features are built again, the store is not filled again."""
    write_raw(world.stores, DAYS[-2], sales(DAYS[-2], rows=52))
    world.build()


def late_data_in_features(world: World) -> None:
    """The store follows the correction, the feature day does not."""
    write_raw(world.stores, DAYS[-2], sales(DAYS[-2], rows=52))
    world.fill()


def stuck(world: World) -> None:
    rows = sales(NEWEST)
    moments = pc.add(rows["sold_at"], pa.scalar(DAY, pa.duration("us")))
    slips = pc.add(rows["slip"], 1000)
    rows = rows.set_column(2, "sold_at", moments).set_column(1, "slip", slips)
    write_raw(world.stores, "2024-03-06", rows)
    world.build(("2024-03-06",))


def stuck_row(world: World) -> None:
    """One shop's row is the one that the fill of the day before wrote."""
    until = at(NEWEST)
    alter(
        world, SHOP_TRADE, ["shop 1"], lambda c: keep(c, lambda n: c["event_us"][n] < until),
        stamp=as_of(world, SHOP_TRADE).replace(day=4),
    )  # fmt: skip


def missed_window(world: World) -> None:
    first, last = at(DAYS[-2]), at(NEWEST)
    alter(world, SHOP_TRADE, SHOPS, lambda c: keep(c, lambda n: not first <= c["event_us"][n] < last))


def ttl(world: World) -> None:
    oldest = at(NEWEST) + DAY - 1 - DAY
    alter(world, SHOP_TRADE, SHOPS[:2], lambda c: keep(c, lambda n: c["event_us"][n] >= oldest))


def time_zone(world: World) -> None:
    moved = 2 * 3_600_000_000
    alter(world, SHOP_TRADE, SHOPS, lambda c: c | {"event_us": [t + moved for t in c["event_us"]]})


def float_width(world: World) -> None:
    def narrow(columns: Columns) -> Columns:
        return columns | {"value_weight": [float(np.float32(v)) for v in columns["value_weight"]]}

    alter(world, SHOP_TRADE, SHOPS, narrow)


def null_or_default(world: World) -> None:
    def filled(columns: Columns) -> Columns:
        return columns | {"value_weight": [0.0 if v != v else v for v in columns["value_weight"]]}

    alter(world, SHOP_TRADE, SHOPS, filled)


def tie(world: World) -> None:
    def once(columns: Columns) -> Columns:
        times = columns["event_us"]
        return keep(columns, lambda n: n == 0 or times[n] != times[n - 1])

    alter(world, SHOP_TRADE, SHOPS, once)


def key_encoding(world: World) -> None:
    """A writer spells a shop in its own way."""
    (columns,) = held(world, SHOP_TRADE, ["shop 1"])
    remove(world, SHOP_TRADE, "shop 1")
    write(world, SHOP_TRADE, {" Shop 1": columns})


def key_type(world: World) -> None:
    """A writer keeps a whole number as text."""
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    (columns,) = held(world, MEMBER_RETURNS, [3])
    remove(world, MEMBER_RETURNS, 3)
    key = EntityKey(join_keys=["member"], entity_values=[Value(string_val="3")])
    write(world, MEMBER_RETURNS, {"3": columns}, key=key)


def definition_version(world: World) -> None:
    """The feature day was built by another version of the view."""
    table = world.stores.lake.table(feature_table(SHOP_TRADE.name))
    manifest = table.manifest(NEWEST)
    assert manifest is not None
    rows = table.read([NEWEST])
    place = rows.column_names.index("sales_6h")
    other = rows.set_column(place, "sales_6h", pc.add(rows["sales_6h"], 1))
    table.write(NEWEST, other, key=manifest.key, code_version="v0", inputs=manifest.inputs, cause="test")


def foreign_write(world: World) -> None:
    """Somebody else writes what the lake never held, as of now."""
    alter(
        world, SHOP_TRADE, ["shop 2"], lambda c: c | {"value_price": [p + 7 for p in c["value_price"]]},
        stamp=datetime.now().astimezone(),
    )  # fmt: skip


def foreign_rows(world: World) -> None:
    """The lake's feature rows are other than their inputs give, though the manifest says nothing."""
    table = world.stores.lake.table(feature_table(SHOP_TRADE.name))
    manifest = table.manifest(NEWEST)
    assert manifest is not None
    rows = table.read([NEWEST])
    place = rows.column_names.index("sales_6h")
    other = rows.set_column(place, "sales_6h", pc.add(rows["sales_6h"], 1))
    table.write(
        NEWEST,
        other,
        key=manifest.key,
        code_version=manifest.code_version,
        inputs=manifest.inputs,
        cause="test",
    )


def foreign_file(world: World) -> None:
    """Somebody wrote into the file itself: the manifest still vouches for it."""
    table = world.stores.lake.table(feature_table(SHOP_TRADE.name))
    manifest = table.manifest(NEWEST)
    assert manifest is not None
    rows = table.read([NEWEST])
    place = rows.column_names.index("sales_6h")
    with table.path(manifest).open("wb") as file:  # in place, as readers of the stable folder see it too
        pq.write_table(rows.set_column(place, "sales_6h", pc.add(rows["sales_6h"], 1)), file)


def unknown(world: World) -> None:
    """Every second event of one shop is lost, as no known fault does it."""
    alter(world, SHOP_TRADE, ["shop 3"], lambda c: keep(c, lambda n: n % 2 == 0))


Fault = Callable[[World], None]
SERVED: dict[str, tuple[Fault, FeatureView, Cause, str]] = {
    "late data": (late_data, SHOP_TRADE, Cause.LATE_DATA, "changed after the store was filled"),
    "stuck": (stuck, SHOP_TRADE, Cause.STUCK_MATERIALIZATION, "ends before the lake's newest raw day"),
    "stuck row": (stuck_row, SHOP_TRADE, Cause.STUCK_MATERIALIZATION, "an earlier fill wrote"),
    "missed window": (missed_window, SHOP_TRADE, Cause.MISSED_WINDOW, "2024-03-04T00:00"),
    "ttl": (ttl, SHOP_TRADE, Cause.TTL, "TTL of 1d"),
    "time zone": (time_zone, SHOP_TRADE, Cause.TIME_ZONE, "2 hours late"),
    "float width": (float_width, SHOP_TRADE, Cause.FLOAT_WIDTH, "weight was kept in 32 bits"),
    "null or default": (null_or_default, SHOP_TRADE, Cause.NULL_OR_DEFAULT, "missing weight was kept as 0"),
    "tie": (tie, SHOP_TRADE, Cause.TIE, "only the first is there"),
    "key encoding": (key_encoding, SHOP_TRADE, Cause.KEY_ENCODING, "another spelling"),
    "key type": (key_type, MEMBER_RETURNS, Cause.KEY_ENCODING, "spelling or type"),
    "foreign write": (foreign_write, SHOP_TRADE, Cause.FOREIGN_WRITE, "stamped otherwise"),
    "unknown": (unknown, SHOP_TRADE, Cause.UNKNOWN, "no hypothesis"),
}
TRAINED: dict[str, tuple[Fault, FeatureView, Cause, str]] = {
    "late data": (late_data_in_features, SHOP_TRADE, Cause.LATE_DATA, "before raw days in its reach changed"),
    "definition": (definition_version, SHOP_TRADE, Cause.DEFINITION_VERSION, "another version of the view"),
    "foreign rows": (foreign_rows, SHOP_TRADE, Cause.FOREIGN_WRITE, "its own inputs do not give"),
    "foreign file": (foreign_file, SHOP_TRADE, Cause.FOREIGN_WRITE, "its own inputs do not give"),
}


def causes(evidence: Evidence) -> list[tuple[str, str]]:
    return [(row["cause"], row["wrong side"]) for row in evidence.measured["causes"]]


def with_fault(world: World, fault: Fault) -> World:
    fault(world)
    return world


def proved(world: World, view: FeatureView, first: Evidence) -> None:
    """The plan carried out, a second measurement passes and names the first."""
    second = carry_out(world.stores, REPOSITORY, view, first)
    assert second.verdict is Verdict.PASSED, second.reason
    assert second.measured["after"] == first.id
    assert second.measured["causes"] == second.measured["repair"] == []
    assert second.measured["foreign"] == 0


@pytest.mark.parametrize("name", SERVED)
def test_what_the_store_has_wrong_is_told_and_repaired(name: str, world: World) -> None:
    fault, view, cause, told = SERVED[name]
    with_fault(world, fault)
    evidence = view_parity(world.stores, REPOSITORY, view)
    assert evidence.verdict is Verdict.FAILED, evidence.reason
    assert causes(evidence) == [(str(cause), "served")]
    assert told in evidence.measured["causes"][0]["told by"]
    assert evidence.measured["causes"][0]["entities"] == evidence.measured["differing"]
    assert [step["do"] for step in evidence.measured["repair"]] == [FILL]
    proved(world, view, evidence)


@pytest.mark.parametrize("name", TRAINED)
def test_what_training_has_wrong_is_told_and_repaired(name: str, world: World) -> None:
    fault, view, cause, told = TRAINED[name]
    with_fault(world, fault)
    evidence = view_parity(world.stores, REPOSITORY, view)
    assert evidence.verdict is Verdict.FAILED, evidence.reason
    assert causes(evidence) == [(str(cause), "trained")]
    assert told in evidence.measured["causes"][0]["told by"]
    assert [(step["do"], step["days"]) for step in evidence.measured["repair"]] == [(BUILD, NEWEST)]
    proved(world, view, evidence)


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVED)
def test_the_same_on_redis(name: str, tmp_path: Path, empty_redis: str) -> None:
    fault, view, cause, _ = SERVED[name]
    world = World.at(tmp_path, online=empty_redis)
    world.build()
    world.fill()
    with_fault(world, fault)
    evidence = view_parity(world.stores, REPOSITORY, view)
    assert causes(evidence) == [(str(cause), "served")]
    proved(world, view, evidence)


def test_a_repaired_file_is_the_one_that_others_read(tmp_path: Path) -> None:
    """The stable folder holds a hard link to the file: it must follow."""
    world = World.at(tmp_path)
    world.build()
    world.fill()
    stable = world.stores.lake.table(feature_table(SHOP_TRADE.name)).stable_folder() / f"{NEWEST}.parquet"
    before = pq.read_table(stable)
    with_fault(world, foreign_file)
    assert pq.read_table(stable) != before
    proved(world, SHOP_TRADE, view_parity(world.stores, REPOSITORY, SHOP_TRADE))
    assert pq.read_table(stable) == before


def test_the_repair_names_the_days_and_entities_that_change(world: World) -> None:
    with_fault(world, missed_window)
    (step,) = view_parity(world.stores, REPOSITORY, SHOP_TRADE).measured["repair"]
    assert (step["days"], step["entities"], step["view"]) == (DAYS[-2], 4, "shop_trade")
    assert len(step["key hashes"].split(", ")) == 3


def test_no_key_is_in_the_evidence(world: World) -> None:
    import json

    with_fault(world, unknown)
    evidence = view_parity(world.stores, REPOSITORY, SHOP_TRADE)
    told = json.dumps(evidence.measured)
    assert "shop 3" not in told
    assert "till" not in told
    assert len(evidence.measured["examples"][0]["key_hash"]) == 12


def test_two_faults_are_told_apart(world: World) -> None:
    def both(world: World) -> None:
        unknown(world)
        alter(
            world,
            SHOP_TRADE,
            ["shop 0"],
            lambda c: c | {"event_us": [t - 3_600_000_000 for t in c["event_us"]]},
        )

    with_fault(world, both)
    found = causes(view_parity(world.stores, REPOSITORY, SHOP_TRADE))
    assert sorted(found) == [("time zone", "served"), ("unknown cause", "served")]


def test_a_cause_is_found_without_feasts_registry(world: World) -> None:
    with_fault(world, stuck_row)
    (world.stores.home.feast / "registry.db").write_bytes(b"damaged")
    assert causes(view_parity(world.stores, REPOSITORY, SHOP_TRADE)) == [("stuck materialization", "served")]


def test_what_differs_fails_also_where_no_cause_can_be_looked_for(world: World) -> None:
    """The raw day that the store was filled from was collected as garbage."""
    table = world.stores.lake.table(raw_table("sales"))
    filled_from = table.manifest(DAYS[-2])
    assert filled_from is not None
    with_fault(world, late_data)
    table.path(filled_from).unlink()
    evidence = view_parity(world.stores, REPOSITORY, SHOP_TRADE)
    assert (evidence.verdict, causes(evidence)) == (Verdict.FAILED, [("unknown cause", "served")])
    assert "could not be looked for" in evidence.measured["causes"][0]["told by"]
    proved(world, SHOP_TRADE, evidence)


# a fill that was really killed

KILLED = """
import os, signal, sys
from platform_assets.home import Home
from platform_assets.online import online_fill, redis_backend, sqlite_backend
from platform_assets.stores import Stores
from sales_world import REPOSITORY, SHOP_TRADE

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[3] == "half of the rows":
    lines, timestamps = sqlite_backend._lines, redis_backend._timestamps
    def cut(made):
        for n, line in enumerate(made):
            if n == 9:
                die()
            yield line
    sqlite_backend._lines = lambda rows: cut(lines(rows))
    redis_backend._CHUNK = 2
    redis_backend._timestamps = lambda *given: Cut(timestamps(*given))
    class Cut(list):
        def __getitem__(self, place):
            if place.start:
                die()
            return super().__getitem__(place)
else:
    online_fill._publish = die  # the slot is written, the manifest is not
online_fill.fill_online(Stores.at(Home.at(sys.argv[1], sys.argv[2])), REPOSITORY, SHOP_TRADE, cause="killed")
"""


def killed_fill(world: World, moment: str) -> None:
    """A newer raw day is there, and the fill that should have taken it in dies at a moment."""
    stuck(world)
    home = world.stores.home
    worlds = str(Path(__file__).resolve().parents[1] / "worlds")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(home.root), home.online, moment],
        env={**os.environ, "PYTHONPATH": worlds}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


def told_as_stuck_and_healed(world: World, moment: str) -> None:
    killed_fill(world, moment)
    evidence = view_parity(world.stores, REPOSITORY, SHOP_TRADE)
    assert evidence.verdict is Verdict.FAILED
    assert causes(evidence) == [("stuck materialization", "served")]
    assert "ends before the lake's newest raw day" in evidence.measured["causes"][0]["told by"]
    proved(world, SHOP_TRADE, evidence)


MOMENTS = ("half of the rows", "before the switch")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_fill_is_told_as_stuck_and_healed(world: World, moment: str) -> None:
    told_as_stuck_and_healed(world, moment)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_fill_killed_over_redis(tmp_path: Path, empty_redis: str, moment: str) -> None:
    world = World.at(tmp_path, online=empty_redis)
    world.build()
    world.fill()
    told_as_stuck_and_healed(world, moment)


# nothing is served: told, and repaired all the same


def _other_version(world: World) -> Repository:
    features = [f for f in SHOP_TRADE.features if f.name != "max_2d"]
    views = {
        **REPOSITORY.feature_views,
        SHOP_TRADE.name: SHOP_TRADE.model_copy(update={"features": tuple(features)}),
    }
    return Repository(REPOSITORY.sources, REPOSITORY.entities, views, REPOSITORY.folders)


def test_a_store_of_another_definition_serves_nothing(world: World) -> None:
    repository = _other_version(world)
    view = repository.feature_view("shop_trade")
    evidence = view_parity(world.stores, repository, view)
    assert evidence.verdict is Verdict.UNKNOWN
    assert causes(evidence) == [("definition version", "served")]


def test_a_view_that_was_never_filled_is_stuck(tmp_path: Path) -> None:
    world = World.at(tmp_path)
    world.build()
    evidence = view_parity(world.stores, REPOSITORY, SHOP_TRADE)
    assert (evidence.verdict, causes(evidence)) == (Verdict.UNKNOWN, [("stuck materialization", "served")])
    proved(world, SHOP_TRADE, evidence)


def test_a_store_that_is_gone_is_filled_again(world: World) -> None:
    with_fault(world, lambda w: (w.stores.home.feast / "online.db").unlink())
    evidence = view_parity(world.stores, REPOSITORY, SHOP_TRADE)
    assert (evidence.verdict, causes(evidence)) == (Verdict.UNKNOWN, [("unknown cause", "served")])
    proved(world, SHOP_TRADE, evidence)


def test_a_passed_parity_needs_no_repair(world: World) -> None:
    evidence = view_parity(world.stores, REPOSITORY, SHOP_TRADE)
    assert evidence.measured["repair"] == []
    assert carry_out(world.stores, REPOSITORY, SHOP_TRADE, evidence) == evidence
    fill_online(world.stores, REPOSITORY, SHOP_TRADE, cause="test")
