"""Two versions side by side: the better one is named only when the data tell, and the page holds it all."""

import re

import pytest

from platform_assets.__main__ import main
from platform_assets.command_line import comparison
from platform_assets.errors import UnknownName
from platform_assets.registry.comparison_page import comparison_page, verdict
from platform_assets.registry.version_comparison import _plain, compare_versions


def compared(world, first="1", second="2"):
    return compare_versions(world.stores, world.repository, world.product, first, second)


def test_equal_models_are_told_apart_by_their_settings_only(challenged) -> None:
    found = compared(challenged)
    assert found.rows == 300
    for difference in found.differences.values():
        assert difference.lower <= 0 <= difference.upper
    assert "tell no difference" in verdict(found)
    assert ("estimator parameters", "C 1.0", "C 0.5") in found.settings
    assert found.agreement["positives both stop"] > 0


def test_a_worse_model_is_named_whichever_comes_first(challenged) -> None:
    worse = challenged.candidate(noise=1.0, regularisation=1e-3)
    there, back = compared(challenged, "1", worse), compared(challenged, worse, "1")
    assert "version 1 is better in roc_auc" in verdict(there)
    assert "version 1 is better in roc_auc" in verdict(back)
    assert there.differences["roc_auc"].upper < 0 < back.differences["roc_auc"].lower
    assert there.rows == back.rows


def test_the_page_holds_figures_curves_and_settings_and_escapes(challenged) -> None:
    page = comparison_page(compared(challenged))
    for part in (
        "roc_auc",
        "data:image/png;base64,",
        "estimator parameters",
        "version 2",
        "positives both stop",
    ):
        assert part in page
    assert "<script" not in page


def test_the_command_prints_rounded_figures_and_nothing_that_is_unset(
    challenged, monkeypatch, capsys
) -> None:
    estimator = {"path": "sklearn.linear_model.LogisticRegression", "calibration": {"last_days": 1}}
    calibrated = challenged.with_product(estimator=estimator).candidate()
    declared = (challenged.product, challenged.repository, None)
    monkeypatch.setattr(comparison, "find_product", lambda _: declared)
    monkeypatch.setenv("PLATFORM_HOME", str(challenged.stores.home.root))
    assert main(["compare", "1", calibrated]) == 0
    told = capsys.readouterr().out
    change = r"[+-]0\.\d{4} \([+-]0\.\d{4} to [+-]0\.\d{4}\)"
    assert re.search(rf"^  roc_auc +0\.\d{{4}} -> 0\.\d{{4}}  {change}$", told, re.M), told
    assert re.search(r"^  brier score +0\.\d{5} -> 0\.\d{5}$", told, re.M)
    assert "  estimator calibration: none -> last_days 1, method sigmoid\n" in told


def test_a_search_is_told_as_declared_and_a_parameter_that_is_none_is_told() -> None:
    search = {
        "parameters": {"C": {"low": 0.1, "high": 1.0, "log": False, "choices": []}},
        "trials": 3,
        "cpu_seconds": None,
    }
    assert _plain("search", search) == "parameters (C (high 1.0, log False, low 0.1)), trials 3"
    assert _plain("parameters", {"max_depth": None, "alpha": 0}) == "alpha 0, max_depth None"
    assert _plain("calibration", None) == _plain("preprocessing", []) == "none"


def test_a_version_that_was_never_registered_is_told(challenged) -> None:
    with pytest.raises(UnknownName, match="9"):
        compared(challenged, "1", "9")


def test_a_changed_model_cannot_be_compared(challenged) -> None:
    lineage = challenged.table("registered_model")
    path = (
        challenged.stores.home.root
        / lineage.document_of(lineage.history("2024-01-01_2_1_2")[0])["artifact_path"]
    )
    (path / "model.pkl").write_bytes(b"other")
    found = compared(challenged)
    assert "cannot be compared" in verdict(found)
    assert "was changed" in found.unknown
    assert found.settings, "what was made otherwise is known all the same"
    assert "cannot be compared" in comparison_page(found)
