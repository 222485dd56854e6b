"""Champion and challenger on the same rows, each with its own features; no common ground is UNKNOWN."""

import pyarrow.compute as pc
import pytest
from registry_world import DAYS, SPLIT_ID, TEST

from platform_assets.registry.comparison import compare, evaluation_rows
from platform_assets.registry.model_versions import lineage


def compared(world, champion, candidate, **changed):
    gate = next(gate for gate in world.product.gates if gate.kind == "not_worse_than_champion")
    before = lineage(world.stores, world.product, champion) | changed
    return compare(
        world.stores,
        world.repository,
        world.product,
        gate,
        lineage(world.stores, world.product, candidate),
        before,
    )


def test_model_against_itself_differs_by_nothing(world):
    found = compared(world, "1", "1")
    assert (found.unknown, found.lower, found.candidate_value) == ("", 0.0, found.champion_value)
    assert (found.rows, found.left_out) == (300, 0)


def test_rows_are_the_candidates_test_rows(world):
    rows, left_out = evaluation_rows(
        world.stores, world.repository, world.product, *[lineage(world.stores, world.product, "1")] * 2
    )
    assert set(rows.column("_split").to_pylist()) == {"test"}
    assert left_out == 0
    assert min(rows.column("at").to_pylist()).date().isoformat() == TEST[0]


@pytest.mark.parametrize(
    ("trained_as_of", "rows"),
    [
        pytest.param(f"{TEST[0]}T00:00:00.000000Z", 300, id="cut before the test days"),
        pytest.param(f"{TEST[1]}T00:00:00.000000Z", 150, id="cut between them"),
        pytest.param("2024-01-05T02:00:00+02:00", 150, id="the same in another zone"),
    ],
)
def test_rows_up_to_either_label_cut_off_are_left_out(world, trained_as_of, rows):
    found = compared(world, "1", "1", trained_as_of=trained_as_of)
    assert (found.rows, found.left_out, found.unknown) == (rows, 300 - rows, "")


def test_row_exactly_at_the_cut_off_is_left_out(world):
    rows, _ = evaluation_rows(
        world.stores, world.repository, world.product, *[lineage(world.stores, world.product, "1")] * 2
    )
    first = min(rows.column("at").to_pylist())
    assert compared(world, "1", "1", trained_as_of=first.isoformat()).rows == 299


def test_no_row_after_the_cut_off_is_unknown(world):
    found = compared(world, "1", "1", trained_as_of="2024-02-01T00:00:00Z")
    assert "none of the 300 test rows lies after both label cut-offs" in found.unknown


def test_worse_model_has_a_bound_below_the_margin(world):
    worse = world.candidate(noise=1.0, regularisation=1e-3)
    assert compared(world, "1", worse).lower < -0.02


def test_champion_on_another_view_version_is_scored_with_its_own_features(world):
    """Version 2 of the view is the amount negated: on it, the champion would be upside down."""
    newer = world.with_view_version(2)
    newer.build_features(DAYS[:5], lambda raw: pc.negate(raw.column("amount")))
    version = newer.candidate()
    found = compared(newer, "1", version)
    assert found.unknown == ""
    assert found.champion_value == pytest.approx(compared(world, "1", "1").champion_value)


def test_champions_features_not_built_for_a_test_day_are_unknown(world):
    newer = world.with_view_version(2)
    newer.build_features(DAYS[:5])
    version = newer.candidate()
    table = world.stores.lake.table("features/spending")
    first = min((table.folder / "manifests" / TEST[1]).glob("0*.json"))
    first.unlink()
    found = compared(newer, "1", version)
    assert f"feature view spending version {world.views['spending']}" in found.unknown
    assert TEST[1] in found.unknown


def test_champions_features_over_other_raw_rows_are_unknown(world):
    newer = world.with_view_version(2)
    raw = world.stores.lake.table("raw/payments")
    raw.write(
        TEST[0], raw.read([TEST[0]]).slice(1), key=["id"], code_version="1", inputs={}, cause="corrected"
    )
    raw.write(
        TEST[0], raw.read([TEST[0]]).slice(0, 149), key=["id"], code_version="1", inputs={}, cause="again"
    )
    before = dict(lineage(world.stores, world.product, "1")["raw"])
    assert before[TEST[0]] != raw.manifest(TEST[0]).digest
    newer.build_features(DAYS[:5])
    found = compared(newer, "1", _version_on_short_day(newer))
    assert "was not built for" in found.unknown


def _version_on_short_day(world):
    """Version 1's rows again, registered over the raw days of now."""
    stores = world.stores
    manifest = world.table("training_set").manifest(SPLIT_ID)
    recorded = lineage(stores, world.product, "1")
    raw = stores.lake.table("raw/payments").digests(DAYS[:5])
    table = world.table("registered_model")
    table.write_document(
        SPLIT_ID,
        recorded | {"version": "9", "raw": raw, "views": world.views,
                    "training_set": {"partition": SPLIT_ID, "digest": manifest.digest}},
        code_version="1", inputs={}, cause="test", notes={"version": "9"},
    )  # fmt: skip
    return "9"


def test_raw_column_that_only_the_champion_reads_is_taken_from_the_lake(world):
    champion = world.candidate(inputs=("tip", "spent"))
    challenger = world.candidate(inputs=("amount",))
    found = compared(world, champion, challenger)
    assert found.unknown == ""
    assert found.rows == 300


def test_changed_champion_model_is_unknown(world):
    recorded = lineage(world.stores, world.product, "1")
    path = world.stores.home.root / recorded["artifact_path"] / "MLmodel"
    path.write_text(path.read_text() + "\n")
    assert "was changed" in compared(world, "1", "1").unknown


def test_champion_whose_view_is_no_longer_declared_is_unknown(world):
    found = compared(world, "1", "1", views={"gone": "v1"})
    assert "needs spent" in found.unknown
