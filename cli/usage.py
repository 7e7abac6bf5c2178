"""`afterword usage`."""

from typing import TYPE_CHECKING, Annotated

import typer

from afterword.dialects.native.usage import build_report
from afterword.generations import FeedbackKind
from afterword.usage import prices
from afterword.usage import report as usage_report
from afterword.usage.report import DEFAULT_DAYS, MAX_DAYS
from cli import stack
from cli.arguments import AsJson, TenantId
from cli.terminal import result_json, result_table, say

if TYPE_CHECKING:
    from afterword.usage.report import Group, Report

_NO_MODEL, _UNKNOWN = "(none)", "unknown"


def show(  # noqa: PLR0913 - a command's options are its parameters
    context: typer.Context,
    tenant: TenantId,
    first: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DAY",
            help=f"Default: {DEFAULT_DAYS} days up to --to; at most {MAX_DAYS}.",
        ),
    ] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help="Default: today.")] = None,
    by: Annotated[
        str, typer.Option(metavar="day,flow,model", help="What to group by; one of them or more.")
    ] = "day,flow,model",
    *,
    as_json: AsJson = False,
) -> None:
    """Show what a tenant has used, and what that cost by the price table.

    Days are UTC, such as 2026-11-30; a generation counts on the day on which it ended.
    """
    services = stack.of(context)
    services.registry.get_tenant(tenant)
    days = usage_report.parse_days(first, last)
    report = usage_report.build_report(
        services.statistics, prices.load_prices(), tenant, *days, usage_report.parse_grouping(by)
    )
    if as_json:
        result_json(build_report(report))
        return
    result_table(
        (
            *(name.upper() for name in report.by),
            "GENERATIONS",
            "SUCCEEDED",
            "FAILED",
            "CANCELED",
            "TOKENS IN",
            "TOKENS OUT",
            *(kind.upper() for kind in FeedbackKind),
            f"COST ({report.prices.currency})",
        ),
        [
            *((*_names(group), *_counts(group)) for group in report.groups),
            (*_total(report), *_counts(report.total)),
        ],
    )
    say(f"Costs are estimated by the prices of {report.prices.as_of}.")
    if report.unpriced:
        say(f"There is no price for: {', '.join(report.unpriced)}.")


def _names(group: "Group") -> list[str]:
    return [_NO_MODEL if name is None else name for name in group.names.values()]


def _total(report: "Report") -> list[str]:
    return ["TOTAL", *[""] * (len(report.by) - 1)]


def _counts(group: "Group") -> list[str]:
    tally = group.tally
    numbers = (
        tally.generations,
        tally.succeeded,
        tally.failed,
        tally.canceled,
        tally.tokens_in,
        tally.tokens_out,
        *(tally.feedback.get(kind, 0) for kind in FeedbackKind),
    )
    return [*map(str, numbers), prices.format_amount(group.cost) or _UNKNOWN]
