"""Listing through the native API: the handler with its event, under moto."""

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import chain
from types import SimpleNamespace
from typing import Any

import pytest

from afterword import clock
from afterword.dialects.native.generations import PARAMETERS
from afterword.flows.drafts import Flow
from afterword.generations import Status, Submission, list_order
from afterword.runtime.clients import clients
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, START, Call, Event, SetClock, Tenant
from tests.harness.fake_model import completion
from tests.harness.native_generations import (
    HEADERS,
    LAST_PAGE,
    Native,
    generation,
    problem,
)
from tests.harness.stand_in_aws import read_items

OTHER = "other"
NO_TIME = "created_after: must be a time like 2026-11-10T09:00:00Z; a + must be sent as %2B."


@pytest.fixture
def other_flow(tenant: Tenant) -> str:
    """Return another flow of the tenant."""
    flow = Flow.model_validate(
        {"id": OTHER, "name": "Other", "steps": [{"name": "a", "prompt": "{{text}}"}]}
    )
    services().registry.put_flow(tenant.id, OTHER, flow.model_dump_json(exclude_unset=True))
    return OTHER


def forget_the_index() -> None:
    """Answer queries of the index by tenant as DynamoDB does while it makes the index."""

    def refuse(params: dict[str, Any], **_: object) -> Any:  # noqa: ANN401 - botocore takes an answer
        if b"by_tenant" not in params["body"]:
            return None
        error = {"Code": "ValidationException", "Message": "Cannot read from backfilling index"}
        return SimpleNamespace(status_code=400), {"Error": error}

    clients().dynamodb.meta.events.register_first("before-call.dynamodb.Query", refuse)


def submit_each_second(native: Native, clock: SetClock, number: int, *flows: str) -> list[str]:
    """Submit questions to these flows in turn, one a second; return their ids, newest first."""
    ids = []
    for count in range(number):
        ids.append(native.submitted(flow=flows[count % len(flows)]))
        clock.advance(seconds=1)
    return ids[::-1]


