"""A squad tightens a contract: the run goes on by the one before until an owner accepts what it does to stored days."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from clinic import Clinic

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FAILING = ("2025-01-03", "2025-01-20")
ACCEPT = ("--by", "ana@clinics.example", "--reason", "half days were never visits")


def test_a_tightened_contract(make_clinic: Callable[..., Clinic]) -> None:
    clinic = make_clinic(26)
    for day in FAILING:
        part = clinic.data / day / "part-0.csv"
        part.write_text(re.sub(r",\d+\.5,", ",150.5,", part.read_text(), count=1))
    product = ("--product", str(clinic.defs))
    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    before = clinic.digests()
    file = clinic.defs.parent / "feature_repo/contracts/appointments.json"
    loose = file.read_text()
    file.write_text(loose.replace('"max_value": 240', '"max_value": 100'))

    told = clinic.command("plan", *product)
    assert "CONTRACT changed; judged by it, 2 of 26 stored days no longer pass" in told.stdout
    assert "It does not take effect: change it, or accept that" in told.stdout
    early = clinic.command("contract", "accept", "appointments", *product, "--owner", "team:clinics", *ACCEPT)
    assert "was not judged by the stored days as they are; `platform-assets run` judges it" in early.stderr
    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BLOCKED raw/appointments : the declared contract is not in force" in done.stdout
    assert f"{FAILING[0]} FAILED: critical minutes_be_between" in done.stdout
    assert clinic.digests() == before
    again = clinic.run()
    assert "nothing has changed; nothing was rebuilt" in again.stdout, again.stdout

    stranger = clinic.command("contract", "accept", "appointments", *product, *ACCEPT)
    assert "does not own source appointments; owners: team:clinics" in stranger.stderr
    accepted = clinic.command(
        "contract", "accept", "appointments", *product, "--owner", "team:clinics", *ACCEPT
    )
    assert accepted.returncode == 0, accepted.stderr
    assert "It takes effect with the next run" in accepted.stdout
    told = clinic.command("plan", *product)
    assert "as accepted: what these days reach is not built on then" in told.stdout
    done = clinic.run()
    assert f"raw day {FAILING[0]}: contract FAILED" in done.stdout
    history = clinic.command("contract", "history", "appointments", *product).stdout.splitlines()
    assert len(history) == 2
    assert "accepted by ana@clinics.example, ledger entry" in history[0]
    assert history[1].endswith("the first contract of the source")
    first = clinic.command(
        "contract", "history", "appointments", *product, "--version", history[1].split()[1]
    )
    assert json.loads(first.stdout) == json.loads(loose)
    ledger = clinic.command("ledger", *product).stdout
    assert "half days were never visits" in ledger

    file.write_text(loose)
    done = clinic.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "BLOCKED" not in done.stdout
    healed = clinic.command("contract", "history", "appointments", *product).stdout.splitlines()[0]
    assert healed.endswith("2 that did not pass do")
    again = clinic.run()
    assert "nothing has changed; nothing was rebuilt" in again.stdout, again.stdout
    whole = clinic.command("verify")
    assert whole.returncode == 0, whole.stdout + whole.stderr
