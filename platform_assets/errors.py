"""Every error this library raises on purpose, as one tree.

PlatformError
├── DeclarationError      a declaration is wrong: file, line, what was expected
│   └── UnknownName       a name that nothing answers to, with the nearest one that exists
├── SourceError           raw input cannot be taken in: file, column, row count, the fix
├── LakeError             the lake on disk is not what a manifest promises
├── Blocked               something upstream is missing, red or stale, so nothing was built
├── LeakageError          an input knows more than it could have known
├── TrainingError         a training set or estimator cannot be used
└── PromotionRefused      a decision that did not pass its gates, or a lease held by someone else
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from typing import Self


class PlatformError(Exception):
    """Base of all errors that tell the user what to do next."""


class DeclarationError(PlatformError):
    """A declaration is wrong; nothing has run.

    `location` is where in the declaration, outermost field first, for whoever knows the file.
    """

    location: tuple[str | int, ...] = ()

    def at(self, *location: str | int) -> Self:
        """The same error, told where."""
        self.location = location
        return self


class UnknownName(DeclarationError):
    """A name that nothing answers to."""

    @classmethod
    def among(cls, kind: str, name: str, available: Iterable[str], *, listed: int = 20) -> UnknownName:
        """Name the nearest existing name; when none is near, the first `listed` of them.

        >>> str(UnknownName.among("feature view", "usr_stats", ["user_stats"]))
        "no feature view 'usr_stats'; did you mean 'user_stats'?"
        """
        names = sorted(available)
        folded = {known.lower(): known for known in reversed(names)}
        near = [folded[found] for found in difflib.get_close_matches(name.lower(), folded, n=1)]
        if near:
            hint = f"; did you mean {near[0]!r}?{unfamiliar_letter(name, near[0])}"
        elif names and listed:
            more = f" and {len(names) - listed} more" if len(names) > listed else ""
            hint = f"; there are: {', '.join(names[:listed])}{more}"
        elif names:
            hint = ""
        else:
            hint = "; there are none"
        return cls(f"no {kind} {name!r}{hint}")


def unfamiliar_letter(name: str, right: str = "") -> str:
    """The first letter that no keyboard of ASCII has and the right name lacks: it may look like another.

    >>> unfamiliar_letter("c\u0430rd", "card")
    " ('\u0430' is CYRILLIC SMALL LETTER A)"
    """
    for letter in name:
        if not letter.isascii() and letter not in right:
            return f" ({letter!r} is {unicodedata.name(letter, 'a character without a name')})"
    return ""


class SourceError(PlatformError):
    """Raw input that cannot be taken in; nothing was written."""


class LakeError(PlatformError):
    """The lake on disk is not what a manifest promises."""


class Blocked(PlatformError):
    """Something upstream is missing, red or stale; nothing was built."""


class LeakageError(PlatformError):
    """An input knows more than it could have known at its time."""


class TrainingError(PlatformError):
    """A training set or an estimator that cannot be used."""


class PromotionRefused(PlatformError):
    """A promotion that did not pass, or that somebody else is deciding right now."""