def test_a_list_has_whole_generations(native: Native) -> None:
    """A page has generations as they are read, and no link where there is no next page."""
    generation_id = native.submitted(external_ref="case-457")
    assert native.page() == {
        "statusCode": 200,
        "headers": HEADERS,
        "body": {"items": [generation(generation_id, external_ref="case-457")], **LAST_PAGE},
    }


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.usefixtures("other_flow")
def test_pages_go_over_all_flows_newest_first(
    native: Native, set_clock: SetClock, limit: int
) -> None:
    """Page by page each generation is there once, whichever flow it is of."""
    ids = submit_each_second(native, set_clock, 7, FLOW, OTHER, OTHER)
    pages = native.pages(limit=str(limit))
    assert list(chain(*pages)) == ids
    assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    assert len(pages) == -(-7 // limit)


def test_the_next_page_is_linked(native: Native, set_clock: SetClock) -> None:
    """The Link header has the body's address, with all that was asked for."""
    submit_each_second(native, set_clock, 2, FLOW)
    result = native.page(limit="1", flow=FLOW, created_after="2026-11-10T09:00:00+00:00")
    link = result["body"]["next"]
    assert result["headers"]["link"] == f'<{link}>; rel="next"'
    assert link.startswith(
        "/v1/generations?limit=1&flow=mail-reply"
        "&created_after=2026-11-10T09%3A00%3A00%2B00%3A00&cursor="
    )


def test_what_comes_in_between_changes_no_later_page(native: Native, set_clock: SetClock) -> None:
    """A list goes on where it stopped, however much is submitted meanwhile."""
    ids = submit_each_second(native, set_clock, 4, FLOW)
    first = native.page(limit="2")
    submit_each_second(native, set_clock, 3, FLOW)
    cursor = first["body"]["next"].partition("cursor=")[2]
    second = native.page(limit="2", cursor=cursor)
    assert [item["id"] for item in second["body"]["items"]] == ids[2:]


@pytest.mark.usefixtures("other_flow")
def test_a_list_is_of_one_flow_if_that_is_asked_for(native: Native, set_clock: SetClock) -> None:
    """?flow= has that flow's alone, and a flow that is not there has none."""
    ids = submit_each_second(native, set_clock, 4, FLOW, OTHER)
    assert native.pages(flow=OTHER) == [ids[::2]]
    assert native.pages(flow="none") == [[]]


def test_statuses_are_chosen(native: Native, set_clock: SetClock) -> None:
    """One status or several, and pages as full as without the choice."""
    ids = submit_each_second(native, set_clock, 9, FLOW)
    for generation_id in ids[::3]:
        native.ask("cancel_generation", generation_id)
    claim = services().store.claim("demo", ids[1], clock.now() + timedelta(minutes=1))
    assert claim is not None
    services().outbox.succeed(claim, completion("In May."))
    assert native.pages(status="canceled", limit="2") == [[ids[0], ids[3]], [ids[6]]]
    assert native.pages(status="canceled,succeeded") == [[ids[0], ids[1], ids[3], ids[6]]]
    assert native.pages(status="running") == [[]]


def test_a_page_reads_only_so_many(
    native: Native, set_clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where what is asked for is rare, pages may have fewer, and the list still has all."""
    monkeypatch.setattr("afterword.generations.listings.SCANNED", 3)
    ids = submit_each_second(native, set_clock, 7, FLOW)
    native.ask("cancel_generation", ids[4])
    assert native.pages(status="canceled", limit="2") == [[], [ids[4]], []]


@pytest.mark.usefixtures("other_flow")
def test_a_generation_is_found_by_its_reference(
    native: Native, set_clock: SetClock, calls: list[Call]
) -> None:
    """An external reference is looked up over all flows, whatever dialect it came through."""
    submit_each_second(native, set_clock, 3, FLOW)
    mine = native.submitted(external_ref="case-457", flow=OTHER)
    set_clock.advance(seconds=1)
    mail = Submission(
        dialect="dialonce",
        flow=FLOW,
        inputs={"text": "A"},
        template=None,
        external={"external_ref": '"case-457"'},
    )
    theirs = services().submitter.submit("demo", mail)
    calls.clear()
    assert native.pages(external_ref="case-457") == [[theirs, mine]]
    indexes = {call.params.get("IndexName") for call in calls} - {None}
    assert indexes == {"by_reference"}
    assert native.pages(external_ref="case-457", flow=OTHER) == [[mine]]
    assert native.pages(external_ref="case-457", status="canceled") == [[]]
    assert native.pages(external_ref="case-45") == [[]]


@pytest.mark.parametrize("reference", ['""', '"' + "x" * 256 + '"', "null"])
def test_a_reference_that_cannot_be_looked_up_is_kept(native: Native, reference: str) -> None:
    """A reference that only another dialect takes hinders nothing."""
    mail = Submission(
        dialect="dialonce",
        flow=FLOW,
        inputs={"text": "A"},
        template=None,
        external={"external_ref": reference},
    )
    generation_id = services().submitter.submit("demo", mail)
    (item,) = native.page()["body"]["items"]
    assert (item["id"], item["external_ref"]) == (generation_id, json.loads(reference))


def test_times_are_chosen(native: Native, set_clock: SetClock) -> None:
    """From a moment on and up to one, which is not in, in any zone; with pages of their own."""
    ids = submit_each_second(native, set_clock, 5, FLOW)
    since, before = "2026-11-10T09:00:01Z", "2026-11-10T10:00:03.000+01:00"
    assert native.pages(created_after=since) == [ids[:4]]
    assert native.pages(created_before=before) == [ids[2:]]
    both = {"created_after": since, "created_before": before}
    assert native.pages(limit="1", **both) == [[ids[2]], [ids[3]]]
    assert native.pages(created_after=before, created_before=since) == [[]]
    assert native.pages(created_after="0001-01-01T00:00:00Z") == [ids]
    assert native.pages(created_before="9999-12-31T23:59:59Z") == [ids]
    assert native.pages(created_before="1960-01-01T00:00:00Z") == [[]]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"limit": "0"}, "limit: must be a whole number from 1 to 100."),
        ({"limit": "101"}, "limit: must be a whole number from 1 to 100."),
        ({"limit": "x"}, "limit: must be a whole number from 1 to 100."),
        (
            {"status": "done"},
            f"status: must be one or several, separated by commas, of: {', '.join(Status)}.",
        ),
        ({"external_ref": ""}, "external_ref: must be a text of 1 to 255 characters."),
        ({"cursor": "x"}, "cursor: must be a cursor of a Link header."),
        ({"cursor": "é"}, "cursor: must be a cursor of a Link header."),
        (
            {"page": "2"},
            f"query: must be of: {', '.join(sorted(PARAMETERS))}.",
        ),
        *(
            (
                {"created_after": moment},
                NO_TIME,
            )
            for moment in (
                "",
                "2026-11-10",
                "2026-11-10T09:00:00",
                "2026-11-10 09:00:00Z",
                "2026-13-10T09:00:00Z",
                "2026-11-10T09:00:00 01:00",
                "0001-01-01T00:00:00+23:59",
                "1794301200",
            )
        ),
    ],
)
def test_what_cannot_be_asked_for_is_refused(
    native: Native, query: dict[str, str], detail: str
) -> None:
    """A parameter that is none is a 400 problem that names it."""
    assert native.page(**query) == problem(400, detail)


def test_expired_generations_are_left_out(native: Native, set_clock: SetClock) -> None:
    """An expired generation is not listed, though DynamoDB has not deleted it yet."""
    native.submitted()
    set_clock.advance(days=30)
    kept = native.submitted()
    assert native.pages(limit="1") == [[kept], []]


def test_a_tenant_sees_its_own_alone(
    native: Native, other_tenant: Tenant, load_event: Callable[[str], Event], set_clock: SetClock
) -> None:
    """Neither a flow of the same id, nor a reference, nor a forged cursor shows another's."""
    native.submitted(external_ref="case-457")
    set_clock.advance(seconds=1)
    theirs = Native(load_event, other_tenant.key)
    own = theirs.submitted()
    set_clock.advance(seconds=1)
    native.submitted()
    native.submitted()
    cursor = native.page(limit="1")["body"]["next"].partition("cursor=")[2]
    assert theirs.pages() == theirs.pages(cursor=cursor) == theirs.pages(flow=FLOW) == [[own]]
    assert theirs.pages(external_ref="case-457") == [[]]


def test_a_key_for_one_flow_lists_that_alone(
    native: Native, tenant: Tenant, other_flow: str, load_event: Callable[[str], Event]
) -> None:
    """Its list has its flow's alone, by reference too, and another flow is a 403."""
    native.submitted(flow=other_flow, external_ref="case-457")
    mine = native.submitted(external_ref="case-457")
    _, key = services().registry.create_key(tenant.id, [Scope.READ], flow=FLOW)
    bound = Native(load_event, key)
    assert bound.pages() == bound.pages(external_ref="case-457") == [[mine]]
    assert bound.page(flow=other_flow) == problem(403, "The API key is for another flow.")


def test_a_page_fits_into_a_response(native: Native, set_clock: SetClock) -> None:
    """With big results a page ends early, stays below Lambda's 6 MB, and the list has them all."""
    ids = submit_each_second(native, set_clock, 5, FLOW)
    for generation_id in ids:
        claim = services().store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
        assert claim is not None
        services().outbox.succeed(claim, completion('"' * 600_000))
    event = native.load_event("list_generations")
    event["headers"]["authorization"] = f"Bearer {native.key}"
    pages = native.pages()
    assert list(chain(*pages)) == ids
    assert len(pages) > 1
    result = native.page()
    text = json.dumps({**result, "body": json.dumps(result["body"], ensure_ascii=False)})
    assert len(text.encode()) < 6_000_000


def test_an_order_is_the_stored_one(native: Native) -> None:
    """A generation's order in lists follows from the generation, as its item has it."""
    generation_id = native.submitted()
    found = services().store.get("demo", generation_id)
    listed = services().store.get_detail("demo", generation_id)
    assert found.order == listed.order == list_order(START, generation_id)


@pytest.mark.parametrize("query", [{}, {"flow": FLOW}])
@pytest.mark.usefixtures("other_flow")
def test_a_page_costs_two_reads_of_the_table(
    native: Native, set_clock: SetClock, calls: list[Call], query: dict[str, str]
) -> None:
    """A page takes one query of an index and one batch read, however many flows there are."""
    submit_each_second(native, set_clock, 20, FLOW, OTHER)
    native.page()
    calls.clear()
    assert len(native.page(limit="10", **query)["body"]["items"]) == 10
    assert [call.operation for call in calls] == ["dynamodb.Query", "dynamodb.BatchGetItem"]


@pytest.mark.usefixtures("other_flow")
def test_a_list_is_whole_while_its_index_is_made(
    native: Native, set_clock: SetClock, log_lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """Until DynamoDB has made the index by tenant, a list reads that of each flow."""
    ids = submit_each_second(native, set_clock, 5, FLOW, OTHER)
    assert native.pages(limit="2") == [ids[:2], ids[2:4], ids[4:]]
    forget_the_index()
    assert native.pages(limit="2") == [ids[:2], ids[2:4], ids[4:]]
    assert any("by_tenant" in line["message"] for line in log_lines())
    services().store.cancel("demo", ids[0])
    services().store.delete("demo", ids[0])
    assert native.pages() == [ids[1:]]


@pytest.mark.usefixtures("other_flow")
def test_an_item_of_an_earlier_version_is_listed(native: Native, set_clock: SetClock) -> None:
    """The index is of attributes that items have always had, so DynamoDB adds the older ones."""
    ids = submit_each_second(native, set_clock, 2, FLOW, OTHER)
    for item in read_items("GenerationsTable"):
        assert {"tenant", "list_order", "list_key"} <= item.keys()
    assert native.pages() == [ids]
