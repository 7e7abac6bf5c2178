"""A tenant's usage in the native API: costs are decimal texts, null if unknown."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword.dialects import native
from afterword.errors import UnprocessableError
from afterword.handlers.http import Request, Response
from afterword.tenants.keys import ApiKey
from afterword.usage import prices
from afterword.usage import report as usage_report
from afterword.usage.report import Group, Grouping, Report
from afterword.usage.statistics import Statistics

if TYPE_CHECKING:
    from afterword.dialects.native.responses import usage as responses

_PARAMETERS = ("from", "to", "by")


def render_usage(request: Request, key: ApiKey, statistics: Statistics) -> Response:
    """Return the usage of the query's days; of one flow for a key that is bound to one."""
    for name in request.query:
        if name not in _PARAMETERS:
            raise UnprocessableError("query", f"must be of: {', '.join(_PARAMETERS)}.")
    first, last = usage_report.parse_days(request.query.get("from"), request.query.get("to"))
    by = usage_report.parse_grouping(request.query.get("by"))
    report = usage_report.build_report(
        statistics, prices.load_prices(), key.tenant, first, last, by, key.flow
    )
    return native.render_response(HTTPStatus.OK, build_report(report))


def build_report(report: Report) -> "responses.UsageReport":
    """Return a report as the API shows it."""
    return {
        "from": str(report.first),
        "to": str(report.last),
        "by": list(report.by),
        "groups": [_build_group(group) for group in report.groups],
        "total": _build_counts(report.total),
        "prices": {
            "currency": report.prices.currency,
            "as_of": report.prices.as_of,
            "unpriced_models": list(report.unpriced),
        },
    }


def _build_group(group: Group) -> "responses.UsageGroup":
    names: responses.UsageNames = {}
    for by, name in group.names.items():
        match by:
            case Grouping.DAY:
                names["day"] = name or ""
            case Grouping.FLOW:
                names["flow"] = name
            case Grouping.MODEL:
                names["model"] = name
    return {**names, **_build_counts(group)}


def _build_counts(group: Group) -> "responses.UsageCounts":
    tally = group.tally
    return {
        "generations": tally.generations,
        "succeeded": tally.succeeded,
        "failed": tally.failed,
        "canceled": tally.canceled,
        "failures": {str(reason): count for reason, count in tally.failures.items()},
        "answers": tally.answers,
        "tokens_in": tally.tokens_in,
        "tokens_out": tally.tokens_out,
        "feedback": {str(kind): count for kind, count in tally.feedback.items()},
        "cost": prices.format_amount(group.cost),
    }
