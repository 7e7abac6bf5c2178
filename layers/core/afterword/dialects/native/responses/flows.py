"""Responses with flows."""

from typing import Annotated, Any, TypedDict

from afterword.dialects.native.responses import NextPage, WrongMember
from afterword.flows.flow import FlowType
from afterword.handlers.json_schema import Open, Schema, Time

_Version = Annotated[int, Schema(minimum=1)]


class FlowHead(TypedDict):
    """A flow in one version."""

    id: str
    version: _Version
    created_at: Time
    """The time when this version was saved."""


class FlowSummary(FlowHead):
    """A flow in its newest version, without its steps."""

    name: str
    type: Open[FlowType]


class FlowList(NextPage):
    """All flows that a key may see."""

    flows: list[FlowSummary]


class FlowShown(FlowHead):
    """A flow in one version, with its document."""

    flow: dict[str, Any]


class FlowSaved(FlowShown):
    """A saved flow."""

    warnings: list[WrongMember]
    """Possible mistakes in the flow."""


class FlowVersion(TypedDict):
    """A version of a flow."""

    version: _Version
    created_at: Time


class FlowVersions(NextPage):
    """The versions of a flow."""

    id: str
    versions: list[FlowVersion]
    """Newest first."""
