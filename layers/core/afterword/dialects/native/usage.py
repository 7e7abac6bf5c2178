"""What a tenant has used, as the native API shows it: costs are decimal texts, null if unknown."""

from http import HTTPStatus

from afterword.dialects import native
from afterword.errors import UnprocessableError
from afterword.handlers.http import Request, Response
from afterword.tenants.keys import ApiKey
from afterword.usage import prices
from afterword.usage import report as usage_report
from afterword.usage.statistics import Statistics

_PARAMETERS = ("from", "to", "by")


def report(request: Request, key: ApiKey, statistics: Statistics) -> Response:
    """Return what is asked for; of its flow alone for a key that is bound to one."""
    for name in request.query:
        if name not in _PARAMETERS:
            raise UnprocessableError("query", f"there are: {', '.join(_PARAMETERS)}.")
    first, last = usage_report.parse_days(request.query.get("from"), request.query.get("to"))
    by = usage_report.parse_grouping(request.query.get("by"))
    found = usage_report.build_report(
        statistics, prices.load_prices(), key.tenant, first, last, by, key.flow
    )
    return native.answer(HTTPStatus.OK, usage_report.render_report(found))
