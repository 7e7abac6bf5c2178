"""Usage: `/v1/usage`."""

from datetime import date
from typing import Annotated

from pydantic import Field

from afterword.dialects.native.responses.usage import UsageReport
from afterword.usage.report import DEFAULT_DAYS, MAX_DAYS, Grouping
from openapi.operations import Answer, Operation, Section, query
from openapi.problem import problems

TAG = "Usage"


SECTION = Section(
    TAG,
    "The numbers of generations, their tokens, and an estimate of their cost.",
    (
        Operation(
            name="get_usage",
            route="GET /v1/usage",
            tag=TAG,
            summary="Read the usage",
            description=f"Up to {MAX_DAYS} days at once, in UTC; {DEFAULT_DAYS} up to today without"
            " `from` and `to`. A key that is bound to a flow reads that flow's usage.",
            parameters=(
                query("from", "The first day.", date),
                query("to", "The last day.", date),
                query(
                    "by",
                    "The groups: `day`, `flow` or `model`, or several with commas.",
                    Annotated[
                        str,
                        Field(
                            pattern="^({0})(,({0}))*$".format("|".join(Grouping)),
                            examples=["day,model"],
                        ),
                    ],
                ),
            ),
            answers={200: Answer(description="The usage.", model=UsageReport)}
            | problems(401, 403, 413, 422, 503),
            keys=("bearer", "apiKey"),
        ),
    ),
)
