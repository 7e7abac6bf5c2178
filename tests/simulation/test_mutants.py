"""Faults put into the real code on purpose: the simulation sees each, as the promise it breaks."""

import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from afterword import generations
from afterword.engine import attempts, notifications
from afterword.engine.outbox import Outbox
from afterword.engine.sweeper import Sweeper
from afterword.generations import Status, items
from afterword.generations.claims import Claim
from afterword.generations.items import Items
from afterword.generations.requests import QueuedItem
from afterword.generations.store import GenerationStore, PutResult
from afterword.limits.quotas import Quotas
from afterword.runtime.clients import clients
from afterword.runtime.dynamodb import Item, Table
from afterword.services import services
from afterword.usage import statistics
from afterword.usage.statistics import Cell, Statistics
from tests.simulation.conftest import Simulate
from tests.simulation.promises import BrokenError, Promise
from tests.simulation.test_promises import FIXED, Forgetful
from tests.simulation.world import World

type Params = dict[str, Any]
type Change = Callable[[Params], Params | None]


@dataclass
class Mutant:
    """A fault in the code. `break_in` patches it, `change` what is sent as an operation.

    `soonest` is a seed that showed it; when the code has changed, another one may have to. `slow`
    is one that takes more than half a second to show, and so is left to the long form.
    """

    name: str
    caught_by: Collection[Promise]
    break_in: Callable[[pytest.MonkeyPatch], None] | None = None
    operation: str = "dynamodb.UpdateItem"
    change: Change | None = None
    soonest: int = 0
    slow: bool = False
    world: type[World] = World

    def sent(self, params: Params, **_: object) -> Params | None:
        """Change what is sent; None for nothing to change."""
        return None if self.change is None else self.change(params)


def always(params: Params, which: bool, condition: str | None = None) -> Params | None:  # noqa: FBT001 - reads as a sentence
    """Return a write without its condition, or without that part of it, if it is the one."""
    if not which:
        return None
    old = params["ConditionExpression"]
    if condition is None:
        return {**params, "ConditionExpression": f"{old} OR attribute_exists(pk)"}
    new, changes = re.subn(condition, r"(attribute_exists(pk) OR (\g<0>))", old)
    assert changes == 1
    return {**params, "ConditionExpression": new}


def sets(params: Params, *names: str) -> bool:
    """Tell whether an update sets all of these attributes."""
    return all(f"#{name} = " in params["UpdateExpression"] for name in names)


def is_fenced(params: Params) -> bool:
    """Tell whether a write depends on the attempt of its writer."""
    return "#attempt = " in params.get("ConditionExpression", "")


def cancels(params: Params) -> bool:
    """Tell whether an update cancels a generation."""
    canceled = {"S": Status.CANCELED} in params.get("ExpressionAttributeValues", {}).values()
    return canceled and sets(params, "ended_in")


def note_first(params: Params) -> None:
    """Note that an end is made known before it is."""
    for entry in params["Entries"]:
        detail = json.loads(entry["Detail"])
        services().store.mark_dispatched(detail["tenant"], detail["id"])


def one_object_for_all_attempts(patch: pytest.MonkeyPatch) -> None:
    """Let all attempts write their big texts to one key."""
    text: Any = Items._text  # noqa: SLF001 - the seam that is to be broken

    def broken(self: Items, *args: str) -> object:
        *others, writer = args
        return text(self, *others, "" if "text" in others else writer)

    patch.setattr(Items, "_text", broken)


def cancel_anyway(patch: pytest.MonkeyPatch) -> None:
    """Let a cancel that comes too late answer like one that does not."""
    cancel = Outbox.cancel

    def broken(self: Outbox, tenant: str, generation_id: str) -> Status:
        cancel(self, tenant, generation_id)
        return Status.CANCELED

    patch.setattr(Outbox, "cancel", broken)


def notify_success(patch: pytest.MonkeyPatch) -> None:
    """Let each end message tell of a success."""
    detail = notifications.event_detail
    patch.setattr(notifications, "event_detail", lambda end: detail(end) | {"status": "succeeded"})


