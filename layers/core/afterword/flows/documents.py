"""Flows as their owners send them: read strictly, with all that is wrong in them by field."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError

from afterword.errors import UnprocessableError
from afterword.flows.flow import Flow
from afterword.generations import is_id
from afterword.knowledge import folder_id, tag_id
from afterword.tenants.registry import NAME_RULE

if TYPE_CHECKING:
    from afterword.knowledge.store import ContentStore

type Place = tuple[str | int, ...]
"""Where something is in a document: names and indexes, from the outside in."""

_MESSAGES = {
    "extra_forbidden": "There is no such field",
    "json_invalid": "A text has half of a surrogate pair, which is no character",
    "string_pattern_mismatch": f"Input should be {NAME_RULE}",
    "too_long": "Input should be a list of at most {max_length}, not of {actual_length}",
}
"""Better words for some of pydantic's errors, by their types."""
_MAX_PROBLEMS = 100


def parse_flow(values: Mapping[str, object]) -> Flow:
    """Return a flow; raise UnprocessableError with each field that is wrong."""
    try:
        return Flow.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        found = [
            (field_name(place) or "flow", f"{what}.")
            for place, what in sorted(list_problems(error), key=lambda each: field_name(each[0]))
        ]
        (first, message), *more = found[:_MAX_PROBLEMS]
        raise UnprocessableError(first, message, *more) from error


def render_document(flow: Flow) -> str:
    """Return the JSON document that is stored of a flow: what its owner has said."""
    return flow.model_dump_json(exclude_none=True, exclude_unset=True)


def list_problems(error: ValidationError) -> Iterator[tuple[Place, str]]:
    """Yield where each problem of a flow is, nowhere for the whole of it, and what is wrong."""
    for problem in error.errors(include_url=False):
        words = _MESSAGES.get(problem["type"])
        what = problem["msg"] if words is None else words.format_map(problem.get("ctx", {}))
        yield _place(problem["loc"], what.removeprefix("Value error, "))


def _place(place: Place, what: str) -> tuple[Place, str]:
    """Return where a problem is; one of the whole flow says it itself (`steps[0].name: …`)."""
    found = re.match(r"steps\[(\d+)\]\.(\w+): ", what) if not place else None
    if found is None:
        return place, what
    return ("steps", int(found[1]), found[2]), what[found.end() :]


def field_name(place: Place) -> str:
    """Return a place as `steps[0].max_tokens`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in place]
    return "".join(parts).removeprefix(".")


def list_warnings(
    contents: "Callable[[], ContentStore]", tenant: str, flow: Flow
) -> Iterator[tuple[str, str]]:
    """Yield the fields that name folders and tags which no content has made yet, and that."""
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
    there = contents().find_labels(tenant, ids["folder"], ids["tag"])
    for name, kind, label, label_id in named:
        if label_id not in there:
            warning = (
                f"There is no {kind} {label} yet: the step finds nothing in it until a content is"
                " added to it."
            )
            yield name, warning


def _id(tenant: str, label: str, id_of: Callable[[str, str], str]) -> str:
    """Return the id of what a flow names, by its name or by its id."""
    return label if is_id(label) else id_of(tenant, label)
