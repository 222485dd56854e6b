"""Great Expectations on rows of the lake: one finding per expectation and day.

Calling it costs 70 ms a day whatever the day holds, so days are looked at together first: an
expectation about single rows that no row of all of them violates holds on each. Only what is
violated somewhere, or is about a whole day (a mean), is asked day by day.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from platform_assets.declaration.source import Source
from platform_assets.evidence.evidence import Verdict
from platform_assets.raw.finding import Finding
from platform_assets.raw.masking import shown
from platform_assets.raw.suite import Expectation

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SAMPLES = 3
ROWS_TOGETHER = 400_000

ROW_WISE = frozenset(
    f"expect_{name}"
    for name in (
        "column_values_to_not_be_null",
        "column_values_to_be_null",
        "column_values_to_be_between",
        "column_values_to_be_in_set",
        "column_values_to_not_be_in_set",
        "column_values_to_be_unique",
        "column_values_to_match_regex",
        "column_values_to_not_match_regex",
        "column_value_lengths_to_be_between",
        "column_value_lengths_to_equal",
        "column_pair_values_to_be_equal",
        "column_pair_values_a_to_be_greater_than_b",
        "column_pair_values_to_be_in_set",
        "compound_columns_to_be_unique",
        "multicolumn_sum_to_equal",
        "select_column_values_to_be_unique_within_record",
        "column_values_to_match_regex_list",
        "column_values_to_not_match_regex_list",
        "column_values_to_match_strftime_format",
        "column_values_to_be_dateutil_parseable",
        "column_values_to_be_json_parseable",
        "column_values_to_match_json_schema",
    )
)
"""Named one by one: Great Expectations also counts z-scores, which depend on the other rows, as row-wise."""


class Rows(Protocol):
    """Rows of a day, as far as a finding needs them."""

    @property
    def rows(self) -> int: ...

    def take(self, places: Sequence[int]) -> pa.Table: ...


@dataclass(frozen=True)
class _Held:
    """Rows of a day in memory."""

    table: pa.Table

    @property
    def rows(self) -> int:
        return int(self.table.num_rows)

    def take(self, places: Sequence[int]) -> pa.Table:
        return self.table.take(list(places))


class ExpectationRun:
    """The expectations of one suite, ready to be asked of rows; opening it imports Great Expectations."""

    def __init__(self, source: Source, expectations: Sequence[Expectation]) -> None:
        self.source = source
        self.expectations = expectations
        self._broken: dict[str, str] = {}
        self._objects: dict[str, Any] = {}
        self._batches = _batch_definition()
        for item in expectations:
            try:
                self._objects[item.name] = _gx_expectation(item)
            except Exception as error:  # unknown type, wrong arguments: told as UNKNOWN
                self._broken[item.name] = first_line(error)

    def findings(self, days: Mapping[str, pa.Table]) -> dict[str, list[Finding]]:
        """Findings of every expectation for each day, in the order of the suite."""
        frames = {day: self.frame(rows) for day, rows in days.items()}
        together = [e for e in self.expectations if e.type in ROW_WISE and e.name in self._objects]
        clean = self._clean(list(frames.values()), together) if len(frames) > 1 else {}
        return {day: self._of_day(days[day], frames[day], clean) for day in days}

    @property
    def askable(self) -> list[Expectation]:
        """Expectations that Great Expectations knows and whose arguments it takes."""
        return [item for item in self.expectations if item.name in self._objects]

    def judge(self, item: Expectation) -> Any:
        """The expectation as Great Expectations holds it."""
        return self._objects[item.name]

    def finding_of(self, item: Expectation, result: Any, rows: Rows) -> Finding:
        """What a result of Great Expectations, or the exception in its place, says about `rows`."""
        if item.name in self._broken:
            return _finding(item, Verdict.UNKNOWN, f"cannot be asked: {self._broken[item.name]}")
        return self._finding(item, result, rows)

    def _of_day(self, rows: pa.Table, frame: pd.DataFrame, clean: Mapping[str, Any]) -> list[Finding]:
        asked = [e for e in self.expectations if e.name in self._objects and e.name not in clean]
        results = self.ask(frame, asked)
        found = []
        for item in self.expectations:
            if item.name in clean:
                found.append(_finding(item, Verdict.PASSED, "", observed="0 rows unexpected", failing=0))
            else:
                found.append(self.finding_of(item, results.get(item.name), _Held(rows)))
        return found

    def _clean(self, frames: Sequence[pd.DataFrame], asked: Sequence[Expectation]) -> dict[str, bool]:
        """Names of row-wise expectations that not one row of all frames violates."""
        import pandas as pd

        clean: dict[str, bool] = {item.name: True for item in asked}
        start = 0
        while start < len(frames) and clean:
            end, rows = start, 0
            while end < len(frames) and (end == start or rows + len(frames[end]) <= ROWS_TOGETHER):
                rows, end = rows + len(frames[end]), end + 1
            frame = pd.concat(frames[start:end], ignore_index=True)
            results = self.ask(frame, [item for item in asked if item.name in clean])
            clean = {name: True for name, result in results.items() if _holds_on_every_row(result)}
            start = end
        return clean

    def ask(self, frame: pd.DataFrame, asked: Sequence[Expectation]) -> dict[str, Any]:
        """Results by name; an exception in place of a result when the whole call failed."""
        from great_expectations.core.expectation_suite import ExpectationSuite

        if not asked:
            return {}
        how = {"result_format": "SUMMARY", "partial_unexpected_count": SAMPLES}
        try:
            batch = self._batches.get_batch({"dataframe": frame})
            suite = ExpectationSuite("asked", expectations=[self._objects[item.name] for item in asked])
            answers = batch.validate(suite, result_format=how).results
            found = {str(answer.expectation_config.meta["platform_name"]): answer for answer in answers}
        except Exception as error:
            if len(asked) == 1:
                return {asked[0].name: error}
            # one of them breaks the call for all: ask them one by one
            return {item.name: self.ask(frame, [item])[item.name] for item in asked}
        return {item.name: found.get(item.name, LookupError("no result came back")) for item in asked}

    def _finding(self, item: Expectation, result: Any, rows: Rows) -> Finding:
        problem = problem_of(result)
        if problem:
            return _finding(item, Verdict.UNKNOWN, problem)
        answer = result.result or {}
        failing = answer.get("unexpected_count")
        if result.success:
            return _finding(item, Verdict.PASSED, "", self._observed(item, answer), failing)
        observed = self._observed(item, answer)
        reason = f"{failing} of {rows.rows} rows" if failing is not None else f"observed {observed}"
        return Finding(
            item.name,
            item.column,
            item.severity,
            Verdict.FAILED,
            observed,
            failing,
            self._samples(rows, answer.get("partial_unexpected_index_list") or []),
            f"{reason} against: {item.description}",
        )

    def _observed(self, item: Expectation, answer: Mapping[str, Any]) -> Any:
        if "observed_value" in answer:
            masked = [c for c in self.source.columns if c.masked and c.name in item.column]
            value = answer["observed_value"]
            value = value.item() if hasattr(value, "item") else value
            return shown(value, masked[0] if masked else None)
        share = answer.get("unexpected_percent")
        count = answer.get("unexpected_count", 0)
        return f"{count} rows unexpected" + (f" ({share:.3g} %)" if share else "")

    def _samples(self, rows: Rows, places: Sequence[Any]) -> tuple[dict[str, Any], ...]:
        numbers = [int(place) for place in places[:SAMPLES] if isinstance(place, int)]
        names = self.source.column_names
        picked = rows.take(numbers).select(names).to_pylist() if numbers else []
        return tuple(
            {name: shown(value, self.source.column(name)) for name, value in row.items()} for row in picked
        )

    def frame(self, rows: pa.Table, names: Sequence[str] = ()) -> pd.DataFrame:
        """Declared columns, or those named, as pandas holds them.

        The types follow from the declaration alone: a day without gaps looks like one with.
        """
        import pandas as pd

        wide: dict[str, Any] = {"int64": pd.Int64Dtype(), "bool": pd.BooleanDtype()}
        wanted = list(names or self.source.column_names)
        frame: pd.DataFrame = rows.select(wanted).to_pandas()
        for column in self.source.columns:
            if column.name in wanted and column.nullable and column.type in wide:
                dtype = wide[column.type]
                frame[column.name] = rows.column(column.name).to_pandas(
                    types_mapper=lambda _, dtype=dtype: dtype
                )
        return frame


def _batch_definition() -> Any:
    # read once at import: nothing is sent anywhere, no bars on the terminal
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("lake").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("whole")


def _gx_expectation(item: Expectation) -> Any:
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    return ExpectationConfiguration(
        type=item.type, kwargs=dict(item.kwargs), meta={"platform_name": item.name}, severity=item.severity
    ).to_domain_obj()


def _holds_on_every_row(result: Any) -> bool:
    return not problem_of(result) and bool(result.success) and result.result.get("unexpected_count") == 0


def problem_of(result: Any) -> str:
    """Why a result measures nothing; empty when it does."""
    if isinstance(result, Exception):
        return f"raised {first_line(result)}"
    info = result.exception_info or {}
    # one entry, or one for each metric that raised
    for entry in [info, *(value for value in info.values() if isinstance(value, dict))]:
        if entry.get("raised_exception"):
            return f"raised {str(entry.get('exception_message') or 'an exception').splitlines()[0][:200]}"
    return "" if result.success is not None else "gave no answer"


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def _finding(
    item: Expectation, verdict: Verdict, reason: str, observed: Any = None, failing: int | None = None
) -> Finding:
    return Finding(item.name, item.column, item.severity, verdict, observed, failing, reason=reason)
