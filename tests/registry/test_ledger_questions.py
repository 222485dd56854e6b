"""What an auditor asks: what used this day, why was this version refused, is all still as recorded?"""

import json
import shutil
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from registry_world import DAYS, SPLIT_ID

from platform_assets.__main__ import main
from platform_assets.errors import UnknownName
from platform_assets.evidence.evidence import Verdict
from platform_assets.evidence.waiver import record_waiver
from platform_assets.lineage.raw_day import used_by
from platform_assets.lineage.verification import verify
from platform_assets.registry.ledger_page import ledger_page
from platform_assets.registry.timeline import explain, timeline
from platform_assets.vocabulary import feature_table, raw_table

# -- what used a raw day


def test_everything_made_from_a_day_is_named_with_the_live_model_first(challenged):
    found = used_by(challenged.stores, "payments", DAYS[0])
    assert found.counts() == {
        "payment_fraud/training_set": 1,
        "payment_fraud/training_run": 1,
        "payment_fraud/registered_model": 1,
        "features/spending": 1,
    }
    assert found.live == {"payment_fraud": "1"}
    assert [use.version for use in found.versions()] == ["1", "2"]


def test_impact_is_only_what_counts_now(challenged):
    found = used_by(challenged.stores, "payments", DAYS[0]).current()
    assert [use.version for use in found.versions()] == ["2"]
    assert {use.noun for use in found.uses if not use.product} == {"features/spending"}


def test_a_day_that_only_features_read_reaches_no_model_by_itself(challenged):
    table = challenged.stores.lake.table(raw_table("payments"))
    day = "2024-02-01"
    rows = table.read([DAYS[0]])
    table.write(day, rows, key=["id"], code_version="1", inputs={"source": {day: "x"}}, cause="test")
    assert used_by(challenged.stores, "payments", day).uses == ()
    challenged.build_features([day])
    assert used_by(challenged.stores, "payments", day).counts() == {"features/spending": 1}
    assert used_by(challenged.stores, "payments", day).live == {}


def test_predictions_descend_from_the_version_that_made_them(challenged):
    table = challenged.table("predictions")
    lineage = challenged.table("registered_model").history(SPLIT_ID)[0]
    model = challenged.table("registered_model").document_of(lineage)["model_digest"]
    table.write(
        "2030-01-01",
        pa.table({"id": [1], "score": [0.5]}),
        key=["id"],
        code_version="1",
        inputs={"products/payment_fraud/registered_model": {"1": model}},
        cause="test",
    )
    assert used_by(challenged.stores, "payments", DAYS[0]).counts()["payment_fraud/predictions"] == 1


def test_a_corrected_day_separates_what_used_which_version(challenged):
    table = challenged.stores.lake.table(raw_table("payments"))
    before = table.manifest(DAYS[1])
    rows = table.read([DAYS[1]])
    doubled = rows.set_column(
        rows.column_names.index("amount"), "amount", pa.array([2 * v for v in rows["amount"].to_pylist()])
    )
    after = table.write(
        DAYS[1], doubled, key=["id"], code_version="1", inputs={"source": {DAYS[1]: "y"}}, cause="test"
    )
    challenged.build_features([DAYS[1]])
    old = used_by(challenged.stores, "payments", DAYS[1], digest=before.digest)
    new = used_by(challenged.stores, "payments", DAYS[1], digest=after.digest)
    assert old.counts()["payment_fraud/registered_model"] == 1
    assert new.counts() == {"features/spending": 1}
    assert len(used_by(challenged.stores, "payments", DAYS[1]).digests) == 2


@pytest.mark.parametrize(
    ("day", "digest", "told"),
    [
        ("2024-01-40", None, "no day of raw/payments '2024-01-40'"),
        (DAYS[0], "0" * 32, "no version of raw/payments"),
    ],
)
def test_an_unknown_day_or_version_is_told(world, day, digest, told):
    with pytest.raises(UnknownName, match=told):
        used_by(world.stores, "payments", day, digest=digest)


# -- why


def test_why_a_version_was_refused(challenged):
    red = replace(challenged.evidence()["leakage"], verdict=Verdict.FAILED, reason="tip tells too much")
    challenged.stores.evidence.record(red)
    challenged.promote()
    told = explain(challenged.stores.ledger.entries(), "payment_fraud", "2")
    assert told[1].startswith("refused at ")
    assert "champion was 1" in told[1]
    assert any("FAILED   leakage: tip tells too much" in line for line in told)
    assert any(
        "PASSED   floor_roc_auc: roc_auc 0.9000 >= 0.7 [measured 0.9, limit 0.7]" in line for line in told
    )
    first = explain(challenged.stores.ledger.entries(), "payment_fraud", "1")
    assert first[1].startswith("made champion at ")
    assert "champion was nobody" in first[1]
    assert explain(challenged.stores.ledger.entries(), "payment_fraud", "7") == []


def test_why_a_champion_tells_whom_it_replaced(challenged):
    assert challenged.promote().promoted
    told = explain(challenged.stores.ledger.entries(), "payment_fraud", "2")
    assert "champion was 1)" in told[1]


def test_a_moment_that_is_none_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path))
    assert main(["champion", "--at", "yesterday"]) == 1
    assert "--at: expected a moment such as 2026-01-31T14:05:00Z, not 'yesterday'" in capsys.readouterr().err
    assert main(["champion", "--at", "2026-01-31"]) == 1
    assert "at 2026-01-31T00:00:00Z: no champion" in capsys.readouterr().out
    assert main(["champion", "--at", "2999-01-31"]) == 1
    assert "--at: 2999-01-31 lies in the future" in capsys.readouterr().err
    assert main(["champion", "--at", "2026-01-31T01:00:00+01:00"]) == 1
    assert "at 2026-01-31T00:00:00Z: no champion" in capsys.readouterr().out


