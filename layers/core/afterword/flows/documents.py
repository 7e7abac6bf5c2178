"""Flows as their owners send them: parsed strictly, with all problems by field."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError

from afterword.errors import TooLargeError, WrongFields
from afterword.flows.drafts import Flow
from afterword.generations import is_id
from afterword.knowledge import folder_id, tag_id
from afterword.knowledge.ranking import RankingKind
from afterword.tenants import NAME_RULE
from afterword.tenants.registry import MAX_FLOW_BYTES

if TYPE_CHECKING:
    from afterword.knowledge.store import ContentStore

type Path = tuple[str | int, ...]
"""The path to a part of a document: names and indexes, from the outside in."""

_MESSAGES = {
    "extra_forbidden": "must be left out: there is no such field",
    "json_invalid": "must have no half of a surrogate pair",
    "missing": "must be present",
    "string_pattern_mismatch": f"must be {NAME_RULE}",
    "too_long": "must be a list of at most {max_length}, not of {actual_length}",
}
"""Our messages for some of pydantic's errors, by their types."""
MAX_SENT = 4 * MAX_FLOW_BYTES
"""Characters of a flow as sent, with its blanks, escapes and fields of null."""


def parse_flow(values: Mapping[str, object]) -> Flow:
    """Return a flow; raise UnprocessableError with the problem of each field.

    Raises TooLargeError for a document that can be no flow, before its fields are looked at.
    """
    document = json.dumps(values)
    if len(document) > MAX_SENT:
        raise TooLargeError(f"A flow must have at most {MAX_FLOW_BYTES} bytes.")
    try:
        return Flow.model_validate_json(document, strict=True)
    except ValidationError as error:
        wrong = WrongFields()
        problems = sorted(list_problems(error), key=lambda each: field_name(each[0]))
        wrong.note((field_name(path) or "flow", f"{message}.") for path, message in problems)
        raise wrong.error() from error


def render_document(flow: Flow) -> str:
    """Return a flow's JSON document to store, with the fields alone that its owner set."""
    return flow.model_dump_json(exclude_none=True, exclude_unset=True)


def list_problems(error: ValidationError) -> Iterator[tuple[Path, str]]:
    """Yield the path and the message of each problem; an empty path for the whole flow."""
    for problem in error.errors(include_url=False):
        ours = _MESSAGES.get(problem["type"])
        message = problem["msg"] if ours is None else ours.format_map(problem.get("ctx", {}))
        message = re.sub(r"^\w+ should ", "must ", message.removeprefix("Value error, "))
        yield _locate(problem["loc"], message)


def _locate(path: Path, message: str) -> tuple[Path, str]:
    """Return a problem's path, which the message of a whole flow has in it (`steps[0].name: …`)."""
    match = re.match(r"steps\[(\d+)\]\.(\w+): ", message) if not path else None
    if match is None:
        return path, message
    return ("steps", int(match[1]), match[2]), message[match.end() :]


def field_name(path: Path) -> str:
    """Return a path as `steps[0].max_tokens`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).removeprefix(".")


def list_ranking_problems(flow: Flow, *, by_meaning: bool) -> Iterator[tuple[str, str]]:
    """Yield the fields of rankings that a deployment does not have, each with what to do."""
    for number, step in enumerate(flow.steps):
        if step.context is None or step.context.ranking is RankingKind.LEXICAL or by_meaning:
            continue
        yield (
            f"steps[{number}].context.ranking",
            (
                "must be lexical, since the deployment has no embedding model: its owner sets the"
                " stack's parameters EmbeddingProvider and EmbeddingModel."
            ),
        )


def list_warnings(
    contents: "Callable[[], ContentStore]", tenant: str, flow: Flow
) -> Iterator[tuple[str, str]]:
    """Yield the fields that name folders and tags without contents, each with a warning."""
    named = [
        (f"steps[{number}].context.{kind}s", kind, label, _id(tenant, label, id_of))
        for number, step in enumerate(flow.steps)
        if step.context is not None
        for kind, labels, id_of in (
            ("folder", step.context.folders, folder_id),
            ("tag", step.context.tags, tag_id),
        )
        for label in labels
    ]
    if not named:
        return
    ids = {
        wanted: {label_id for _, kind, _, label_id in named if kind == wanted}
        for wanted in ("folder", "tag")
    }
    existing = contents().find_labels(tenant, ids["folder"], ids["tag"])
    for name, kind, label, label_id in named:
        if label_id not in existing:
            warning = (
                f"There is no {kind} {label} yet: the step finds nothing in it until a content is"
                " added to it."
            )
            yield name, warning


def _id(tenant: str, label: str, id_of: Callable[[str, str], str]) -> str:
    """Return the id of a folder or tag that a flow names by its name or id."""
    return label if is_id(label) else id_of(tenant, label)
