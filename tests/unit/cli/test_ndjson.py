"""Operators' NDJSON files: every line is either the object it holds or a reason, and none stops the others."""

import io
import json
import sys
from pathlib import Path

import pytest

from gateway.cli.ndjson import MAX_LINE_BYTES, Line, LoadReport, iter_lines, print_report
from gateway.errors import LoadRefused


def lines_of(tmp_path: Path, content: bytes) -> list[Line]:
    path = tmp_path / "lines.ndjson"
    path.write_bytes(content)
    return list(iter_lines(path))


def test_each_line_is_read_with_its_number_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    """Numbers are those an editor shows; the last line needs no line break; CRLF is fine."""
    assert lines_of(tmp_path, b'{"a":1}\r\n\n  \n{"b":"\xc3\xa9"}') == [
        Line(number=1, value={"a": 1}),
        Line(number=4, value={"b": "é"}),
    ]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":1,"a":2}', "same name twice"),
        (b'{"a":{"b":1,"b":1}}', "same name twice"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "NaN"),
        (b'{"a":1e999}', "beyond"),
        (b'{"a":123456789012345678901234567890}', "64 bits"),
        (b'{"a":"\\ud800"}', "not text"),
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "levels deep"),
        (b'{"a":' + b"9" * 5000 + b"}", "digits"),
    ],
)
def test_a_line_that_two_readers_could_read_differently_is_refused_alone(
    tmp_path: Path, raw: bytes, words: str
) -> None:
    """The reason says what is wrong, the neighbours are kept."""
    before, refused, after = lines_of(tmp_path, b"{}\n" + raw + b"\n{}\n")
    assert (before.value, after.value) == ({}, {})
    assert refused.value is None
    assert refused.reason is not None
    assert words in refused.reason


def test_a_line_over_a_megabyte_is_refused_without_being_held_and_the_next_is_read(tmp_path: Path) -> None:
    """The size cap is per line, also where the line goes on for several caps, and where it ends the file."""
    long = b'{"a":"' + b"x" * (3 * MAX_LINE_BYTES) + b'"}'
    first, second, third = lines_of(tmp_path, long + b"\n{}\n" + long)
    assert first.reason == third.reason == f"longer than {MAX_LINE_BYTES} bytes"
    assert second == Line(number=2, value={})


def test_a_line_of_exactly_the_cap_is_read(tmp_path: Path) -> None:
    """The line break is not counted against the line."""
    raw = b'{"a":"' + b"x" * (MAX_LINE_BYTES - 8) + b'"}'
    assert len(raw) == MAX_LINE_BYTES
    assert [line.reason for line in lines_of(tmp_path, raw + b"\n{}")] == [None, None]


def test_standard_input_is_named_by_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    """A feed can be piped in."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a":1}\n')))
    assert [line.value for line in iter_lines("-", "patients")] == [{"a": 1}]


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    """The whole load is refused, with the file's name."""
    with pytest.raises(LoadRefused, match="absent"):
        list(iter_lines(tmp_path / "absent.ndjson"))


def test_the_report_counts_outcomes_and_lists_refused_lines_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON form has exactly the four members of the contract."""
    report = LoadReport()
    for outcome in ("loaded", "loaded", "updated", "unchanged"):
        report.count(outcome)  # type: ignore[arg-type]
    for number in range(30, 0, -1):
        report.reject(number, "not JSON")
    shown = report.as_json()
    assert (shown["loaded"], shown["updated"], shown["unchanged"]) == (2, 1, 1)
    assert shown["rejected"][0] == {"line": 1, "reason": "not JSON"}
    assert set(shown) == {"loaded", "updated", "unchanged", "rejected"}
    print_report(report, as_json=True, noun="patients")
    assert json.loads(capsys.readouterr().out) == shown
    print_report(report, as_json=False, noun="patients")
    said = capsys.readouterr()
    assert said.out == "patients: 2 loaded, 1 updated, 1 unchanged\n"
    assert said.err.splitlines()[0] == "line 1: not JSON"
    assert "10 more lines" in said.err
