"""What Feast, its stores and a user's code raise, as one clear error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from platform_assets.errors import Blocked, PlatformError

LONGEST = 400


def one_line(error: BaseException) -> str:
    """Kind and message of an error in one line of at most `LONGEST` characters.

    >>> one_line(ValueError("no such\\n  column"))
    'ValueError: no such column'
    """
    text = " ".join(str(error).split())
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextlib.contextmanager
def store_told(what: str, fix: str) -> Iterator[None]:
    """Turn whatever a store raises into a Blocked that names the store and the fix.

    Stores are plug-ins: a Redis client, a database driver and a file system share no base of errors.
    """
    try:
        yield
    except PlatformError:
        raise
    except Exception as error:
        raise Blocked(f"{what}: {one_line(error)}; {fix}") from error
