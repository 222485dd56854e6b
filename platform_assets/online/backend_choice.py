"""Which online store a home uses."""

from __future__ import annotations

from platform_assets.home import Home
from platform_assets.online.online_backend import OnlineBackend, online_file


def open_backend(home: Home) -> OnlineBackend:
    """The online store of a home; nothing is opened or created yet."""
    if home.online:
        from platform_assets.online.redis_backend import RedisBackend, checked_url

        return RedisBackend(checked_url(home.online))
    from platform_assets.online.sqlite_backend import SqliteBackend

    return SqliteBackend(online_file(home), home.locks / "online_store")
