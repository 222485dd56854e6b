"""One lock for every Python: no package in two versions, or a model trained on one Python is another on the next."""

from __future__ import annotations

import re
from collections import Counter

from commands import CHECKOUT


def test_each_package_is_locked_once() -> None:
    lock = (CHECKOUT / "requirements.lock").read_text()
    names = Counter(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==", lock, flags=re.MULTILINE))
    assert len(names) > 100
    assert [name for name, times in names.items() if times > 1] == []
