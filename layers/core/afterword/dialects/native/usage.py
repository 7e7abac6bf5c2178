"""A tenant's usage in the native API: costs are decimal texts, null if unknown."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword import prices, usage_report
from afterword.dialects import native
from afterword.errors import UnprocessableError
from afterword.http import Request, Response
from afterword.keys import ApiKey
from afterword.statistics import Statistics
from afterword.usage_report import By, Group, Report

if TYPE_CHECKING:
    from afterword.dialects.native.responses import usage as responses

_PARAMETERS = ("from", "to", "by")


def render_usage(request: Request, key: ApiKey, statistics: Statistics) -> Response:
    """Return the usage of the query's days; of one flow for a key that is bound to one."""
    for name in request.query:
        if name not in _PARAMETERS:
            raise UnprocessableError("query", f"must be of: {', '.join(_PARAMETERS)}.")
    first, last = usage_report.days(request.query.get("from"), request.query.get("to"))
    by = usage_report.by(request.query.get("by"))
    report = usage_report.report(statistics, prices.table(), key.tenant, first, last, by, key.flow)
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
            case By.DAY:
                names["day"] = name or ""
            case By.FLOW:
                names["flow"] = name
            case By.MODEL:
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
        "cost": prices.written(group.cost),
    }