def note_hours_first(patch: pytest.MonkeyPatch) -> None:
    """Note that an hour is counted before it is."""
    keep = Statistics._keep  # noqa: SLF001 - the seam that is to be broken

    def broken(self: Statistics, cell: Cell, hour: datetime, count: Mapping[str, int]) -> None:
        self._advance(hour + timedelta(hours=1), 0)
        keep(self, cell, hour, count)

    patch.setattr(Statistics, "_keep", broken)


def take_for_own(
    which: Callable[[Mapping[str, Any]], bool], own: Mapping[str, Any] | None = None
) -> Callable[[pytest.MonkeyPatch], None]:
    """Let an update take another item than its own for its own; without one, none at all."""

    def break_in(patch: pytest.MonkeyPatch) -> None:
        update = Table.update

        def broken(self: Table, key: Item, **clauses: Any) -> object:  # noqa: ANN401 - whatever it gets
            if "own" in clauses and which(clauses):
                clauses["own"] = own or {}
            return update(self, key, **clauses)

        patch.setattr(Table, "update", broken)

    return break_in


def changes_to(*statuses: Status) -> Callable[[Mapping[str, Any]], bool]:
    """Return whether an update changes the status to one of these."""
    return lambda clauses: clauses["sets"].get("status") in [{"S": each} for each in statuses]


def ends_unclaimed(clauses: Mapping[str, Any]) -> bool:
    """Tell whether an update fails a generation without a claim."""
    return changes_to(Status.FAILED)(clauses) and "next_at" in clauses["removes"]


def ends_by_claim(clauses: Mapping[str, Any]) -> bool:
    """Tell whether an update ends a generation by a claim."""
    ends = changes_to(Status.SUCCEEDED, Status.FAILED)(clauses)
    return ends and "next_at" not in clauses["removes"]


def claim_early(params: Params) -> Params | None:
    """Let a claim take each next try for one that is due."""
    due = re.search(r"#next_at <= (:\d+)", params.get("ConditionExpression", ""))
    if due is None:
        return None
    values = params["ExpressionAttributeValues"] | {due[1]: {"N": "9" * 13}}
    return {**params, "ExpressionAttributeValues": values}


def ignore_retry_after(patch: pytest.MonkeyPatch) -> None:
    """Let no wait be longer than a second."""
    patch.setattr(attempts, "math", SimpleNamespace(ceil=lambda _: 1))


def add_to_what_is_there(params: Params) -> Params | None:
    """Let each count of an hour be added to what is there, as a counter would be."""
    hour = re.match(r"SET #(h\d\d) = (:\d+)", params["UpdateExpression"])
    if hour is None:
        return None
    name, placeholder = hour.groups()
    there = clients().dynamodb.get_item(TableName=params["TableName"], Key=params["Key"])
    before = there.get("Item", {}).get(name, {"M": {}})["M"]
    sent = params["ExpressionAttributeValues"]
    count = {
        what: {"N": str(int(each["N"]) + int(before.get(what, {"N": "0"})["N"]))}
        for what, each in sent[placeholder]["M"].items()
    }
    return {**params, "ExpressionAttributeValues": {**sent, placeholder: {"M": count}}}


def count_without_receipt(params: Params) -> Params | None:
    """Let tokens be counted whether their receipt is there or not."""
    receipt, count = (write["Update"] for write in params["TransactItems"])
    forced = {
        name: value
        for name, value in receipt.items()
        if name not in {"ConditionExpression", "ReturnValuesOnConditionCheckFailure"}
    }
    used = {"#expires_at": receipt["ExpressionAttributeNames"]["#expires_at"]}
    forced["ExpressionAttributeNames"] = used
    return {**params, "TransactItems": [{"Update": forced}, {"Update": count}]}


def accept_nothing(_store: GenerationStore, prepared: QueuedItem) -> PutResult:
    """Say that a submission is accepted, and store nothing."""
    return PutResult(prepared.item, Status.QUEUED, items.slot_of(prepared.item), same=True)


