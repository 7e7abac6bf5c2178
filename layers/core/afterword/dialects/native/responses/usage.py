"""Responses with usage."""

from typing import NotRequired, TypedDict

from afterword.handlers.json_schema import Count, Day, Open
from afterword.usage.report import Grouping


class UsageCounts(TypedDict):
    """The numbers of generations, and their tokens and cost."""

    generations: Count
    """Generations that have ended."""
    succeeded: Count
    failed: Count
    canceled: Count
    failures: dict[str, int]
    """Failed generations by reason."""
    answers: Count
    """Answers of models."""
    tokens_in: Count
    tokens_out: Count
    feedback: dict[str, int]
    """Feedback on ends by kind: `positive`, `negative`, `escalated`; nothing for none."""
    cost: str | None
    """A decimal number, estimated; null where a price is unknown."""


class UsageNames(TypedDict):
    """The day, the flow and the model of a group, those that the report groups by."""

    day: NotRequired[Day]
    flow: NotRequired[str | None]
    model: NotRequired[str | None]


class UsageGroup(UsageNames, UsageCounts):
    """The numbers of generations that have a day, a flow or a model in common."""


class UsagePrices(TypedDict):
    """The prices of the estimate."""

    currency: str
    as_of: str
    unpriced_models: list[str]
    """Models with unknown prices."""


_FirstDay = TypedDict("_FirstDay", {"from": Day})


class UsageReport(_FirstDay):
    """The usage of some days."""

    to: Day
    by: list[Open[Grouping]]
    groups: list[UsageGroup]
    total: UsageCounts
    prices: UsagePrices