def test_the_page_tells_everything_and_runs_nothing_of_it(challenged):
    red = replace(challenged.evidence()[f"contract:{DAYS[0]}"], verdict=Verdict.FAILED)
    challenged.stores.evidence.record(red)
    entries = challenged.stores.ledger
    record_waiver(entries, red, "team:data", "<script>alert(1)</script>", _soon(), by="ana@data.example")
    events = timeline(entries.entries(), "payment_fraud", "payments")
    assert [event.what for event in events] == ["waiver", "champion", "to be champion"]
    assert (events[0].actor, events[1].version) == ("ana@data.example", "1")
    page = ledger_page("payment_fraud", events, entries.head)
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "Champion: version 1 since" in page
    assert f"hash {entries.head[1]}" in page
    assert timeline(entries.entries(), "another", "elsewhere") == []


def _soon():
    from platform_assets.evidence.standing import today

    return today()


# -- verify


def test_an_untouched_home_is_as_recorded(challenged):
    challenged.promote()
    found = verify(challenged.stores)
    assert found.broken == []
    assert found.counted["registered models"] == 2
    assert found.counted["gate decisions"] == 12
    assert found.head == challenged.stores.ledger.head
    assert verify(challenged.stores, expected_head=found.head).broken == []


def _other_rows(world):
    table = world.stores.lake.table(feature_table("spending"))
    path = table.path(table.manifest(DAYS[0]))
    rows = pq.read_table(path, partitioning=None)
    path.unlink()  # it is linked from elsewhere
    pq.write_table(rows.set_column(rows.num_columns - 1, "spent", pa.array([0.0] * rows.num_rows)), path)
    return path.name


def _torn_file(world):
    table = world.stores.lake.table(raw_table("payments"))
    path = table.path(table.manifest(DAYS[0]))
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
    return path.name


def _missing_file(world):
    table = world.stores.lake.table(raw_table("payments"))
    path = table.path(table.manifest(DAYS[2]))
    path.unlink()
    return path.name


def _torn_manifest(world):
    path = next((world.table("training_set").folder / "manifests" / SPLIT_ID).glob("0*.json"))
    path.write_text(path.read_text()[:40])
    return "damaged manifest"


def _changed_document(world):
    table = world.table("registered_model")
    path = table.path(table.manifest(SPLIT_ID))
    data = json.loads(path.read_text())
    data["gates_version"] = "mine"
    path.write_text(json.dumps(data))
    return "the file was changed"


def _changed_model(world):
    folder = world.stores.home.root / world.table("registered_model").document(SPLIT_ID)["artifact_path"]
    next(p for p in sorted(folder.rglob("*")) if p.is_file()).write_bytes(b"x")
    return "the model of payment_fraud version 2 is"


def _missing_evidence(world):
    shutil.rmtree(world.stores.evidence.root / "gate/parity")
    return "gate parity of payment_fraud version 1 stands on evidence"


def _changed_ledger(world):
    path = world.stores.ledger.folder / "000001.json"
    path.write_text(path.read_text().replace('"1"', '"2"'))
    return "chain of hashes is broken here"


def _shorter_ledger(world):
    (world.stores.ledger.folder / "000002.json").unlink()
    return "entries were removed"


def _moved_alias(world):
    world.mlflow().set_registered_model_alias("payment_fraud", "champion", "2")
    return "moved by hand"


def _missing_lineage(world):
    world.table("registered_model").folder.joinpath("manifests", SPLIT_ID, "000001.json").unlink()
    return "holds no lineage of version 1 of payment_fraud, which the ledger tells of"


def _torn_older_lineage(world):
    world.table("registered_model").folder.joinpath("manifests", SPLIT_ID, "000001.json").write_text("{")
    return "000001.json"


def _missing_version(world):
    world.mlflow().delete_model_version("payment_fraud", "2")
    return "MLflow's registry does not hold version 2 as registered"


def _changed_version(world):
    world.mlflow().set_model_version_tag("payment_fraud", "2", "model_digest", "another")
    return "MLflow's registry does not hold version 2 as registered"


BREAKAGES = [
    _other_rows, _torn_file, _missing_file, _torn_manifest, _changed_document, _changed_model,
    _missing_evidence, _changed_ledger, _shorter_ledger, _moved_alias, _missing_lineage,
    _torn_older_lineage, _missing_version, _changed_version,
]  # fmt: skip


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda f: f.__name__.strip("_"))
def test_every_breakage_is_named(challenged, breakage):
    told = breakage(challenged)
    found = verify(challenged.stores)
    assert [problem for problem in found.broken if told in problem], found.broken


def test_a_ledger_rewritten_as_a_whole_is_noticed_by_who_kept_its_head(challenged):
    head = verify(challenged.stores).head
    folder = challenged.stores.ledger.folder
    for path in folder.glob("*.json"):
        path.unlink()
    challenged.stores.ledger.append("confirm", "payment_fraud", "me", {"to": "2", "decision": "x"})
    (problem,) = [p for p in verify(challenged.stores, expected_head=head).broken if "rewritten" in p]
    assert f"entry {head[0]} is not there" in problem
