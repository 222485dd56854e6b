"""YAML into declarations; a mistake is told with file, line and what was expected."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from platform_assets.declaration.declared import flag_told
from platform_assets.declaration.yaml_document import Document, read_document
from platform_assets.errors import DeclarationError, UnknownName, unfamiliar_letter

M = TypeVar("M", bound=BaseModel)

ENVELOPE = ("type", "attributes", "template_vars_module", "requirements", "post_processing")
"""Top-level fields of a component's `defs.yaml`, as Dagster reads it."""

# what a pattern of a declaration means, by how it begins
_FORMS = {
    "^[a-z][a-z0-9_]*$": "expected lower-case letters, digits and _, beginning with a letter, not {0!r}",
    r"^[A-Za-z_][\w]*(\.": "expected an import path such as "
    "sklearn.linear_model.LogisticRegression, not {0!r}",
}


def read_yaml(path: Path, model: type[M], *, inside: str | None = None, component: str | None = None) -> M:
    """Read one YAML file as a declaration.

    `inside` names the top-level key that holds it (`attributes` in a `defs.yaml`), `component` the
    `type:` that such a file must name. Raises DeclarationError listing every mistake as
    `file:line: field: what was expected`.
    """
    return read_located(path, model, inside=inside, component=component)[0]


def read_located(
    path: Path, model: type[M], *, inside: str | None = None, component: str | None = None
) -> tuple[M, Document]:
    """The same, with the document whose lines a later mistake can point to."""
    document = read_document(path)
    data = _mapping(document, inside)
    at: tuple[str, ...] = ()
    if inside is not None:
        data, at = _unpacked(document, data, inside, component), (inside,)
    try:
        return model.model_validate(data), document
    except ValidationError as error:
        found = error.errors()
        lines = [_told(document, at, item, model) for item in found if not _follows(item, found, model)]
        raise DeclarationError("\n".join(dict.fromkeys(lines))) from None


def located(error: DeclarationError, path: Path, *inside: str) -> DeclarationError:
    """An error that knows its place in a declaration, told with the file and line of it."""
    document = read_document(path)
    message = f"{path}:{document.line(*inside, *error.location)}: {error}"
    return type(error)(message)


def _mapping(document: Document, inside: str | None) -> dict[str, Any]:
    wanted = f"`type:` and `{inside}:`" if inside else "`sources:`, `entities:` or `feature_views:`"
    if document.data is None:
        raise DeclarationError(f"{document.path}:1: the file is empty; expected {wanted}")
    if not isinstance(document.data, dict):
        kind = "list" if isinstance(document.data, list) else "single value"
        raise DeclarationError(
            f"{document.path}:1: the file holds a {kind}; expected a mapping with {wanted}"
        )
    return document.data


def _unpacked(document: Document, data: dict[str, Any], inside: str, component: str | None) -> Any:
    """What lies inside the envelope; the envelope itself is checked first."""
    for name in data:
        if name not in ENVELOPE:
            near = UnknownName.among("top-level field", str(name), ENVELOPE)
            raise DeclarationError(document.told(near, name))
    if component is not None:
        if "type" not in data:
            raise DeclarationError(f"{document.path}:1: `type: {component}` is missing on top")
        if data["type"] != component:
            raise DeclarationError(
                document.told(f"no component {data['type']!r}; did you mean {component!r}?", "type")
            )
    if inside not in data:
        raise DeclarationError(f"{document.path}:1: expected a top-level key {inside!r}")
    return data[inside]


def _told(document: Document, at: tuple[str, ...], item: Any, model: type[BaseModel]) -> str:
    location = tuple(item["loc"])
    message = _message(item, model, location)
    if item["type"] == "value_error":
        # "split.remove_known: ..." of a whole product is about that field: point to its line
        named = re.match(r"([a-z_]+(?:\.[a-z_]+)*): ", message)
        if named and location and named[1] == location[-1]:
            message = message[named.end() :]
        elif named and _exists(document, (*at, *location, *named[1].split("."))):
            location, message = (*location, *named[1].split(".")), message[named.end() :]
    told = document.told(message, *at, *location)
    return told.replace(f": {'.'.join(at)}.", ": ", 1) if at else told


