"""A Feast client of an environment without this library: its own small feature_store.yaml, and nothing of ours."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sales_world import NEWEST, REPOSITORY, SHOP_TRADE, World

from platform_assets.online.online_events import read_events
from platform_assets.online.redis_backend import feast_connection

# an import of this library fails, as where it is not installed
REFUSE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "platform_assets":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
"""
READ = (
    REFUSE
    + """
import json
import feast
store = feast.FeatureStore(repo_path=sys.argv[1])
shops = [{"shop": "shop 1"}, {"shop": "nobody"}]
latest = store.get_online_features(["shop_trade:sum_1d", "shop_trade:sales_6h"], shops).to_dict()
state = store.get_online_features(["shop_trade__state:slot"], [{"shop": "__state__"}]).to_dict()
slot = state["slot"][0]
events = store.get_online_features([f"shop_trade__events_{slot}:event_us"], shops).to_dict()
assert "platform_assets" not in sys.modules
print(json.dumps({"latest": latest, "slot": slot, "events": events["event_us"]}))
"""
)
SERVE = REFUSE + "from feast.cli.cli import cli\nsys.argv[0] = 'feast'\ncli()\n"


@pytest.fixture
def world(tmp_path: Path, online: str) -> World:
    made = World.at(tmp_path / "home", online=online)
    made.build()
    made.fill()
    return made


@pytest.fixture
def folder(world: World, tmp_path: Path) -> Path:
    """What such an environment needs: one file."""
    made = tmp_path / "client"
    made.mkdir()
    home = world.stores.home
    online_store = f"{{type: sqlite, path: {home.feast / 'online.db'}}}"
    if home.online:
        online_store = f"{{type: redis, connection_string: '{feast_connection(home.online)}'}}"
    (made / "feature_store.yaml").write_text(
        f"""
project: platform_assets
provider: local
registry:
  registry_type: sql
  path: sqlite:///{home.feast / "registry.db"}
  serve_features_while_materializing: true
online_store: {online_store}
offline_store: {{type: file}}
entity_key_serialization_version: 3
"""
    )
    return made


def newest_values(world: World, feature: str) -> set[Any]:
    """Values of the newest rows of shop 1; Feast keeps one of those that share a moment."""
    rows = [
        r
        for r in world.stores.lake.table("features/shop_trade").read([NEWEST]).to_pylist()
        if r["shop"] == "shop 1"
    ]
    newest = max(row["sold_at"] for row in rows)
    return {row[feature] for row in rows if row["sold_at"] == newest}


def test_the_sdk_reads_newest_rows_and_recent_events(world: World, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["latest"]["sum_1d"][0] in newest_values(world, "sum_1d")
    assert found["latest"]["sales_6h"][0] in newest_values(world, "sales_6h")
    assert found["latest"]["sum_1d"][1] is None
    assert found["slot"] == "a"
    events = read_events(world.stores, REPOSITORY, SHOP_TRADE, ["shop 1"], [])["shop 1"]
    assert found["events"] == [events.times.tolist(), None]


@contextmanager
def feature_server(folder: Path) -> Iterator[str]:
    """`feast serve`, ended with every process it started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-c", SERVE, "-c", str(folder), "serve", "-h", "127.0.0.1", "-p", str(port)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(words, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}"
        while True:
            assert server.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5)
                break
            except (urllib.error.URLError, ConnectionError):
                continue
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.mark.slow
def test_the_feature_server_serves_newest_rows(world: World, folder: Path) -> None:
    asked = {"features": ["shop_trade:sum_1d"], "entities": {"shop": ["shop 1", "nobody"]}}
    with feature_server(folder) as address:
        request = urllib.request.Request(
            f"{address}/get-online-features",
            data=json.dumps(asked).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found = json.load(answer)
    names = found["metadata"]["feature_names"]
    column = found["results"][names.index("sum_1d")]
    assert column["values"][0] in newest_values(world, "sum_1d")
    assert column["values"][1] is None
    # Feast's Redis store tells an entity without a row as one whose values are null
    nobody = "PRESENT" if world.stores.home.online else "NOT_FOUND"
    assert column["statuses"] == ["PRESENT", nobody]
