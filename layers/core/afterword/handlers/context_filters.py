"""A request's filters of folders and tags for a step, which replace those of its flow."""

import json
from collections.abc import Mapping
from functools import partial

from afterword.errors import UnprocessableError, WrongFields
from afterword.handlers.json_members import check_members, read_object
from afterword.knowledge import MAX_NAME
from afterword.knowledge.selection import ContextFilterLabels, ContextFilterRequest
from afterword.tenants import StoredFlow

MAX_LABELS = 100
"""Folders, or tags, in a request's filter for a step."""

type Step = Mapping[str, object]


def steps_of(flow: StoredFlow) -> Mapping[str, Step]:
    """Return the steps of a flow's document by their names."""
    return {step["name"]: step for step in json.loads(flow.document)["steps"]}


def parse_filter(sent: Mapping[str, object], step: Step, field: str) -> ContextFilterRequest:
    """Parse the filter for a step; raise UnprocessableError, which names the fields.

    An empty list chooses all folders, or tags; no list leaves those of the flow.
    """
    if step.get("context") is None:
        raise UnprocessableError(field, "must be left out: this step chooses no context.")
    wrong = WrongFields()
    wrong.read(partial(check_members, field, sent, {"folders", "tags"}))
    folders, tags = (
        wrong.read(partial(_parse_names, sent, kind, field)) for kind in ("folders", "tags")
    )
    wrong.refuse()
    return ContextFilterRequest(folders, tags)


def _parse_names(sent: Mapping[str, object], kind: str, within: str) -> ContextFilterLabels | None:
    """Return the ids and names of folders or tags; None without a list."""
    chosen = read_object(sent, kind, within)
    field = f"{within}.{kind}"
    wrong = WrongFields()
    wrong.read(partial(check_members, field, chosen, {"ids", "names"}))
    ids, names = (
        wrong.read(partial(_parse_labels, f"{field}.{each}", chosen.get(each)))
        for each in ("ids", "names")
    )
    wrong.refuse()
    return None if ids is None and names is None else ContextFilterLabels(ids or (), names or ())


def _parse_labels(field: str, sent: object) -> tuple[str, ...] | None:
    if sent is None:
        return None
    if not isinstance(sent, list) or len(sent) > MAX_LABELS:
        raise UnprocessableError(field, f"must be a list of up to {MAX_LABELS} texts.")
    for each in sent:
        if not isinstance(each, str) or not 1 <= len(each.strip()) <= MAX_NAME:
            raise UnprocessableError(field, f"must have texts of 1 to {MAX_NAME} characters.")
    return tuple(sent)
