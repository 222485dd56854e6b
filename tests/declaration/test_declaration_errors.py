"""What a newcomer reads who declares something wrong: file, line, what was expected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from platform_assets.components.repositories import PACKAGED
from platform_assets.declaration.compute import Compute, quantity
from platform_assets.declaration.product import Product
from platform_assets.declaration.repository import read_repository
from platform_assets.declaration.yaml_reader import read_yaml
from platform_assets.errors import DeclarationError

DEFS = PACKAGED.parent / "defs/card_fraud/defs.yaml"
GOOD = DEFS.read_text()
REPOSITORY = read_repository([PACKAGED])


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_the_packaged_product_is_right() -> None:
    product = read_yaml(DEFS, Product, inside="attributes")
    REPOSITORY.check_product(product)
    assert REPOSITORY.input_columns(product)[0] == "TX_AMOUNT"
    assert len(REPOSITORY.input_columns(product)) == 15


@pytest.mark.parametrize(
    ("old", "new", "at", "message"),
    [
        ("  metrics:", "  metrix:", "metrix", "no field 'metrix'; did you mean 'metrics'?"),
        ("seed: 0", "seeed: 0", "seeed", "no field 'seeed'; did you mean 'seed'?"),
        ("train_days: 7", "train_days: seven", "train_days", "expected a whole number"),
        ("train_days: 7", "train_days: 0", "train_days", "must be at least 1"),
        (
            "label: {column: TX_FRAUD, delay: 7d}",
            "label: {column: TX_FRAUD, delay: 7 days}",
            "label",
            "30m, 12h or 7d",
        ),
        ("    train_days: 7\n", "", "split", "this field is required"),
        ("    - {kind: parity, requests: 500}\n", "", "  gates:", "gates: missing parity"),
        ("    - {kind: parity, requests: 500}", "    - {kind: paritee}", "paritee", "'parity'"),
        (
            "metric: roc_auc, at_least",
            "metric: accuracy, at_least",
            "  gates:",
            "'accuracy', which is not among metrics",
        ),
        (
            'owners: ["team:fraud", "fraud@payments.example"]',
            "owners: [fraud]",
            "owners",
            "team:<name> or an e-mail",
        ),
        (
            "path: sklearn.linear_model.LogisticRegression",
            "path: LogisticRegression",
            "path:",
            "expected an import path",
        ),
        ("memory: 2Gi, memory_limit: 4Gi", "memory: 12 gigs", "training_run", "Kubernetes quantity"),
        (
            "memory: 2Gi, memory_limit: 4Gi",
            "memory: 4Gi, memory_limit: 2Gi",
            "training_run",
            "above its limit",
        ),
        ("    kind: rolling", "    kind: fixed", "split", "train_start is needed by kind fixed"),
        (
            "{kind: card_precision, k: 100, entity: customer}",
            "{kind: card_precision, k: 100}",
            "card_precision",
            "k and entity",
        ),
        ('cron: "0 6 * * *"', 'cron: "0 6"', "schedule", "cron line of five fields"),
    ],
    ids=lambda value: value[:28] if isinstance(value, str) else "",
)
def test_wrong_field_tells_file_line_and_what_was_expected(
    tmp_path: Path, old: str, new: str, at: str, message: str
) -> None:
    assert old in GOOD
    path = tmp_path / "defs.yaml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(DeclarationError) as caught:
        read_yaml(path, Product, inside="attributes")
    told = str(caught.value)
    assert message in told
    assert f"{path}:{line_of(path.read_text(), at)}: " in told, told


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "terminal_risk]\n  inputs",
            "terminal_risc]\n  inputs",
            "no feature view 'terminal_risc'; did you mean 'terminal_risk'?",
        ),
        (
            "source: card_transactions",
            "source: card_transaction",
            "no source 'card_transaction'; did you mean 'card_transactions'?",
        ),
        ("column: TX_FRAUD,", "column: TX_FROUD,", "no label column 'TX_FROUD'; did you mean 'TX_FRAUD'?"),
        ("inputs: [TX_AMOUNT", "inputs: [AMOUNT", "no input 'AMOUNT'; did you mean 'TX_AMOUNT'?"),
        (
            "entities: [customer, terminal, ",
            "entities: [customer, ",
            "entity 'terminal', which is missing from entities",
        ),
        ("contract: contracts/card", "contract: contracts/cart", "is not the contract of source"),
        ("inputs: [TX_AMOUNT", "inputs: [TX_AMOUNT, TX_AMOUNT", "inputs named twice: TX_AMOUNT"),
    ],
    ids=lambda value: value[:28],
)
def test_name_that_nothing_answers_to(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = tmp_path / "defs.yaml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(DeclarationError, match=re.escape(message)):
        REPOSITORY.check_product(read_yaml(path, Product, inside="attributes"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: [", "not valid YAML"),
        ("entities:\n  - {name: a, join_key: A}\nentities: []\n", ":3: 'entities' is written twice"),
        (
            'feature_views:\n  - {name: v, owners: ["team:x"], source: s, entity: e,\n     features: [{name: f, function: mean, window: 7d}]}\n',
            "function mean needs a column",
        ),
        (
            'feature_views:\n  - {name: v, owners: ["team:x"], source: s, entity: e,\n     features: [{name: f, function: count}]}\n',
            "needs a window, such as 7d",
        ),
        (
            'feature_views:\n  - {name: v, owners: ["team:x"], source: s, entity: e,\n     features: [{name: f, function: median, window: 7d}]}\n',
            "'count', 'sum'",
        ),
        (
            'feature_views:\n  - {name: v, owners: ["team:x"], source: s, entity: e,\n     features: [{name: f, function: count, window: 7d}]}\n',
            "feature view 'v': no source 's'",
        ),
    ],
    ids=["not yaml", "key twice", "no column", "no window", "no such function", "no source"],
)
def test_wrong_feature_repository(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "views.yaml").write_text(text)
    with pytest.raises(DeclarationError, match=re.escape(message)) as caught:
        read_repository([tmp_path])
    assert "views.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("2", 2), ("1.5", 1.5), ("1Ki", 1024), ("2Gi", 2 * 1024**3), ("3M", 3_000_000)],
)
def test_quantities(text: str, value: float) -> None:
    assert quantity(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["12 gigs", "", "-1", "1gb", "1e3", "0x10"])
def test_wrong_quantities(text: str) -> None:
    with pytest.raises(ValueError, match="Kubernetes quantity"):
        quantity(text)


def test_compute_becomes_kubernetes_resources() -> None:
    resources = Compute(cpu="1", memory="2Gi", memory_limit="4Gi").k8s_config()["container_config"][
        "resources"
    ]
    assert resources == {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "4Gi"}}


def test_versions_change_with_meaning_only() -> None:
    view = REPOSITORY.feature_view("terminal_risk")
    assert view.model_copy(update={"description": "other"}).code_version == view.code_version
    assert view.model_copy(update={"features": view.features[:1]}).code_version != view.code_version
    product = read_yaml(DEFS, Product, inside="attributes")
    assert product.model_copy(update={"owners": ("team:x",)}).training_version == product.training_version
    gates = tuple(g for g in product.gates if g.kind != "parity")
    assert product.model_copy(update={"gates": gates}).gates_version != product.gates_version
