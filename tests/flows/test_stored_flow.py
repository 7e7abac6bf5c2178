"""Stored flows are read without pydantic, as the saving has validated them."""

import json
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any

import pytest

from afterword.flows.documents import render_document
from afterword.flows.drafts import Flow
from afterword.flows.flow import read_stored_flow

RICH: dict[str, Any] = {
    "id": "rich",
    "name": "Rich",
    "deadline_seconds": 60,
    "requests_per_minute": 10,
    "type": "chat",
    "history_tokens": 0,
    "inputs": [
        {"name": "subject", "label": "Subject", "max_length": 100},
        {"name": "kind", "kind": "choice", "options": ["a", "b"], "default": "a"},
        {"name": "number", "kind": "number", "least": 1, "most": 2.5, "required": False},
        {"name": "file", "kind": "file", "multiple": True, "max_bytes": 1000},
    ],
    "steps": [
        {
            "name": "first",
            "instructions": "Answer.",
            "prompt": "{{subject}} {{context}}",
            "context": {
                "folders": ["a"],
                "tags": ["b", "c"],
                "passages": 3,
                "question": "{{subject}}",
                "ranking": "hybrid",
                "otherwise": "Nothing.",
            },
            "model": "another",
            "max_tokens": 10,
            "temperature": 1,
            "accepts_images": True,
        },
        {"name": "list", "prompt": "{{first}}", "output": "array", "context": {"required": False}},
        {
            "name": "data",
            "prompt": "{{list}}",
            "output": "json",
            "output_schema": {"type": "object"},
        },
        {"name": "topic", "classes": [{"name": "a", "description": "A."}, {"name": "b"}]},
    ],
}
"""A flow with a value in each field."""


def as_json(value: object) -> object:
    """Return a flow, or a part of one, as plain JSON with all of its fields."""
    if isinstance(value, tuple):
        return [as_json(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: as_json(getattr(value, each.name)) for each in fields(value)}
    return value.value if isinstance(value, StrEnum) else value


def test_each_field_is_read_as_it_was_validated() -> None:
    """All values and all defaults of the steps are those of the validated flow."""
    flow = Flow.model_validate(RICH)
    read: Any = as_json(read_stored_flow(render_document(flow)))
    expected = flow.model_dump(mode="json")
    declared = [as_json(each.declared()) for each in flow.inputs]
    assert read == {**expected, "inputs": declared}


@pytest.mark.parametrize("form", [{}, {"exclude_unset": True}, {"exclude_none": True}])
def test_documents_of_older_releases_are_read(form: dict[str, bool]) -> None:
    """A document with all fields, nulls and defaults included, is the same flow."""
    document = Flow.model_validate(RICH).model_dump(mode="json", **form)  # type: ignore[arg-type]
    assert read_stored_flow(json.dumps(document)) == read_stored_flow(json.dumps(RICH))


def test_fields_of_a_newer_release_are_left_out() -> None:
    """A flow, a step, a context, a class or an input may have a field that this one ignores."""
    newer = json.loads(json.dumps(RICH))
    first, *_, last = newer["steps"]
    for part in (newer, first, first["context"], last["classes"][0], newer["inputs"][0]):
        part["of_a_newer_version"] = {"a": 1}
    assert read_stored_flow(json.dumps(newer)) == read_stored_flow(json.dumps(RICH))


@pytest.mark.parametrize(
    "change",
    [
        {"steps": []},
        {"steps": None},
        {"steps": {}},
        {"steps": [7]},
        {"steps": [{"name": "a"}]},
        {"steps": [{"prompt": "A"}]},
        {"steps": [{"name": "a", "prompt": ["A"]}]},
        {"steps": [{"name": "a", "prompt": "{{newer}}"}]},
        {"steps": [{"name": "a", "prompt": "A", "output": "of a newer version"}]},
        {"steps": [{"name": "a", "prompt": "A", "output": "json"}]},
        {"steps": [{"name": "a", "prompt": "A", "model": ["a", "b"]}]},
        {"steps": [{"name": "a", "prompt": "A", "temperature": "warm"}]},
        {"steps": [{"name": "a", "prompt": "A", "context": "all"}]},
        {"steps": [{"name": "a", "prompt": "A", "context": {"ranking": "newer"}}]},
        {"steps": [{"name": "a", "prompt": "A", "classes": [{"title": "a"}, {"title": "b"}]}]},
        {"type": "of a newer version"},
        {"history_tokens": "many"},
        {"name": None},
        {"inputs": [{"label": "no name"}]},
    ],
)
def test_a_document_that_this_release_cannot_run_is_an_error(change: dict[str, object]) -> None:
    """The worker leaves such a generation to another release, and runs nothing by guesses."""
    with pytest.raises(ValueError, match=r"\w"):
        read_stored_flow(json.dumps(RICH | change))


@pytest.mark.parametrize("document", ["[]", "7", "null", "{", '"flow"'])
def test_another_document_is_an_error(document: str) -> None:
    """A document that is no object is no flow."""
    with pytest.raises(ValueError, match=r"\w"):
        read_stored_flow(document)