def _exists(document: Document, location: Sequence[Any]) -> bool:
    data, found = document.data, True
    for part in location:
        try:
            data, found = data[part], True
        except (KeyError, IndexError, TypeError):
            if part in ("function", "kind") or (isinstance(data, dict) and "kind" in data):
                found = False  # the name of a kind in a union
                continue
            return False
    return found


def _message(item: Any, model: type[BaseModel], location: tuple[Any, ...]) -> str:
    """One mistake in words, without the reader's library showing through."""
    kind, given, context = item["type"], item["input"], item.get("ctx", {})
    if kind == "extra_forbidden":
        return str(UnknownName.among("field", str(location[-1]), _fields_at(model, location[:-1])))
    if kind == "missing":
        return "this field is required"
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        expected = context.get("expected", context.get("expected_tags", ""))
        names = re.findall(r"'([^']*)'", expected)
        word = "kind" if kind == "union_tag_invalid" else "value"
        tag = str(context.get("tag", given))
        if not names:
            return f"expected {expected}"
        told = str(UnknownName.among(word, tag, names))
        return told if "; there are: " in told else told + _choice(names)
    if kind == "union_tag_not_found":
        return "this needs a `kind:`, such as {kind: contract}"
    if kind == "string_pattern_mismatch":
        pattern = str(context["pattern"])
        form = next(
            (f for start, f in _FORMS.items() if pattern.startswith(start)), "has a wrong form: {0!r}"
        )
        return form.format(given) + unfamiliar_letter(str(given))
    if kind == "value_error":
        return str(item["msg"]).removeprefix("Value error, ")
    bounds = {"greater_than_equal": "at least", "less_than_equal": "at most"}
    bounds |= {"greater_than": "above", "less_than": "below"}
    if kind in bounds:
        limit = next(iter(context.values()))
        return f"must be {bounds[kind]} {limit:g}, not {given!r}"
    if kind == "too_short":
        return "must name at least one"
    if kind == "string_too_long":
        return f"is {len(given)} characters long; at most {context['max_length']} are taken"
    if kind == "finite_number":
        return f"expected a number, not {given!r}"
    if kind == "invalid_key" or location[-1] == "[key]":
        return f"expected the name of a field, not {location[-1] if kind == 'invalid_key' else _shown(given)}"
    expected = f"expected {_EXPECTED.get(kind.split('_')[0], 'something else')}"
    return f"nothing is written here; {expected}" if given is None else f"{expected}, not {_shown(given)}"


_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "string": "text (put it in quotes)",
    "bool": "true or false",
    "tuple": "a list, such as [a, b]",
    "list": "a list, such as [a, b]",
    "dict": "a mapping, such as {name: value}",
    "model": "a mapping, such as {name: value}",
    "date": "a day such as 2018-04-01",
}


def _choice(names: Sequence[str]) -> str:
    """The other values there are, where the nearest one alone would not tell them."""
    return f" (one of {', '.join(repr(name) for name in names)})" if len(names) <= 16 else ""


def _shown(given: Any) -> str:
    if isinstance(given, bool):
        return flag_told(given)
    text = str(given) if isinstance(given, date) else repr(given)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _follows(item: Any, found: Sequence[Any], model: type[BaseModel]) -> bool:
    """Whether a mistake only follows from another one that is told: a misspelt field is missing too."""
    location = tuple(item["loc"])
    if item["type"] == "too_short":
        return any(
            len(other["loc"]) > len(location) and other["loc"][: len(location)] == location for other in found
        )
    if item["type"] != "missing" or not isinstance(item["input"], dict):
        return False
    known = _fields_at(model, location[:-1])
    unknown = [str(name) for name in item["input"] if name not in known]
    return any(difflib.get_close_matches(name, known, n=1) == [location[-1]] for name in unknown)


def _fields_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Field names of the model a location leads to; of unions, those of the member that was tried."""
    candidates: list[Any] = [model]
    for part in location:
        if isinstance(part, int):
            continue
        found: list[Any] = []
        for candidate in candidates:
            if part in candidate.model_fields:
                found.extend(_models_in(candidate.model_fields[part].annotation))
        tagged = [c for c in candidates if _has_tag(c, part)]
        candidates = found or tagged or candidates
    return sorted({name for candidate in candidates for name in candidate.model_fields})


def _has_tag(model: type[BaseModel], tag: Any) -> bool:
    kind = model.model_fields.get("kind")
    return kind is not None and tag in getattr(kind.annotation, "__args__", ())


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]
