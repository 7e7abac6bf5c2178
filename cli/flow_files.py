"""Flow files, YAML or JSON, with errors that name the file's line and the field.

JSON is YAML, so one loader reads both. Of YAML's types it takes those that JSON has, written as in
YAML 1.2: `no`, `010` and `2026-01-01` are texts.
"""

import json
import re
from typing import TYPE_CHECKING, Any, override

import yaml
from pydantic import ValidationError
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

from afterword.errors import AfterwordError
from afterword.flows import documents
from afterword.flows.drafts import Flow

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence
    from pathlib import Path


class FlowFileError(AfterwordError):
    """A file is no flow; the message has lines of the form `<file>:<line>: <field>: <problem>`."""


class _Loader(yaml.SafeLoader):
    """Reads the types of JSON, and refuses a mapping with a key twice."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - the library's way; filled in below

    @override
    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict["Hashable", Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ConstructorError(
                        None, None, f"{key.value}: The field is there twice", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and quotes what some YAML reads as another type."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)

for _type, _pattern, _first in (
    ("null", r"null|~|", ["n", "~", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"-?(0|[1-9][0-9]*)", list("-0123456789")),
    ("float", r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", list("-0123456789")),
):
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_type}", re.compile(f"(?:{_pattern})$"), _first
        )


def read(path: "Path") -> Flow:
    """Return the flow that a file holds; raise FlowFileError with all that is wrong in it."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise FlowFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FlowFileError(f"{path}: The file is not UTF-8") from error
    if path.suffix.lower() == ".json":
        text = text.replace("\t", " ")  # the one thing in JSON's grammar that YAML does not take
    root, value = _load(path, text)
    try:
        return Flow.model_validate_json(json.dumps(value, allow_nan=False), strict=True)
    except ValidationError as error:
        lines = (f"{path}:{line}: {what}" for line, what in sorted(_problems(root, error)))
        raise FlowFileError("\n".join(lines)) from error
    except (TypeError, ValueError) as error:
        raise FlowFileError(f"{path}: A value is none that JSON has: {error}") from error


def _load(path: "Path", text: str) -> tuple[yaml.Node, object]:
    """Return the file's root node, which knows the lines, and its value."""
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise FlowFileError(f"{path}:1: The file is empty")
        return root, loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = error.problem or error.context or "This is not YAML"
        if error.context and error.context_mark:
            what += f" ({error.context} of line {error.context_mark.line + 1})"
        raise FlowFileError(f"{path}:{line}: {what}") from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise FlowFileError(
            f"{path}:{line}: The control character U+{error.character:04X} is not text"
        ) from error
    except RecursionError as error:
        raise FlowFileError(f"{path}: The file is nested too deeply") from error
    except ValueError as error:
        raise FlowFileError(
            f"{path}: A value does not fit its type, or is a number of too many digits"
        ) from error


def _problems(root: yaml.Node, error: ValidationError) -> "Iterator[tuple[int, str]]":
    """Return the line of each problem, and the field and what is wrong with it."""
    for place, what in documents.list_problems(error):
        name = documents.field_name(place)
        yield _line(root, place), f"{name}: {what}" if name else what


def _line(root: yaml.Node, place: "Sequence[str | int]") -> int:
    """Return the line of a field; of what holds it, when it is not there."""
    node, line = root, root.start_mark.line
    for part in place:
        member = _member(node, part)
        if member is None:
            break
        start, node = member
        line = start.start_mark.line
    return line + 1


def _member(node: yaml.Node, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Return where a member of a node begins, its key if it has one, and the member."""
    if isinstance(node, yaml.MappingNode):
        return next((pair for pair in node.value if pair[0].value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def render(document: str) -> str:
    """Return a flow's stored JSON document as YAML that `read` takes."""
    return yaml.dump(
        json.loads(document), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )
