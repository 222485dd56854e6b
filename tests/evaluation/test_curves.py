"""Curves, drawings and the Evidently page: what they hold, and that they stay small."""

from __future__ import annotations

import base64
import re
import socket
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.evaluation.curves import (
    calibration_bins,
    precision_recall_points,
    roc_points,
    score_quantiles,
    thinned,
)
from platform_assets.evaluation.evidently_report import SAMPLE, Side, stride, write_evidently
from platform_assets.evaluation.report_markdown import (
    calibration_rows,
    card_day_rows,
    evaluation_markdown,
    metric_rows,
)
from platform_assets.sparkline import curve, sparkline

SCORED = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.1000001, 0.5, 0.9, 1.0])),
    min_size=1,
    max_size=300,
)


def rare(n: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = (rng.random(n) < 0.01).astype(float)
    return labels, np.clip(rng.beta(1, 60, n) + labels * rng.random(n) * 0.8, 0, 1)


def test_roc_starts_and_ends_in_the_corners_and_never_falls() -> None:
    points = np.array(roc_points(*rare()))
    assert len(points) <= 50
    assert points[0].tolist() == [0, 0]
    assert points[-1].tolist() == [1, 1]
    assert (np.diff(points, axis=0) >= 0).all()


def test_precision_recall_grows_in_recall_to_one_at_the_base_rate() -> None:
    labels, scores = rare()
    points = np.array(precision_recall_points(labels, scores))
    assert len(points) <= 50
    assert (np.diff(points[:, 0]) >= 0).all()
    assert points[-1] == pytest.approx([1, labels.mean()], abs=1e-3)


def test_thinned_area_stays_close() -> None:
    labels, scores = rare()
    full, few = np.array(roc_points(labels, scores, 10**6)), np.array(roc_points(labels, scores))
    assert np.trapezoid(few[:, 1], few[:, 0]) == pytest.approx(np.trapezoid(full[:, 1], full[:, 0]), abs=0.01)


def test_a_short_curve_keeps_every_point() -> None:
    assert thinned(np.array([0, 0.5, 1]), np.array([0, 1, 1])) == [[0, 0], [0.5, 1], [1, 1]]


@given(SCORED)
def test_calibration_counts_every_row_once_and_keeps_equal_scores_together(rows) -> None:
    labels, scores = (np.array(column, float) for column in zip(*rows, strict=True))
    bins = calibration_bins(labels, scores)
    assert sum(b["rows"] for b in bins) == len(rows)
    assert sum(b["positives"] for b in bins) == labels.sum()
    assert len(bins) <= len(set(scores.tolist()))
    means = [b["mean_score"] for b in bins]
    assert means == sorted(means)


def test_calibration_by_hand() -> None:
    labels, scores = np.array([0, 0, 1, 1.0]), np.array([0.1, 0.1, 0.1, 0.9])
    low, high = calibration_bins(labels, scores)
    assert low == {"rows": 3, "positives": 1, "mean_score": 0.1, "observed": pytest.approx(1 / 3, abs=1e-6)}
    assert high == {"rows": 1, "positives": 1, "mean_score": 0.9, "observed": 1.0}


def test_score_quantiles_are_scores() -> None:
    found = score_quantiles(np.array([0.3, 0.1, 0.2]))
    assert (found["0"], found["0.5"], found["1"]) == (0.1, 0.2, 0.3)
    assert score_quantiles(np.array([])) == {}


def svg_of(uri: str) -> ElementTree.Element:
    head, body = uri.split(",", 1)
    assert head == "data:image/svg+xml;base64"
    return ElementTree.fromstring(base64.b64decode(body))


@pytest.mark.parametrize("values", [[], [0.5], [0.0, 0.0], [0.1] * 40, list(np.linspace(0, 1, 40))],
                         ids=["none", "one", "zeros", "flat", "forty"])  # fmt: skip
def test_sparkline_is_small_and_stays_in_its_frame(values: list[float]) -> None:
    uri = sparkline(values)
    assert len(uri) < 700
    numbers = [float(n) for path in svg_of(uri) for n in re.findall(r"[\d.]+", path.attrib["d"])]
    assert all(0 <= x <= 120 for x in numbers[::2])
    assert all(0 <= y <= 24 for y in numbers[1::2])


def test_curve_cuts_at_the_unit_square() -> None:
    path = svg_of(curve([[-1, 2], [0.5, 0.5], [2, -1]]))[-1]
    assert path.attrib["d"] == "M1 1 60 60 119 119"


def test_markdown_holds_metrics_drawings_and_stays_small(evaluated) -> None:
    shop, _, _, report = evaluated
    payload = shop.table("evaluation_report").document_of(report)
    text = evaluation_markdown(payload)
    for name, value in payload["metrics"].items():
        assert f"| {name} | **{value:.4f}** |" in text
    uris = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert len(uris) == 4
    for uri in uris:
        svg_of(uri)
    assert len(text) < 6_000
    assert "<" not in text  # inline HTML is stripped in the UI
    assert len(card_day_rows(payload)) == 2
    assert [row["metric"] for row in metric_rows(payload)] == list(payload["metrics"])
    assert sum(row["rows"] for row in calibration_rows(payload)) == payload["test_rows"]


def test_markdown_tells_first_what_could_not_be_measured() -> None:
    text = evaluation_markdown(
        {
            "unmeasured": "there are no test rows", "metrics": {"roc_auc": None}, "card_days": {},
            "curves": {"roc": [], "precision_recall": [], "calibration": []},
            "train_rows": 5, "train_positives": 1, "test_rows": 0, "test_positives": 0,
            "train_days": ["2024-01-01"], "test_days": ["2024-01-04"],
        }
    )  # fmt: skip
    assert text.startswith("**Not measured: there are no test rows**")
    assert "| roc_auc | not measured |" in text


@pytest.mark.parametrize(("rows", "sampled"), [(0, 0), (1, 1), (SAMPLE, SAMPLE), (SAMPLE * 7 + 3, SAMPLE)])
def test_stride_samples_evenly_without_repeats(rows: int, sampled: int) -> None:
    chosen = stride(rows)
    assert len(np.unique(chosen)) == sampled
    if rows > 1:
        assert (chosen[0], chosen[-1]) == (0, rows - 1)
        assert np.diff(chosen).max() - np.diff(chosen).min() <= 1


def side(n: int) -> Side:
    labels, scores = rare(n)
    inputs = pa.table({"price": np.arange(n) % 97 * 1.0, "night": (np.arange(n) % 3 == 0).astype(int)})
    return Side(inputs, labels, scores)


def test_evidently_page_is_rendered_without_the_network(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a report must not open a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    write_evidently(tmp_path / "page.html", side(1_500), side(1_500))
    page = (tmp_path / "page.html").read_text()
    assert "night" in page
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_page_that_cannot_be_rendered_leaves_no_page_of_an_earlier_model(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("an earlier model")
    empty = Side(pa.table({"price": pa.array([], pa.float64())}), np.array([]), np.array([]))
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever Evidently raises
        write_evidently(tmp_path / "page.html", empty, empty)
    assert list(tmp_path.iterdir()) == []
