"""Feast's Redis layout: one hash an entity, shared by all views that have its key.

A row is the fields of one view in that hash: a feature's value under the murmur3 hash of `view:feature`, the
event timestamp under `_ts:view`. We add `_fill:view`, which tells which writing a row is of, so that rows of
any other can be removed afterwards; Feast leaves it alone. Every read is one transaction, which Redis runs
without anything between.
"""

from __future__ import annotations

import functools
import struct
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from platform_assets.errors import DeclarationError, LakeError
from platform_assets.online.feast_bytes import Blob, timestamp
from platform_assets.online.online_backend import PROJECT, Rows

_CHUNK = 5_000  # rows in one round trip
_CONNECT, _ANSWER = 5.0, 60.0  # seconds
_SCANNED = 2_000  # keys that one call of a script looks at, so that nobody else waits long

_REMOVE = """
local found = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3], 'TYPE', 'hash')
for _, key in ipairs(found[2]) do
  if redis.call('HGET', key, ARGV[5]) ~= ARGV[4] and redis.call('HEXISTS', key, ARGV[6]) == 1 then
    redis.call('HDEL', key, unpack(ARGV, 5))
  end
end
return found[1]
"""
"""Cursor, pattern, keys a call, the writing to keep, then fields: `_fill:view`, `_ts:view`, features."""


@dataclass(frozen=True)
class RedisBackend:
    """One database of a Redis server, by URL."""

    url: str
    kind: str = "redis"

    def where(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}{parts.path}"

    def read(self, view: str, keys: Sequence[bytes], features: Sequence[str]) -> Mapping[str, Sequence[Blob]]:
        fields = [_field(view, name) for name in features]
        with _client(self.url).pipeline(transaction=True) as pipe:
            for key in keys:
                pipe.hmget(_redis_key(key), fields)
            rows = pipe.execute()
        return {name: [row[place] for row in rows] for place, name in enumerate(features)}

    def scan(self, view: str, features: Sequence[str]) -> Iterator[tuple[list[bytes], dict[str, list[Blob]]]]:
        client = _client(self.url)
        fields = [_stamp(view), *(_field(view, name) for name in features)]
        seen: set[bytes] = set()
        cursor = 0
        while True:
            cursor, found = client.scan(cursor, match=_pattern(), count=_CHUNK, _type="hash")
            new = [key for key in dict.fromkeys(found) if key not in seen]  # a scan may tell a key twice
            seen.update(new)
            with client.pipeline(transaction=True) as pipe:
                for key in new:
                    pipe.hmget(key, fields)
                rows = [(key, row) for key, row in zip(new, pipe.execute(), strict=True) if any(row)]
            keys = [key[: -len(PROJECT)] for key, _ in rows]
            yield keys, {name: [row[n] for _, row in rows] for n, name in enumerate(features, start=1)}
            if not cursor:
                return

    def replace(self, view: str, rows: Rows, last: Rows | None = None) -> None:
        filling = uuid.uuid4().bytes
        try:
            client = _client(self.url)
            if last is not None:
                fields = [_stamp(view), *(_field(view, name) for name in last.values)]
                for key in last.keys:
                    client.hdel(_redis_key(key), *fields)
            _write(client, view, rows, filling)
            names = [*rows.values, *(last.values if last is not None else ())]
            self._remove(client, view, names, filling)
            if last is not None:
                _write(client, view, last, filling)
        except _errors() as error:
            raise self._unwritable(error) from error

    def _remove(self, client: Any, view: str, features: Sequence[str], filling: bytes) -> None:
        """Remove every row of a view that another writing left."""
        script = client.register_script(_REMOVE)
        fields = [b"_fill:" + view.encode(), _stamp(view), *dict.fromkeys(_field(view, n) for n in features)]
        cursor: Any = b"0"
        while True:
            cursor = script(args=[cursor, _pattern(), _SCANNED, filling, *fields])
            if cursor == b"0":
                return

    def _unwritable(self, error: Exception) -> LakeError:
        return LakeError(
            f"the online store {self.where()} cannot be written ({type(error).__name__}: {error}). Start it, "
            f"or set PLATFORM_ONLINE_STORE to one that runs, and fill again"
        )


def checked_url(url: str) -> str:
    """The URL of a Redis store. Raises DeclarationError for any other."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise DeclarationError(
            f"PLATFORM_ONLINE_STORE: expected redis://host:port/database, not {parts.scheme or url!r}"
        )
    return url


def feast_connection(url: str) -> str:
    """The same store as Feast's connection string: `host:port,db=0,password=...`."""
    parts = urlsplit(url)
    words = [f"{parts.hostname}:{parts.port or 6379}", f"db={parts.path.strip('/') or 0}"]
    if parts.username:
        words.append(f"username={unquote(parts.username)}")
    if parts.password:
        words.append(f"password={unquote(parts.password)}")
    if parts.scheme == "rediss":
        words.append("ssl=true")
    return ",".join(words)


def _write(client: Any, view: str, rows: Rows, filling: bytes) -> None:
    """One HSET a row, packed here: the client's own packing takes longer than Redis does."""
    names = list(rows.values)
    fields = [_field(view, name) for name in names]
    head = b"*%d\r\n$4\r\nHSET\r\n" % (2 + 2 * (len(fields) + 2))
    marks = [_bulk(b"_fill:" + view.encode()) + _bulk(filling) + _bulk(_stamp(view))]
    marks += [_bulk(field) for field in fields]
    project = PROJECT.encode()
    columns = [rows.values[name] for name in names]
    moments = _timestamps(rows.moments, len(rows))
    connection = client.connection_pool.get_connection()
    try:
        for start in range(0, len(rows), _CHUNK):
            stop = min(start + _CHUNK, len(rows))
            parts: list[bytes] = []
            chunk = zip(*(part[start:stop] for part in (rows.keys, moments, *columns)), strict=True)
            for key, *values in chunk:
                parts.append(head)
                parts.append(b"$%d\r\n%b\r\n" % (len(key) + len(project), key + project))
                for mark, value in zip(marks, values, strict=True):
                    parts.append(mark)
                    parts.append(b"$%d\r\n%b\r\n" % (len(value), value))
            connection.send_packed_command([b"".join(parts)])
            for _ in range(start, stop):
                connection.read_response()
    except BaseException:
        connection.disconnect()  # replies may still be under way
        raise
    finally:
        client.connection_pool.release(connection)


def _timestamps(moments: Sequence[int] | int, count: int) -> Sequence[bytes]:
    if isinstance(moments, int):
        return [_timestamp(moments)] * count
    return [_timestamp(moment) for moment in moments]


@functools.lru_cache(maxsize=100_000)
def _timestamp(moment: int) -> bytes:
    return timestamp(moment)


@functools.lru_cache(maxsize=10_000)
def _field(view: str, feature: str) -> bytes:
    """The hash field of a feature, as Feast names it."""
    import mmh3

    return struct.pack("<I", mmh3.hash(f"{view}:{feature}", signed=False))


def _stamp(view: str) -> bytes:
    return b"_ts:" + view.encode()


def _redis_key(key: bytes) -> bytes:
    return key + PROJECT.encode()


def _pattern() -> bytes:
    return b"*" + PROJECT.encode()


def _bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


def _errors() -> tuple[type[Exception], ...]:
    import redis

    return (redis.RedisError, OSError)


@functools.lru_cache(maxsize=8)
def _client(url: str) -> Any:
    import redis

    return redis.Redis.from_url(url, socket_connect_timeout=_CONNECT, socket_timeout=_ANSWER)
