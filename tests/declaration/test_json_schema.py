"""Schemas that editors use: what is right validates, what is wrong does not, and Dagster's own agrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from test_wrong_declarations import CLINIC, CONTRACT, WRONG

from platform_assets.__main__ import main
from platform_assets.components.repositories import PACKAGED
from platform_assets.declaration.json_schema import NAMES, SchemaName, json_schema

PRODUCTS = [PACKAGED.parent / "defs/card_fraud/defs.yaml", CLINIC / "defs.yaml"]
REPOSITORIES = [p for f in (PACKAGED, CLINIC / "feature_repo") for p in f.glob("*.yaml")]

# what one file's schema cannot know: names declared elsewhere, agreement of fields, packages installed
BEYOND_A_SCHEMA = (
    "unknown source", "unknown view", "unknown feature", "unknown entity", "unknown input", "unknown label",
    "unknown column", "unknown join", "input twice", "view and its feature", "label as input", "floor on",
    "gate is missing", "bad cron", "cron of six", "bad time zone", "module", "class", "LightGBM", "parameter",
    "compute of no", "bad memory", "key twice", "template", "no window", "no column", "two ", "primary key",
    "moment", "day that", "contract", "empty", "text for a day", "condition", "text compared", "SQL in",
    "standard deviation", "distinct", "time since", "ratio", "expression", "feature called", "join key",
    "parity of", "SQL ", "misspelt parameter", "calibration on", "allowed leak",
    "floor that is no", "drift without", "fixed without", "k of", "slice of", "look-alike", "anchor", "window of",
    "pattern", "misspelt day", "trained on days", "name of other", "view named", "text as", "regressor", "value that",
)  # fmt: skip


def schema_of(path: Path) -> SchemaName:
    return "product" if path.name == "defs.yaml" else "feature_repository"


def as_editors_read(text: str) -> Any:
    """YAML as JSON: days are strings."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def test_schemas_are_schemas() -> None:
    for name in NAMES:
        Draft202012Validator.check_schema(json_schema(name))


@pytest.mark.parametrize(
    "path", [*PRODUCTS, *(p for p in REPOSITORIES if p.name != "feature_store.yaml")], ids=lambda p: p.name
)
def test_what_is_declared_validates(path: Path) -> None:
    errors = Draft202012Validator(json_schema(schema_of(path))).iter_errors(as_editors_read(path.read_text()))
    assert [f"{e.json_path}: {e.message}" for e in errors] == []


SEEN = [row for row in WRONG if row[1] != CONTRACT and not row[0].startswith(BEYOND_A_SCHEMA)]


@pytest.mark.parametrize("row", SEEN, ids=[row[0] for row in SEEN])
def test_an_editor_sees_the_mistake_too(row: tuple[str, str, str | None, str, str]) -> None:
    _, file, old, new, _ = row
    text = (CLINIC / file).read_text()
    try:
        data = as_editors_read(new if old is None else text.replace(old, new))
    except yaml.YAMLError:
        return  # editors tell that without a schema
    assert not Draft202012Validator(json_schema(schema_of(CLINIC / file))).is_valid(data)


def test_enough_mistakes_are_seen() -> None:
    assert len(SEEN) >= 25


def test_every_field_of_a_gate_and_a_feature_is_offered() -> None:
    kinds = json_schema("product")["$defs"]
    assert set(kinds["Parity"]["properties"]) == {
        "kind",
        "waivable_by",
        "requests",
        "tolerance",
        "at_most",
    }
    assert kinds["Parity"]["properties"]["requests"]["description"]
    assert (
        "hour_at_most"
        in json_schema("feature_repository")["$defs"]["Feature"]["properties"]["function"]["enum"]
    )


def test_command_prints_one_or_writes_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "feature_repository"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema("feature_repository")
    assert main(["schema", "--write", str(tmp_path)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "feast_project.schema.json",
        "feature_repository.schema.json",
        "product.schema.json",
    ]
    settings = json.loads(capsys.readouterr().out.split("settings.json:\n")[1])["yaml.schemas"]
    assert settings[(tmp_path / "product.schema.json").as_uri()] == ["defs.yaml", "!*feast*/defs.yaml"]
