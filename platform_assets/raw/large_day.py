"""The contract of a day that memory should not hold: the same questions, counted piece by piece.

Great Expectations alone decides. What differs from a small day is only how its numbers come about:
row-wise expectations are asked of pieces of the day and their counts added up; repeated values are
counted by DuckDB, which may spill to disk; what needs a whole column (a mean) is asked of that one
column. docs/adr/0010-one-verdict-for-days-of-any-size.md says why.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.raw.expectation_run import ROW_WISE, SAMPLES, ExpectationRun, problem_of
from platform_assets.raw.finding import Finding
from platform_assets.raw.suite import Expectation

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa

LARGE_DAY_ROWS = 1_000_000
PIECE_ROWS = 100_000
DISTINCT_AT_MOST = 1_000_000
DUCKDB_MEMORY = "200MB"

UNIQUE = frozenset({"expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique"})
ADDITIVE = ROW_WISE - UNIQUE
OF_SCHEMA = frozenset(
    f"expect_{name}"
    for name in (
        "column_to_exist",
        "table_column_count_to_be_between",
        "table_column_count_to_equal",
        "table_columns_to_match_ordered_list",
        "table_columns_to_match_set",
    )
)
OF_ROW_COUNT = frozenset({"expect_table_row_count_to_be_between", "expect_table_row_count_to_equal"})
REDUCED = {
    "expect_column_mean_to_be_between": "mean",
    "expect_column_sum_to_be_between": "sum",
    "expect_column_stdev_to_be_between": "standard_deviation",
    "expect_column_min_to_be_between": "min",
    "expect_column_max_to_be_between": "max",
}
OF_DISTINCT = frozenset(
    f"expect_column_{name}"
    for name in (
        "distinct_values_to_be_in_set",
        "distinct_values_to_contain_set",
        "distinct_values_to_equal_set",
        "unique_value_count_to_be_between",
        "max_to_be_between",
        "min_to_be_between",
    )
)
"""Of texts: what the distinct values answer, however often each is there."""


@dataclass
class Answer:
    """A result of Great Expectations as far as a finding needs it."""

    success: bool | None
    result: dict[str, Any]
    exception_info: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Counts:
    """What pieces of a day add up to for one row-wise expectation."""

    rows: int = 0
    missing: int = 0
    unexpected: int = 0
    places: list[int] = field(default_factory=list)


class LargeDay:
    """One Parquet file of a day, judged in bounded memory by an open ExpectationRun.

    At most a piece of rows, or one column of numbers, or what DuckDB is allowed is held at a time.
    What cannot be asked that way is an error, which makes the expectation UNKNOWN.
    """

    def __init__(self, run: ExpectationRun, path: str | Path, piece_rows: int = PIECE_ROWS) -> None:
        import pyarrow.parquet as pq

        self._run = run
        self._path = str(path)
        self._piece_rows = piece_rows
        self._file = pq.ParquetFile(self._path)
        self.rows = int(self._file.metadata.num_rows)

    def findings(self) -> list[Finding]:
        """Findings in the order of the suite, as ExpectationRun.findings gives them for small days."""
        asked = self._run.askable
        answers = self._of_columns([item for item in asked if self._column_of_numbers(item)])
        for item in asked:
            if item.name not in answers and item.type not in ADDITIVE:
                try:
                    answers[item.name] = self._of_whole_day(item)
                except Exception as error:  # told as UNKNOWN, like every question that raises
                    answers[item.name] = error
        answers |= self._added_up([item for item in asked if item.type in ADDITIVE])
        return [self._run.finding_of(item, answers.get(item.name), self) for item in self._run.expectations]

    def take(self, places: Sequence[int]) -> pa.Table:
        """Rows at these places, in ascending order; for samples."""
        import pyarrow as pa

        groups, start = [], 0
        for number in range(self._file.num_row_groups):
            end = start + self._file.metadata.row_group(number).num_rows
            inside = sorted(place - start for place in places if start <= place < end)
            if inside:
                groups.append(self._file.read_row_group(number, self._names).take(inside))
            start = end
        return pa.concat_tables(groups)

    @property
    def column_names(self) -> list[str]:
        """Columns of the file."""
        return list(self._file.schema_arrow.names)

    @property
    def _names(self) -> list[str]:
        return list(self._run.source.column_names)

    def _column_of_numbers(self, item: Expectation) -> str:
        """The one column that a question about a whole day is about, when its values are not texts."""
        name = str(item.kwargs.get("column") or "")
        asked_otherwise = item.type in ADDITIVE | UNIQUE | OF_SCHEMA or item.kwargs.get("row_condition")
        if asked_otherwise or name not in self._names or self._run.source.column(name).type == "string":
            return ""
        return name

    def _of_columns(self, asked: Sequence[Expectation]) -> dict[str, Any]:
        """Answers that need a whole column of numbers, one column at a time."""
        answers: dict[str, Any] = {}
        for name in sorted({self._column_of_numbers(item) for item in asked}):
            frame = self._run.frame(self._file.read([name]), (name,))
            about = [item for item in asked if self._column_of_numbers(item) == name]
            answers |= {item.name: self._reduced(item, frame[name]) for item in about if item.type in REDUCED}
            answers |= self._run.ask(frame, [item for item in about if item.type not in REDUCED])
            del frame
            gc.collect()  # Great Expectations holds its rows in cycles
        return answers

    def _reduced(self, item: Expectation, values: pd.Series[Any]) -> Any:
        """The number that Great Expectations has pandas compute, without the hash it makes of all rows."""
        name = REDUCED[item.type]
        how = {"standard_deviation": "std"}.get(name, name)
        try:
            metrics = {f"column.{name}": getattr(values, how)()}
            said = self._run.judge(item)._validate(metrics=metrics, runtime_configuration={})
        except Exception as error:  # told as UNKNOWN, like every question that raises
            return error
        return Answer(bool(said["success"]), dict(said["result"]))

    def _added_up(self, asked: Sequence[Expectation]) -> dict[str, Any]:
        counts = {item.name: _Counts() for item in asked}
        failed: dict[str, Any] = {}
        for start, frame in self._pieces():
            left = [item for item in asked if item.name not in failed]
            for name, result in self._run.ask(frame, left).items():
                if problem_of(result):
                    failed[name] = result
                else:
                    _add(counts[name], result.result, start)
            del frame
            if start % (4 * self._piece_rows) == 0:
                gc.collect()  # Great Expectations holds its rows in cycles
        answers = {item.name: self._judged(item, counts[item.name]) for item in asked}
        return {**answers, **failed}

    def _pieces(self) -> Iterator[tuple[int, pd.DataFrame]]:
        import pyarrow as pa

        start = 0
        for batch in self._file.iter_batches(self._piece_rows, columns=self._names):
            yield start, self._run.frame(pa.Table.from_batches([batch]))
            start += batch.num_rows
        if start == 0:
            yield 0, self._run.frame(self._file.schema_arrow.empty_table())

    def _judged(self, item: Expectation, counts: _Counts) -> Answer:
        """What Great Expectations says to these counts: its own verdict, not one of ours."""
        judge = self._run.judge(item)
        metrics = {
            "column_values.nonnull.unexpected_count": counts.missing,
            f"{judge.map_metric}.filtered_row_count": counts.rows - counts.missing,
            f"{judge.map_metric}.unexpected_count": counts.unexpected,
            "table.row_count": counts.rows,
        }
        said = judge._validate(metrics=metrics, runtime_configuration={"result_format": "BASIC"})
        result = {**said["result"], "partial_unexpected_index_list": counts.places[:SAMPLES]}
        return Answer(bool(said["success"]), result)

    def _of_whole_day(self, item: Expectation) -> Any:
        if item.kwargs.get("row_condition"):
            raise ValueError(f"a row condition cannot be asked of a day of {self.rows} rows as a whole")
        if item.type in OF_SCHEMA:
            return self._ask(self._run.frame(self._file.schema_arrow.empty_table()), item)
        if item.type in UNIQUE:
            return self._judged(item, self._repeats(item))
        if item.type in OF_ROW_COUNT:
            import pandas as pd

            return self._ask(pd.DataFrame(index=pd.RangeIndex(self.rows)), item)
        name = str(item.kwargs.get("column") or "")
        if not name:
            raise ValueError(f"{item.type} cannot be asked of a day of {self.rows} rows without holding it")
        if item.type not in OF_DISTINCT:
            raise ValueError(f"{item.type} cannot be asked of {self.rows} texts without holding them")
        return self._ask(self._run.frame(self._distinct(name), (name,)), item)

    def _ask(self, frame: pd.DataFrame, item: Expectation) -> Any:
        return self._run.ask(frame, [item])[item.name]

    def _repeats(self, item: Expectation) -> _Counts:
        """Rows whose value, or combination of values, is there more than once."""
        one = item.type == "expect_column_values_to_be_unique"
        names = [str(item.kwargs["column"])] if one else [str(n) for n in item.kwargs["column_list"]]
        missing = " and ".join(f"{self._value(name)} is null" for name in names)
        if not one:
            how = str(item.kwargs.get("ignore_row_if") or "all_values_are_missing")
            if how == "never":
                missing = "false"
            elif how == "any_value_is_missing":
                missing = missing.replace(" and ", " or ")
        values = ", ".join(f"{self._value(name)} as v{n}" for n, name in enumerate(names))
        keys = ", ".join(f"v{n}" for n in range(len(names)))
        same = " and ".join(f"a.v{n} is not distinct from b.v{n}" for n in range(len(names)))
        with bounded_database() as database:
            rows = f"(select {values}, file_row_number as place from read_parquet($path, "
            rows += f"file_row_number = true) where not ({missing}))"
            repeated = f"(select {keys}, count(*) as n from {rows} group by all having count(*) > 1)"
            given = {"path": self._path}
            held = _number(database, f"select count(*) from {rows}", given)
            unexpected = _number(database, f"select coalesce(sum(n), 0) from {repeated}", given)
            places: list[int] = []
            if unexpected:
                query = f"select a.place from {rows} a join {repeated} b on {same} order by 1 limit {SAMPLES}"
                places = [int(row[0]) for row in database.execute(query, given).fetchall()]
        return _Counts(self.rows, self.rows - held, unexpected, places)

    def _value(self, name: str) -> str:
        """A column in SQL; to pandas, NaN is missing."""
        quoted = '"' + name.replace('"', '""') + '"'
        if self._run.source.column(name).type == "float64":
            return f"(case when isnan({quoted}) then null else {quoted} end)"
        return quoted

    def _distinct(self, name: str) -> pa.Table:
        """Distinct values of a column, a missing one among them. Raises ValueError when too many."""
        import pyarrow as pa

        with bounded_database() as database:
            query = (
                f"select distinct {self._value(name)} from read_parquet($path) limit {DISTINCT_AT_MOST + 1}"
            )
            found = database.execute(query, {"path": self._path}).fetchall()
        if len(found) > DISTINCT_AT_MOST:
            raise ValueError(f"column {name} has more than {DISTINCT_AT_MOST} distinct values")
        values = pa.array([row[0] for row in found], self._file.schema_arrow.field(name).type)
        return pa.table({name: values})


def _add(counts: _Counts, result: dict[str, Any], start: int) -> None:
    counts.rows += int(result["element_count"])
    counts.missing += int(result.get("missing_count") or 0)
    counts.unexpected += int(result.get("unexpected_count") or 0)
    places = result.get("partial_unexpected_index_list") or []
    room = SAMPLES - len(counts.places)
    counts.places += [start + place for place in places[: max(room, 0)] if isinstance(place, int)]


def bounded_database() -> duckdb.DuckDBPyConnection:
    """DuckDB that holds at most DUCKDB_MEMORY, spills the rest, and sees every NaN in Parquet."""
    import duckdb

    spill = Path(tempfile.gettempdir()) / "platform_assets_spill"
    database = duckdb.connect(
        config={
            "memory_limit": DUCKDB_MEMORY,
            "temp_directory": str(spill),
            "preserve_insertion_order": False,
            "threads": 2,
        }
    )
    # Parquet's least and greatest value leave NaN out, from which DuckDB concludes that there is none
    database.execute("set disabled_optimizers = 'statistics_propagation'")
    return database


def _number(database: duckdb.DuckDBPyConnection, query: str, given: dict[str, Any]) -> int:
    row = database.execute(query, given).fetchone()
    if row is None:
        raise LookupError("the database gave no answer")
    return int(row[0])