MUTANTS = [
    Mutant(
        "no sweeper",
        {Promise.ONE_END, Promise.PUBLISHED},
        lambda patch: patch.setattr(Sweeper, "sweep", lambda *_: Counter()),
        slow=True,
    ),
    Mutant(
        "a claim without a condition",
        {Promise.LEASE, Promise.TRANSITIONS, Promise.ENDS_STAY, Promise.WAITS},
        change=lambda sent: always(sent, sets(sent, "lease_until")),
    ),
    Mutant(
        "a finish without a fence",
        {Promise.FENCE, Promise.ENDS_STAY, Promise.TRANSITIONS},
        change=lambda sent: always(sent, is_fenced(sent) and sets(sent, "finished_at")),
        soonest=1,
    ),
    Mutant(
        "a requeue without a fence",
        {Promise.FENCE, Promise.ENDS_STAY},
        change=lambda sent: always(
            sent, is_fenced(sent) and "ADD #failures" in sent["UpdateExpression"]
        ),
        soonest=11,
    ),
    Mutant(
        "a cancel without a condition",
        {Promise.ENDS_STAY},
        change=lambda sent: always(sent, cancels(sent)),
        slow=True,
    ),
    Mutant(
        "a dead letter without a condition",
        {Promise.ENDS_STAY, Promise.DEAD_LETTER},
        change=lambda sent: always(sent, sets(sent, "dead_letter")),
        slow=True,
    ),
    Mutant(
        "a deadline without a condition",
        {Promise.ENDS_STAY, Promise.DEAD_LETTER},
        change=lambda sent: always(
            sent,
            sets(sent, "message") and not is_fenced(sent) and not sets(sent, "dead_letter"),
        ),
        soonest=37,
        slow=True,
    ),
    Mutant(
        "an acceptance without a condition",
        {Promise.ONE_KEY},
        operation="dynamodb.PutItem",
        change=lambda sent: always(
            sent, "attribute_not_exists(#pk)" in sent["ConditionExpression"]
        ),
    ),
    Mutant(
        "a new id for each submission of a key",
        {Promise.ONE_KEY},
        lambda patch: patch.setattr(generations, "id_for_key", lambda *_: generations.new_id()),
    ),
    Mutant(
        "an end without an outbox entry",
        {Promise.PUBLISHED},
        lambda patch: patch.setattr(Claim, "has_outbox", property(lambda _: False)),
        slow=True,
    ),
    Mutant(
        "an answer before the acceptance",
        {Promise.ANSWERS_STAND},
        lambda patch: patch.setattr(GenerationStore, "put_prepared", accept_nothing),
    ),
    Mutant(
        "a cancel that always says so",
        {Promise.CANCELED},
        cancel_anyway,
        slow=True,
    ),
    Mutant(
        "an end that stays on the index",
        {Promise.NOT_DUE},
        lambda patch: patch.setattr(GenerationStore, "mark_dispatched", lambda *_: None),
        slow=True,
    ),
    Mutant(
        "an end message of another end",
        {Promise.PUBLISHED_TRUE},
        notify_success,
    ),
    Mutant(
        "an end noted before it is made known",
        {Promise.PUBLISHED},
        operation="eventbridge.PutEvents",
        change=note_first,
        slow=True,
    ),
    Mutant(
        "a slot given back, and tokens counted, twice",
        {Promise.TOKENS},
        change=lambda sent: always(sent, sent["UpdateExpression"].startswith("REMOVE #open")),
        soonest=6,
        slow=True,
    ),
    Mutant(
        "tokens counted without a receipt",
        {Promise.TOKENS},
        operation="dynamodb.TransactWriteItems",
        change=count_without_receipt,
        soonest=1,
        slow=True,
    ),
    Mutant(
        "a slot never given back",
        {Promise.PLACES_BACK},
        lambda patch: patch.setattr(Quotas, "_release", lambda *_: None),
        slow=True,
    ),
    Mutant(
        "slots without a limit",
        {Promise.SLOTS},
        change=lambda sent: always(
            sent,
            "size(#open) < " in sent.get("ConditionExpression", ""),
            r"size\(#open\) < :\d+",
        ),
    ),
    Mutant(
        "hours that are counted while they can still change",
        {Promise.COUNTED},
        lambda patch: patch.setattr(statistics, "COUNT_GRACE", timedelta(hours=-1)),
        slow=True,
    ),
    Mutant(
        "hours noted before they are counted",
        {Promise.COUNTED},
        note_hours_first,
        soonest=19,
        slow=True,
    ),
    Mutant(
        "hours whose counts are added up",
        {Promise.COUNTED},
        change=add_to_what_is_there,
        soonest=3,
        slow=True,
    ),
    Mutant(
        "a canceled one that is not put on the index of ends",
        {Promise.COUNTED},
        change=lambda sent: (
            {
                **sent,
                "ExpressionAttributeNames": sent["ExpressionAttributeNames"]
                | {"#ended_in": "ended_late"},
            }
            if cancels(sent)
            else None
        ),
        slow=True,
    ),
    Mutant(
        "a lease without a margin",
        {Promise.LEASE, Promise.DEAD_LETTER},
        lambda patch: patch.setattr(attempts, "LEASE_MARGIN", timedelta(0)),
        soonest=1,
        slow=True,
    ),
    Mutant(
        "one object for the texts of all attempts",
        {Promise.OWN_TEXT},
        one_object_for_all_attempts,
        soonest=56,
        slow=True,
    ),
    Mutant(
        "a claim before its next try",
        {Promise.WAITS},
        change=claim_early,
        soonest=8,
    ),
    Mutant(
        "a Retry-After that is not kept",
        {Promise.WAITS},
        ignore_retry_after,
        soonest=5,
        slow=True,
    ),
    Mutant(
        "a claim that does not know its own write",
        {Promise.OWN_WRITES},
        take_for_own(changes_to(Status.RUNNING)),
        world=Forgetful,
    ),
    Mutant(
        "a claim that takes another's for its own",
        {Promise.FENCE, Promise.MODEL_CALLS},
        take_for_own(changes_to(Status.RUNNING), {"status": {"S": Status.RUNNING}}),
    ),
    Mutant(
        "a requeue that does not know its own write",
        {Promise.OWN_WRITES},
        take_for_own(changes_to(Status.QUEUED)),
        soonest=1,
        world=Forgetful,
        slow=True,
    ),
    Mutant(
        "an end that does not know its own write",
        {Promise.OWN_WRITES},
        take_for_own(ends_by_claim),
        world=Forgetful,
        slow=True,
    ),
    Mutant(
        "an end without a claim that does not know its own write",
        {Promise.OWN_WRITES},
        take_for_own(ends_unclaimed),
        world=Forgetful,
        slow=True,
    ),
    Mutant(
        "a cancel that does not know its own write",
        {Promise.OWN_WRITES},
        take_for_own(changes_to(Status.CANCELED)),
        world=Forgetful,
        slow=True,
    ),
    Mutant(
        "a sweeper that does not know its own write",
        {Promise.OWN_WRITES},
        take_for_own(lambda clauses: "look_id" in clauses["sets"]),
        world=Forgetful,
        slow=True,
    ),
    Mutant(
        "failures without a limit",
        {Promise.MODEL_CALLS},
        lambda patch: patch.setattr(attempts, "MAX_FAILURES", 99),
        soonest=1,
    ),
]


def test_there_is_a_mutant_for_each_promise() -> None:
    """No promise is checked in a way that nothing could fail."""
    assert {promise for mutant in MUTANTS for promise in mutant.caught_by} == set(Promise)


@pytest.mark.parametrize(
    "mutant",
    [
        pytest.param(mutant, id=mutant.name, marks=[pytest.mark.long] if mutant.slow else [])
        for mutant in MUTANTS
    ],
)
def test_the_simulation_catches(
    mutant: Mutant, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the fixed seeds shows the fault, as a broken promise that it has to do with."""
    if mutant.break_in is not None:
        mutant.break_in(monkeypatch)

    def mutate() -> None:
        for client in (clients().dynamodb, clients().events):
            events: Any = client.meta.events  # its stubs know no handler that returns
            events.register(f"provide-client-params.{mutant.operation}", mutant.sent)

    broken: Promise | None = None
    for seed in (mutant.soonest, *FIXED):
        try:
            simulate(seed, mutate, mutant.world)
        except BrokenError as error:
            broken = error.promise
            break
    assert broken in mutant.caught_by
