"""Usage: `/v1/usage`."""

from datetime import date
from typing import Annotated

from pydantic import Field
from pydantic.experimental.missing_sentinel import MISSING

from afterword.usage.report import DEFAULT_DAYS, MAX_DAYS, Grouping
from openapi.operations import Answer, Described, Operation, Section, query
from openapi.problem import problems

TAG = "Usage"
_Count = Annotated[int, Field(ge=0)]


class UsageCounts(Described):
    """What generations have come to."""

    generations: _Count
    """That have ended."""
    succeeded: _Count
    failed: _Count
    canceled: _Count
    failures: dict[str, int]
    """By their reasons."""
    answers: _Count
    """Of the models."""
    tokens_in: _Count
    tokens_out: _Count
    cost: str | None
    """A decimal number, estimated; null where a price is unknown."""


class UsageGroup(UsageCounts):
    """What generations have come to that have a day, a flow or a model in common."""

    day: date | MISSING = MISSING
    flow: str | None | MISSING = MISSING  # noqa: RUF036 - None is a value
    model: str | None | MISSING = MISSING  # noqa: RUF036 - None is a value


class UsagePrices(Described):
    """What costs are estimated with."""

    currency: str
    as_of: str
    unpriced_models: list[str]
    """Models whose prices are unknown."""


class UsageReport(Described):
    """What was used in some days."""

    from_: Annotated[date, Field(alias="from")]
    to: date
    by: list[Grouping]
    groups: list[UsageGroup]
    total: UsageCounts
    prices: UsagePrices


SECTION = Section(
    TAG,
    "How many generations there were, their tokens, and an estimate of their cost.",
    (
        Operation(
            name="get_usage",
            route="GET /v1/usage",
            tag=TAG,
            summary="Read what was used",
            description=f"Up to {MAX_DAYS} days at once, in UTC; {DEFAULT_DAYS} up to today without"
            " `from` and `to`. Of its flow alone for a key that is bound to one.",
            parameters=(
                query("from", "The first day.", date),
                query("to", "The last day.", date),
                query(
                    "by",
                    "What to group by: `day`, `flow` or `model`, or several with commas.",
                    Annotated[
                        str,
                        Field(
                            pattern="^({0})(,({0}))*$".format("|".join(Grouping)),
                            examples=["day,model"],
                        ),
                    ],
                ),
            ),
            answers={200: Answer(description="What was used.", model=UsageReport)}
            | problems(401, 403, 413, 422, 503),
            keys=("bearer",),
        ),
    ),
)
