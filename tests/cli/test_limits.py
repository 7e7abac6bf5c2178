"""`afterword tenant limits`, under moto."""

import json

import pytest

from afterword.limits import Limits
from afterword.services import services
from afterword.tenants.registry import Registry
from tests.cli.conftest import Afterword, usage_error
from tests.conftest import FLOW, FLOW_DOCUMENT

pytestmark = pytest.mark.usefixtures("stack", "set_clock")

LIMITS = ("tenant", "limits", "demo")
CHANGED = "Set the limits of tenant demo; the old ones may hold for up to 60 seconds more.\n"


@pytest.fixture
def registry(registry: Registry) -> Registry:
    """Return the registry, with the tenant demo and its flow in it."""
    registry.create_tenant("demo", "Demo")
    registry.put_flow("demo", FLOW, FLOW_DOCUMENT)
    return registry


@pytest.mark.usefixtures("registry")
def test_a_tenant_has_no_limits_at_first(afterword: Afterword) -> None:
    """Without limits nothing is counted, which is shown as such."""
    shown = afterword(*LIMITS)
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == [
        "LIMIT                    AT MOST  USED",
        "requests per minute      none     not counted",
        "running at once          none     not counted",
        "tokens per month         none     not counted",
        "reads per minute         none     not counted",
        "waits at once            50       0",
        "key requests per minute  none     not counted",
    ]
    nothing = {"limit": None, "used": None}
    assert json.loads(afterword(*LIMITS, "--json").stdout) == {
        "tenant": "demo",
        "requests_per_minute": nothing,
        "running_at_once": nothing,
        "tokens_per_month": nothing,
        "reads_per_minute": nothing,
        "waits_at_once": {"limit": 50, "used": 0},
        "key_requests_per_minute": nothing,
    }


def test_limits_are_shown_with_what_is_used(afterword: Afterword, registry: Registry) -> None:
    """Each limit comes with what counts against it at this moment, set or not."""
    given = Limits(
        requests_per_minute=60,
        tokens_per_month=1_000_000,
        reads_per_minute=600,
        key_requests_per_minute=4,
    )
    registry.set_limits("demo", given)
    for _ in range(2):
        afterword("submit", "demo", FLOW, "--body", "Hi")
    canceled = afterword("submit", "demo", FLOW, "--body", "Hi").stdout.strip()
    afterword("cancel", "demo", canceled)
    assert afterword(*LIMITS).stdout.splitlines() == [
        "LIMIT                    AT MOST  USED",
        "requests per minute      60       3",
        "running at once          none     not counted",
        "tokens per month         1000000  0",
        "reads per minute         600      0",
        "waits at once            50       0",
        "key requests per minute  4        not counted",
    ]
    assert json.loads(afterword(*LIMITS, "--json").stdout) == {
        "tenant": "demo",
        "requests_per_minute": {"limit": 60, "used": 3},
        "running_at_once": {"limit": None, "used": None},
        "tokens_per_month": {"limit": 1_000_000, "used": 0},
        "reads_per_minute": {"limit": 600, "used": 0},
        "waits_at_once": {"limit": 50, "used": 0},
        "key_requests_per_minute": {"limit": 4, "used": None},
    }


def test_limits_are_set_one_by_one(afterword: Afterword, registry: Registry) -> None:
    """Given limits are set, `none` takes a limit away, and the others stay as they are."""
    steps = [
        (("--requests-per-minute", "60"), Limits(requests_per_minute=60)),
        (("--running-at-once", "1000"), Limits(requests_per_minute=60, running_at_once=1000)),
        (
            ("--tokens-per-month", "5000000", "--requests-per-minute", "none"),
            Limits(running_at_once=1000, tokens_per_month=5_000_000),
        ),
        (
            ("--tokens-per-month", "none", "--running-at-once", "none"),
            Limits(),
        ),
        (
            ("--reads-per-minute", "600", "--waits-at-once", "20"),
            Limits(reads_per_minute=600, waits_at_once=20),
        ),
        (
            ("--key-requests-per-minute", "4", "--reads-per-minute", "none"),
            Limits(waits_at_once=20, key_requests_per_minute=4),
        ),
    ]
    for options, limits in steps:
        result = afterword(*LIMITS, *options, "--json")
        assert (result.exit_code, result.stderr) == (0, CHANGED)
        assert registry.get_limits("demo") == limits
        shown = json.loads(result.stdout)
        assert shown["requests_per_minute"]["limit"] == limits.requests_per_minute
        assert shown["running_at_once"]["limit"] == limits.running_at_once
        assert shown["tokens_per_month"]["limit"] == limits.tokens_per_month


def test_to_show_the_limits_changes_nothing(afterword: Afterword, registry: Registry) -> None:
    """Without options the limits stay as they are."""
    limits = Limits(requests_per_minute=1, running_at_once=2, tokens_per_month=3)
    registry.set_limits("demo", limits)
    afterword(*LIMITS)
    assert registry.get_limits("demo") == limits


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--requests-per-minute", "0", "'0' is neither a whole number above 0 nor 'none'"),
        ("--requests-per-minute", "-1", "'-1' is neither a whole number above 0 nor 'none'"),
        ("--running-at-once", "1.5", "'1.5' is neither a whole number above 0 nor 'none'"),
        ("--running-at-once", "5001", "5001 is above 5000"),
        ("--waits-at-once", "201", "201 is above 200"),
        ("--tokens-per-month", "many", "'many' is neither a whole number above 0 nor 'none'"),
        ("--tokens-per-month", "9" * 16, "is neither a whole number above 0 nor 'none'"),
        ("--tokens-per-month", "\u0663", "is neither a whole number above 0 nor 'none'"),
    ],
)
def test_a_wrong_limit_is_a_usage_error(
    afterword: Afterword, registry: Registry, option: str, text: str, message: str
) -> None:
    """A bad limit is told by its option, and none of the given limits is set."""
    registry.set_limits("demo", Limits(running_at_once=5))
    error = usage_error(afterword(*LIMITS, "--tokens-per-month", "7", option, text))
    assert f"Invalid value for {option}:" in error
    assert message in error
    assert registry.get_limits("demo") == Limits(running_at_once=5)


@pytest.mark.parametrize("options", [(), ("--running-at-once", "5")])
def test_limits_need_a_tenant(afterword: Afterword, options: tuple[str, ...]) -> None:
    """Without such a tenant there are no limits to show or to set."""
    result = afterword("tenant", "limits", "nobody", *options)
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "afterword: There is no tenant nobody.\n",
    )
    assert services().registry.get_limits("nobody") == Limits()
