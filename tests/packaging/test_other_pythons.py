"""Which interpreter a name stands for, on machines with and without pyenv, and what is said of one that is not there."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import other_pythons
import pytest
from commands import CHECKOUT

SHIM = '#!/bin/sh\necho "pyenv: python3.99: command not found" >&2\nexit 127\n'


def put(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return path


def python(version: str) -> str:
    """A stand-in that says a version as an interpreter does."""
    return f"#!/bin/sh\necho {version}\n"


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH is one folder of shims, the rest the system's own tools."""
    put(tmp_path / "shims" / "python3.99", SHIM)
    return {"PATH": f"{tmp_path / 'shims'}:/nowhere", "HOME": str(tmp_path)}


def test_a_shim_that_does_not_start_leads_to_the_newest_of_pyenv(tmp_path: Path, machine) -> None:
    for version in ("3.99.2", "3.99.10", "3.98.30"):
        put(tmp_path / ".pyenv/versions" / version / "bin" / f"python{version[:4]}", python(version))
    found = other_pythons.find("python3.99", machine)
    assert found is not None
    assert found.path == str(tmp_path / ".pyenv/versions/3.99.10/bin/python3.99")
    assert (found.version, found.environment) == ("3.99.10", ".venv-3.99")


def test_pyenv_may_lie_elsewhere(tmp_path: Path, machine) -> None:
    put(tmp_path / "opt/versions/3.99.1/bin/python3.99", python("3.99.1"))
    found = other_pythons.find("python3.99", {**machine, "PYENV_ROOT": str(tmp_path / "opt")})
    assert found is not None
    assert found.version == "3.99.1"


def test_the_rest_of_path_comes_before_pyenv(tmp_path: Path, machine) -> None:
    put(tmp_path / ".pyenv/versions/3.99.9/bin/python3.99", python("3.99.9"))
    put(tmp_path / "bin/python3.99", python("3.99.1"))
    machine["PATH"] += f":{tmp_path / 'bin'}"
    found = other_pythons.find("python3.99", machine)
    assert found is not None
    assert found.version == "3.99.1"


def test_a_path_is_taken_as_it_is() -> None:
    found = other_pythons.find(sys.executable)
    assert found is not None
    assert found.version == ".".join(str(number) for number in sys.version_info[:3])


@pytest.mark.parametrize("name", ["python3.99", "/nowhere/python3.99"])
def test_what_is_not_there_is_none(machine, name: str) -> None:
    assert other_pythons.find(name, machine) is None


@pytest.mark.parametrize(("options", "code"), [([], 1), (["--found-only"], 0)])
def test_what_was_not_tested_did_not_pass(capsys, options: list[str], code: int) -> None:
    assert other_pythons.main([*options, "/nowhere/python3.99"]) == code
    told = capsys.readouterr().out
    assert "/nowhere/python3.99: not on this machine" in told
    assert "not tested" in told
    assert "PYTHONS=" in told


def test_one_that_fails_does_not_keep_the_next_from_its_turn(tmp_path: Path, monkeypatch, capfd) -> None:
    """A real make on a Makefile whose target fails for the first version."""
    (tmp_path / "Makefile").write_text("test:\n\t@echo ran $(VENV); test $(VENV) != .venv-3.98\n")
    first = put(tmp_path / "first", python("3.98.1"))
    second = put(tmp_path / "second", python("3.99.1"))
    monkeypatch.setattr(other_pythons, "ROOT", tmp_path)
    assert other_pythons.main([str(first), str(second)]) == 1
    told = capfd.readouterr().out
    assert "ran .venv-3.98" in told
    assert "ran .venv-3.99" in told
    assert "Python 3.98.1: make test FAILED\nPython 3.99.1: make test passed\n" in told


def test_what_is_promised_is_what_is_tested() -> None:
    """The classifiers are the oldest Python that installs, and those that `make test-pythons` runs."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    promised = [name.rpartition(" ")[2] for name in project["classifiers"] if " Python :: 3." in name]
    (named,) = re.findall(r"^PYTHONS \?= (.*)$", (CHECKOUT / "Makefile").read_text(), flags=re.MULTILINE)
    tested = [project["requires-python"].removeprefix(">="), *named.replace("python", "").split()]
    assert promised == tested
