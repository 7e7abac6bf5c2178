"""Tenants, their flows as stored documents, and the rule of their names."""

import json
import re
from datetime import datetime, timedelta
from functools import cached_property
from typing import NamedTuple

from afterword.records import dataclass

NAME_RULE = "1 to 64 letters, digits, '-' or '_', the first a letter or digit"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def is_name(name: str) -> bool:
    """Whether a text may be the id of a tenant or a flow (NAME_RULE)."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Tenant:
    """An owner of keys, flows and generations."""

    id: str
    name: str
    created_at: datetime


class _Facts(NamedTuple):
    """The parts of a flow's document that a submission needs."""

    deadline_seconds: float | None
    has_classes: bool
    requests_per_minute: int | None
    first_prompt: str | None
    first_has_context: bool


@dataclass(frozen=True)
class StoredFlow:
    """One version of a flow; `document` is its JSON, which afterword.flows.flow reads.

    The class has no slots, so that a document is parsed once and not for each property.
    """

    id: str
    version: int
    document: str
    created_at: datetime

    @property
    def deadline(self) -> timedelta | None:
        """The deadline of the flow's generations; None for the default."""
        seconds = self._facts.deadline_seconds
        return None if seconds is None else timedelta(seconds=seconds)

    @property
    def has_classes(self) -> bool:
        """Whether the flow's result is one of the classes of its last step."""
        return self._facts.has_classes

    @property
    def requests_per_minute(self) -> int | None:
        """The limit of submissions to the flow in a minute; None without one."""
        return self._facts.requests_per_minute

    @property
    def first_prompt(self) -> str | None:
        """The prompt of the first step; None for one whose inputs are its question."""
        return self._facts.first_prompt

    @property
    def first_has_context(self) -> bool:
        """Whether passages of the knowledge base come into the first step's prompt."""
        return self._facts.first_has_context

    @cached_property
    def _facts(self) -> _Facts:
        document = json.loads(self.document)
        steps = document.get("steps") or [{}]
        return _Facts(
            deadline_seconds=document.get("deadline_seconds"),
            has_classes=bool(steps[-1].get("classes")),
            requests_per_minute=document.get("requests_per_minute"),
            first_prompt=steps[0].get("prompt"),
            first_has_context=steps[0].get("context") is not None,
        )


@dataclass(frozen=True, slots=True)
class FlowVersion:
    """The number and the creation time of a flow's version."""

    version: int
    created_at: datetime
