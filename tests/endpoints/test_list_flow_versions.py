"""Listing a flow's versions through the native API: the handler with its event, under moto."""

from afterword.services import services
from tests.conftest import FLOW, FLOW_DOCUMENT, SetClock
from tests.harness.administration import (
    Administration,
    answer,
)
from tests.harness.native_generations import LAST_PAGE


def test_versions_are_listed_newest_first(
    administration: Administration, set_clock: SetClock
) -> None:
    """All versions are there, by number and not as texts, and none of a flow of a like name."""
    services().registry.put_flow("demo", f"{FLOW}-2", FLOW_DOCUMENT)
    for _ in range(11):
        set_clock.advance(minutes=1)
        services().registry.put_flow("demo", FLOW, FLOW_DOCUMENT)
    versions = [
        {"version": number, "created_at": f"2026-11-10T09:{number - 1:02}:00.000Z"}
        for number in range(12, 0, -1)
    ]
    expected = answer(200, {"id": FLOW, "versions": versions, **LAST_PAGE})
    assert administration.call("list_flow_versions") == expected
