"""`afterword usage`, under moto."""

import json
from collections.abc import Callable

import pytest

from tests.cli.conftest import Afterword
from tests.conftest import FLOW, Event, SetClock, Tenant
from tests.endpoints.test_get_usage import CLAUDE, LITE, OWN, end
from tests.harness.administration import Administration

pytestmark = pytest.mark.usefixtures("stack", "set_clock", "tenant")

USAGE = ("usage", "demo")
PRICES = "Costs are estimated by the prices of 2026-04-10.\n"


def test_usage_is_a_table(afterword: Afterword, set_clock: SetClock) -> None:
    """Each day, flow and model has a line, and the last one is all of them."""
    end(LITE)
    end(LITE, good=False)
    end(CLAUDE, "chat")
    set_clock.advance(days=1)
    end(None)
    shown = afterword(*USAGE)
    assert (shown.exit_code, shown.stderr) == (0, PRICES)
    head, *lines = (" ".join(line.split()) for line in shown.stdout.splitlines())
    assert head == (
        "DAY FLOW MODEL GENERATIONS SUCCEEDED FAILED CANCELED TOKENS IN TOKENS OUT"
        " POSITIVE NEGATIVE ESCALATED COST (USD)"
    )
    assert lines == [
        f"2026-11-10 chat {CLAUDE} 1 1 0 0 1000 500 0 0 0 0.000875",
        f"2026-11-10 {FLOW} {LITE} 2 1 1 0 2000 1000 0 0 0 0.000360",
        f"2026-11-11 {FLOW} (none) 1 1 0 0 0 0 0 0 0 0.000000",
        "TOTAL 4 3 1 0 3000 1500 0 0 0 0.001235",
    ]


def test_a_cost_that_is_not_known_is_said_to_be(afterword: Afterword) -> None:
    """A model without a price has no cost, nor has a sum with it, and it is named."""
    end(OWN)
    shown = afterword(*USAGE, "--by", "model")
    assert shown.stdout.splitlines()[1].split() == [
        OWN,
        "1",
        "1",
        "0",
        "0",
        "1000",
        "500",
        "0",
        "0",
        "0",
        "unknown",
    ]
    assert shown.stderr == f"{PRICES}There is no price for: {OWN}.\n"


def test_usage_as_json_is_what_the_api_shows(
    afterword: Afterword, load_event: Callable[[str], Event], tenant: Tenant
) -> None:
    """A script gets the same report as a client of the API, for the days that it names."""
    end(LITE)
    end(OWN)
    shown = afterword(*USAGE, "--from", "2026-11-01", "--to", "2026-11-30", "--json")
    api = Administration(load_event, tenant.key).call("get_usage")
    assert json.loads(shown.stdout) == api["body"]


def test_nothing_used_is_a_table_of_nothing(afterword: Afterword) -> None:
    """Without generations the total is nought, and there is no line beside it."""
    _, total = afterword(*USAGE).stdout.splitlines()
    assert total.split() == ["TOTAL", *"000000000", "0.000000"]


def test_what_cannot_be_asked_for(afterword: Afterword) -> None:
    """Days and groups that are none, and a tenant that is none, are told as such."""
    for arguments, what in (
        (("demo", "--from", "soon"), "from: must be a day such as 2026-11-30."),
        (("demo", "--from", "2026-01-01"), "from: must be less than 92 days before `to`."),
        (("demo", "--by", "hour"), "by: must be one or more of: day, flow, model."),
        (("nobody",), "There is no tenant nobody."),
    ):
        refused = afterword("usage", *arguments)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert refused.stderr == f"afterword: {what}\n"
