"""YAML into declarations; a mistake is told with file, line and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from platform_assets.errors import DeclarationError, UnknownName

M = TypeVar("M", bound=BaseModel)


def read_yaml(path: Path, model: type[M], *, inside: str | None = None) -> M:
    """Read one YAML file as a declaration.

    `inside` names the top-level key that holds it (`attributes` in a `defs.yaml`). Raises
    DeclarationError listing every mistake as `file:line: field: what was expected`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DeclarationError(f"{path}: cannot be read ({error.strerror}); is the path right?") from None
    except UnicodeDecodeError:
        raise DeclarationError(f"{path}: is not UTF-8 text") from None
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        _refuse_doubled_keys(path, root)
        data = loader.construct_document(root) if root is not None else {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise DeclarationError(f"{path}{line}: not valid YAML: {getattr(error, 'problem', error)}") from None
    at: tuple[str | int, ...] = ()
    if inside is not None:
        if not isinstance(data, dict) or inside not in data:
            raise DeclarationError(f"{path}:1: expected a top-level key {inside!r}")
        data, at = data[inside], (inside,)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [_told(path, root, at, item, model) for item in error.errors()]
        raise DeclarationError("\n".join(lines)) from None


def _refuse_doubled_keys(path: Path, node: yaml.Node | None) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise DeclarationError(f"{path}:{key.start_mark.line + 1}: {key.value!r} is written twice")
            seen.add(key.value)
            _refuse_doubled_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_doubled_keys(path, value)


def _told(path: Path, root: yaml.Node | None, at: tuple[Any, ...], item: Any, model: type[BaseModel]) -> str:
    location = tuple(part for part in item["loc"])
    line = _line_of(root, at + location)
    field = ".".join(str(part) for part in location) or "(file)"
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        fields = _fields_at(model, location[:-1])
        message = str(UnknownName.among("field", str(location[-1]), fields))
    elif item["type"] == "missing":
        message = "this field is required"
    elif item["type"] != "value_error":
        message = f"{message}, not {item['input']!r}"[:300]
    return f"{path}:{line}: {field}: {message}"


def _line_of(node: yaml.Node | None, location: tuple[Any, ...]) -> int:
    """Line of the deepest node on the way that exists, so that a missing field points to its parent."""
    line = 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if pair is None:
                continue  # a union tag of pydantic, or a missing field
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


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
