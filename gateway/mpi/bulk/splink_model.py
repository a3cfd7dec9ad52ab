"""An algorithm as a Splink model over records in DuckDB: what bulk jobs train, score and link with.

Everything stays in memory: DuckDB is opened without a file and without a place to spill to, so no demographics reach a
disk.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa
from splink import Linker, SettingsCreator
from splink.backends.duckdb import DuckDBAPI
from splink.internals.blocking_rule_creator import BlockingRuleCreator

from gateway.model import PatientID
from gateway.mpi.algorithm import FREQUENT_FIELDS, SAME, Algorithm, Comparison
from gateway.mpi.bulk.columns import FIELDS, tabulate
from gateway.mpi.bulk.sql import CONDITIONS
from gateway.mpi.match_record import MatchRecord

RECORDS = "records"


@contextmanager
def memory_database(threads: int = 1) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB that lives in this process's memory alone, and ends with the block."""
    connection = duckdb.connect(":memory:", config={"threads": threads, "temp_directory": ""})
    try:
        yield connection
    finally:
        connection.close()


def load_records(connection: duckdb.DuckDBPyConnection, records: Iterable[tuple[int, MatchRecord]]) -> int:
    """The records are the table `records`, each under its id; how many they are."""
    return load_table(connection, tabulate((number, PatientID(""), record) for number, record in records))


def load_table(connection: duckdb.DuckDBPyConnection, table: pa.Table) -> int:
    """The records of a table of SCHEMA are the table `records`, each under its number; how many they are."""
    connection.register("arrived", table.select(FIELDS.names))
    connection.execute(f"CREATE OR REPLACE TABLE {RECORDS} AS SELECT * FROM arrived")  # noqa: S608
    connection.unregister("arrived")
    return int(table.num_rows)


def open_linker(
    connection: duckdb.DuckDBPyConnection,
    algorithm: Algorithm,
    *,
    records: int,
    blocking: Sequence[str] = (),
    trained: bool = True,
    explained: bool = False,
    exploded: str | None = None,
) -> Linker:
    """A Splink linker over the table `records`, with the weights of `algorithm` where `trained`.

    `blocking` are SQL conditions over `l` and `r`; name frequencies are the algorithm's, not those of the table.
    `exploded` is a column of keys: records that share one are a pair. `explained` predictions have the level of each
    comparison (`gamma_…`) too.
    """
    rules: list[BlockingRuleCreator | dict[str, Any]] = [{"blocking_rule": rule} for rule in blocking]
    if exploded:
        rules.append({"blocking_rule": f"l.{exploded} = r.{exploded}", "arrays_to_explode": [exploded]})
    odds = 2 ** algorithm.prior_bits(records)
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[_comparison(one, trained) for one in algorithm.comparisons],
        blocking_rules_to_generate_predictions=rules,
        probability_two_random_records_match=odds / (1 + odds),
        retain_matching_columns=explained,
        retain_intermediate_calculation_columns=explained,
        em_convergence=0.0005,
        max_iterations=25,
    )
    api = DuckDBAPI(connection)
    linker = Linker(api.register(RECORDS), settings, log_level=logging.ERROR)
    for field in FREQUENT_FIELDS:
        _register_frequencies(connection, linker, api, algorithm, field)
    return linker


def _comparison(comparison: Comparison, trained: bool) -> dict[str, Any]:
    conditions = CONDITIONS[comparison.field]
    levels: list[dict[str, Any]] = [
        {"sql_condition": conditions[0], "label_for_charts": comparison.levels[0].name, "is_null_level": True}
    ]
    for place, level in enumerate(comparison.levels[1:], 1):
        stated: dict[str, Any] = {
            "sql_condition": conditions[place] if place < len(conditions) else "ELSE",
            "label_for_charts": level.name,
        }
        if trained:
            stated |= {"m_probability": level.m, "u_probability": level.u}
        if place == SAME and comparison.field in FREQUENT_FIELDS:
            stated |= {
                "tf_adjustment_column": comparison.field,
                "tf_minimum_u_value": 0.0,
                "disable_tf_exact_match_detection": True,
            }
        levels.append(stated)
    return {"output_column_name": comparison.field, "comparison_levels": levels}


def _register_frequencies(
    connection: duckdb.DuckDBPyConnection, linker: Linker, api: DuckDBAPI, algorithm: Algorithm, field: str
) -> None:
    # Each name of the table with the algorithm's share of it: one that isn't listed counts as rare, not as average.
    listed: Mapping[str, float] = algorithm.frequencies.listed[field]  # type: ignore[index]
    connection.execute(f"CREATE OR REPLACE TABLE listed_{field} (name VARCHAR, share DOUBLE)")
    connection.execute(
        f"INSERT INTO listed_{field} SELECT unnest(?::VARCHAR[]), unnest(?::DOUBLE[])",
        [list(listed), list(listed.values())],
    )
    rare = algorithm.frequencies.rare[field]  # type: ignore[index]
    connection.execute(
        f"CREATE OR REPLACE TABLE share_{field} AS SELECT DISTINCT {field}, coalesce(share, {rare!r}) AS tf_{field} "  # noqa: S608
        f"FROM {RECORDS} LEFT JOIN listed_{field} ON name = {field}"
    )
    table = api.register(f"share_{field}")
    linker.table_management.register_term_frequency_lookup(table, field)
