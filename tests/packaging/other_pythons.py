"""The tests on other interpreters: find each, give it an environment of its own, run a make target in it.

`make test-pythons` and `make smoke-pythons` call this with the names in `PYTHONS`. It needs nothing
installed. A name that is found nowhere was not tested, and what was not tested did not pass.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Interpreter:
    """A Python that starts, with its full version such as `3.12.1`."""

    path: str
    version: str

    @property
    def environment(self) -> str:
        """The folder of its environment, one a minor version."""
        return ".venv-" + ".".join(self.version.split(".")[:2])


def find(name: str, environ: Mapping[str, str] = os.environ) -> Interpreter | None:
    """The first interpreter of a name (`python3.12`, or a path) that starts; None when there is none.

    pyenv puts a shim on PATH for every version it holds, and the shim of one that is not chosen ends
    with an error: so PATH is searched to its end, then pyenv's own versions, newest first.
    """
    for path in _candidates(name, environ):
        version = _version(path, environ)
        if version is not None:
            return Interpreter(path, version)
    return None


def _candidates(name: str, environ: Mapping[str, str]) -> Iterator[str]:
    if os.sep in name:
        yield str(Path(name).expanduser())
        return
    for folder in environ.get("PATH", "").split(os.pathsep):
        if found := shutil.which(name, path=folder):
            yield found
    root = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "~")).expanduser() / ".pyenv")
    versions = [path.parent.parent for path in root.glob(f"versions/*/bin/{name}")]
    for version in sorted(versions, key=_numbers, reverse=True):
        yield str(version / "bin" / name)


def _numbers(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def _version(path: str, environ: Mapping[str, str]) -> str | None:
    program = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    try:
        done = subprocess.run([path, "-c", program], env=dict(environ), capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the target on each; 0 when every name was found and its tests passed."""
    parser = argparse.ArgumentParser(prog="other_pythons.py")
    parser.add_argument("--target", default="test", help="of the Makefile; default: test")
    parser.add_argument("--found-only", action="store_true", help="a name that is not here is no failure")
    parser.add_argument("pythons", nargs="+", help="names or paths")
    asked = parser.parse_args(arguments)
    told, failed = [], False
    for name in asked.pythons:
        python = find(name)
        if python is None:
            told.append(
                f"{name}: not on this machine (neither on PATH nor among pyenv's versions), not tested; "
                f'say where it is: PYTHONS="<path to its python> ..."'
            )
            failed |= not asked.found_only
            continue
        print(f"== Python {python.version} ({python.path}), environment {python.environment}", flush=True)
        command = ["make", "--no-print-directory", asked.target]
        command += [f"PYTHON={python.path}", f"VENV={python.environment}"]
        passed = subprocess.run(command, cwd=ROOT).returncode == 0
        told.append(f"Python {python.version}: make {asked.target} {'passed' if passed else 'FAILED'}")
        failed |= not passed
    print("\n".join(["", *told]), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
