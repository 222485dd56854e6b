"""One YAML file as data that knows its lines; what is not YAML is told in a newcomer's words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from platform_assets.errors import DeclarationError

_NO_BREAK = re.compile("[\u00a0\u2007\u202f\u3000\u200b]")


@dataclass(frozen=True)
class Document:
    """A file's plain data, and the tree of nodes that has the lines."""

    path: Path
    data: Any
    root: yaml.Node | None

    def line(self, *location: Any) -> int:
        """Line of the deepest place on the way that exists, so that a missing field points to its parent."""
        line, node = 1, self.root
        for part in location:
            if isinstance(node, yaml.MappingNode):
                pair = next(((k, v) for k, v in node.value if k.value == str(part)), None)
                if pair is None:
                    continue  # the name of a kind in a union, or a missing field
                line, node = pair[0].start_mark.line + 1, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
        return line

    def told(self, message: object, *location: Any) -> str:
        """`file:line: field: message`, the field as it is written, without the names of kinds."""
        node, parts = self.root, []
        for number, part in enumerate(location, 1):
            below: Any = None
            if isinstance(node, yaml.MappingNode):
                below = next((v for k, v in node.value if k.value == str(part)), None)
                if below is None and number < len(location):
                    continue
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                below = node.value[part]
            parts.append(_called(below) or str(part) if isinstance(part, int) else str(part))
            node = below
        field = f"{'.'.join(parts)}: " if parts else ""
        return f"{self.path}:{self.line(*location)}: {field}{message}"


def _called(node: yaml.Node | None) -> str | None:
    """How an item of a list calls itself: its name, else its kind."""
    if not isinstance(node, yaml.MappingNode):
        return None
    said = {k.value: v.value for k, v in node.value if isinstance(v, yaml.ScalarNode)}
    return said.get("name") or said.get("kind")


def read_document(path: Path) -> Document:
    """Read one YAML file. Raises DeclarationError with file, line and the fix when it cannot be."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise DeclarationError(f"{path}: cannot be read ({error.strerror}); is the path right?") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise DeclarationError(f"{path}:{line}: is not UTF-8 text; save the file as UTF-8") from None
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        _refuse_circles(path, root, set(), set())
        _refuse_doubled_keys(path, root)
        _refuse_templates(path, root)
        data = loader.construct_document(root) if root is not None else None
    except yaml.MarkedYAMLError as error:
        raise DeclarationError(_not_yaml(path, text, error)) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise DeclarationError(
            f"{path}:{line}: not valid YAML: an unprintable character; remove it"
        ) from None
    except ValueError as error:  # PyYAML makes dates without looking whether they are one
        raise DeclarationError(f"{path}{_no_such_day(text) or f': {error}'}") from None
    return Document(path, data, root)


def _refuse_circles(path: Path, node: yaml.Node | None, above: set[int], done: set[int]) -> None:
    """`&all [a, *all]` holds itself, and whoever walks through it never ends."""
    if node is None or id(node) in done:
        return
    if id(node) in above:
        raise DeclarationError(
            f"{path}:{node.start_mark.line + 1}: an anchor (&) whose own alias (*) stands inside it; write "
            f"the values themselves"
        )
    below: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        below = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        below = node.value
    for part in below:
        _refuse_circles(path, part, above | {id(node)}, done)
    done.add(id(node))


def _refuse_doubled_keys(path: Path, node: yaml.Node | None) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise DeclarationError(
                    f"{path}:{key.start_mark.line + 1}: {key.value!r} is written twice, first on line "
                    f"{seen[key.value]}; keep one of them"
                )
            seen[key.value] = key.start_mark.line + 1
            _refuse_doubled_keys(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_doubled_keys(path, value)


def _refuse_templates(path: Path, node: yaml.Node | None) -> None:
    """`{{ env.X }}` is refused: the command line, `plan` and a recorded declaration would not fill it in."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            # unquoted, YAML reads the two braces as a mapping whose key is a mapping
            if not isinstance(key, yaml.ScalarNode):
                raise DeclarationError(_template(path, key))
            _refuse_templates(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_templates(path, value)
    elif isinstance(node, yaml.ScalarNode) and ("{{" in node.value or "{%" in node.value):
        raise DeclarationError(_template(path, node))


def _template(path: Path, node: yaml.Node) -> str:
    return (
        f"{path}:{node.start_mark.line + 1}: templates such as {{{{ ... }}}} are not filled in; write the "
        f"value itself, so that a recorded declaration says what was run (a source's folder is given by "
        f"PLATFORM_SOURCE)"
    )


def _not_yaml(path: Path, text: str, error: yaml.MarkedYAMLError) -> str:
    """What PyYAML stumbled over, in words that name the cause: often earlier than where it noticed."""
    problem, context = error.problem or str(error), error.context or ""
    mark, opened = error.problem_mark, error.context_mark
    lines = text.splitlines()
    place = mark or opened
    line = place.line + 1 if place is not None else 1
    at_line = lines[line - 1] if line <= len(lines) else ""
    if "\\t" in problem or "\t" in at_line[: len(at_line) - len(at_line.lstrip())]:
        message = "a tab; YAML is indented with spaces"
    elif "quoted scalar" in context and opened is not None:
        line, message = opened.line + 1, "this quote is never closed"
    elif "flow sequence" in context and opened is not None:
        line, message = opened.line + 1, "this [ is never closed, or a comma or quote is missing in it"
    elif "flow mapping" in context and opened is not None:
        line, message = opened.line + 1, "this { is never closed, or a comma or quote is missing in it"
    elif spaces := [n for n in (line - 1, line) if 1 <= n <= len(lines) and _NO_BREAK.search(lines[n - 1])]:
        line, message = spaces[0], "a no-break space, which looks like a space; type it anew"
    elif "mapping values are not allowed" in problem:
        message = "a colon inside a value; put the value in quotes, or check the indentation"
    elif "could not find expected ':'" in problem:
        message = "expected `name: value`, with a colon and a space"
    elif "expected <block end>" in problem:
        message = "this line is indented otherwise than its neighbours"
    elif "constructor for the tag" in problem:
        tag = problem.split("'")[1].replace("tag:yaml.org,2002:", "!!")
        message = f"the tag {tag} is not understood; write the value without it"
    elif "undefined alias" in problem:
        name = problem.split("'")[1]
        message = f"*{name} stands for what &{name} marks further up, and nothing is marked so"
    elif "single document" in context:
        message = "a second document (---); a file holds one"
    else:
        message = problem
    return f"{path}:{line}: not valid YAML: {message}"


def _no_such_day(text: str) -> str:
    """Line of the first day that no calendar has; empty when there is none."""
    for number, line in enumerate(text.splitlines(), 1):
        for day in re.findall(r"\b\d{4}-\d\d?-\d\d?\b", line):
            try:
                date(*(int(part) for part in day.split("-")))
            except ValueError:
                return f":{number}: {day} is no day of the calendar"
    return ""
