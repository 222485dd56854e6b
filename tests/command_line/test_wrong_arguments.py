"""Wrong arguments of the command line: one clear line each, exit 1, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_assets.__main__ import main

BY = ("--by", "ana@payments.example", "--reason", "as agreed")
DAY = "no day of raw/card_transactions 'yesterday'; there are none"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that was never written to, beside a folder and a file that are neither."""
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "notes.yaml").write_text("words")
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("champion", "--at", "yesterday"), "--at: expected a moment such as 2026-01-31T14:05:00Z"),
        (("why", "3"), "no version of card_fraud in the ledger '3'; there are none"),
        (("compare", "1", "2"), "no registered version of card_fraud '1'; there are none"),
        (("used-by", "yesterday"), DAY),
        (("impact", "yesterday"), DAY),
        (("ledger", "--html", "folder"), "--html: 'folder' is a folder; name a file in it"),
        (("ledger", "--html", ""), "--html: '' is a folder; name a file in it"),
        (("ledger", "--html", "notes.txt/page.html"), "notes.txt is a file, not a folder"),
        (("schema", "--write", "notes.txt"), "--write: "),
        (("schema", "--write", "notes.txt/schemas"), "notes.txt is a file, not a folder"),
        (("verify",), "nothing is recorded here to verify; is PLATFORM_HOME right?"),
        (("verify", "--head", "12"), "--head '12' is not <sequence>:<hash>"),
        (("restore-registry", *BY), "nothing to restore"),
        (("restore-registry", "--by", "me", "--reason", "x"), "needs a person who answers for it"),
        (("reproduce",), "no version is registered"),
        (("reproduce", "--version", "9"), "no registered version of card_fraud '9'; there are none"),
        (("waive", "--day", "2018-05-01", "--expires", "x", *BY), "does not own source card_transactions"),
        (("waive", "--gate", "leakag", "--expires", "x", *BY), "did you mean 'leakage'?"),
        (("approve", "--version", "3", *BY), "declares no gate of kind approval"),
        (("contract", "propose", "card_transaction"), "did you mean 'card_transactions'?"),
        (("contract", "judge", "card_transactions"), "no day is stored to judge a contract by"),
        (
            ("contract", "judge", "card_transactions", "--suite", "notes.txt"),
            "not a Great Expectations suite",
        ),
        (
            ("contract", "judge", "card_transactions", "--suite", "x.json"),
            "x.json: the contract cannot be read",
        ),
        (("contract", "accept", "card_transactions", *BY), "does not own source card_transactions"),
        (
            ("contract", "accept", "card_transactions", "--owner", "team:payments-data", *BY),
            "the declared contract of card_transactions is in force; there is nothing to accept",
        ),
        (("contract", "history", "card_transactions"), "no contract of card_transactions was in force yet"),
        (("parity", "--view", "terminal_risks"), "did you mean 'terminal_risk'?"),
        (("collect-garbage", "--delete"), "removing data needs a person"),
        (("collect-garbage", "--keep-days", "0"), "--keep-days: at least 1"),
        (("feast-snapshot", "folder"), "folder: cannot be read (Is a directory)"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_one_line_and_nothing_written(
    home: Path, command: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert told in line
    assert not (home / "lake").exists()


@pytest.mark.parametrize("command", [("champion",), ("verify",), ("plan",), ("run",), ("collect-garbage",)])
@pytest.mark.parametrize("place", ["notes.txt", "notes.txt/below"])
def test_a_home_that_is_a_file(
    home: Path,
    command: tuple[str, ...],
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PLATFORM_HOME", place)
    assert main(command) == 1
    told = capsys.readouterr().err
    assert f"error: PLATFORM_HOME: {home.parent / place} is a file, or lies below one; name a folder" in told


@pytest.mark.parametrize("kept", ["[]", '{"products": [1]}', '{"products": {"a": null}}', "{"])
def test_choices_that_no_run_kept(home: Path, kept: str, capsys: pytest.CaptureFixture[str]) -> None:
    home.mkdir()
    (home / "choices.json").write_text(kept)
    assert main(["champion"]) == 1
    assert "choices.json: cannot be read (" in capsys.readouterr().err


def test_a_feature_repository_that_is_not_there(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PLATFORM_FEATURE_REPO", "nowhere")
    assert main(["champion"]) == 1
    assert "error: PLATFORM_FEATURE_REPO: nowhere is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("command", [("champion",), ("plan",), ("run",), ("why", "3"), ("reproduce",)])
@pytest.mark.parametrize(
    ("product", "told"),
    [
        ("nowhere/defs.yaml", "nowhere/defs.yaml: cannot be read (No such file or directory)"),
        ("folder", "folder: is a folder; name the defs.yaml in it"),
        ("notes.yaml", "notes.yaml:1: the file holds a single value"),
        ("card_frod", "no product 'card_frod'; did you mean 'card_fraud'?"),
        ("", "no product ''; there are: card_fraud"),
    ],
    ids=["missing", "folder", "not a mapping", "misspelt", "empty"],
)
def test_a_product_that_is_none(
    home: Path, command: tuple[str, ...], product: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--product", product]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert told in line
    assert not (home / "lake").exists()


def test_a_source_that_is_not_there_is_told_and_not_kept(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--source", "nowhere"]) == 1
    assert "error: nowhere: no such folder or file to read" in capsys.readouterr().err
    assert not (home / "choices.json").exists()


def test_what_argparse_refuses_says_why(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["contract", "judge", "card_transactions", "--days", "few"])
    assert "argument --days: expected a number of days, at least 1, not 'few'" in capsys.readouterr().err
