"""The generations table: one generation at a time, from its submission to its end.

afterword.generations.listings reads lists of generations; nothing else calls the table. The
layout of the items is in afterword.generations.items.

The writes and their conditions:

    put              absent, or expired                           -> queued,    attempt 0
    claim            queued and its next try due,
                     or running with its lease run out            -> running,   attempt + 1
    succeed, fail    running and attempt = mine                   -> succeeded or failed
    finish_step      running and attempt = mine                   -> running,   with a step's result
    requeue          running and attempt = mine                   -> queued,    with its next try
                                                                                and its setback
    fail_unclaimed   queued, or running with its lease run out    -> failed (dead letter, deadline)
    cancel           queued or running                            -> canceled
    mark_dispatched  terminal                                     -> the same, out of by_due
    set_feedback     terminal, its feedback still as it was read  -> the same, with feedback
    delete           terminal                                     -> the same, without its texts

Between put and the end the sweeper moves `due_at`, and a requeue moves it behind the next try. An
end with an outbox entry (afterword.engine.outbox) stays due then, or sets it anew in the same write
where that is within DISPATCH_TIME, and `mark_dispatched` removes it. So an early end does not write
the index `by_due`.

Each change of the status has a `write_id`, which no other one has. So a writer whose answer is lost
knows its own write when botocore repeats it (afterword.runtime.dynamodb).
"""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import batched
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from afterword import clock
from afterword.errors import ConflictError, GoneError, NotFoundError, UnavailableError
from afterword.generations import (
    Completion,
    FailedError,
    Feedback,
    Generation,
    Reason,
    Setback,
    SetbackReason,
    Status,
    Submission,
    is_id,
    items,
)
from afterword.generations.claims import Claim, NotDueError
from afterword.generations.details import GenerationDetail
from afterword.generations.ends import (
    DISPATCH_TIME,
    STALLED_AFTER,
    DueKey,
    End,
    EndResult,
    Look,
    ObjectSweep,
    Stalled,
)
from afterword.generations.feedback import RatedEnd
from afterword.generations.items import READERS, Items, is_there, partition_key
from afterword.generations.progress import Progress, read_progress
from afterword.generations.requests import BATCH, QueuedItem, Requests
from afterword.runtime import telemetry
from afterword.runtime.dynamodb import (
    Condition,
    ConditionFailed,
    Item,
    PreparedWrite,
    Table,
    TransactionCanceledError,
    Update,
    Value,
    above,
    absent,
    at_most,
    below,
    equals,
    exists,
    millis,
    number,
    seconds,
    text,
    time_of,
    unique,
)

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

    from afterword.files import StoredFile
    from afterword.generations import SubmissionOptions
    from afterword.runtime.payloads import PayloadPage, Payloads, StoredPayload


class PutResult(NamedTuple):
    """The generation under an id after a put; `same` if it is of this very submission.

    `item` is its item as it stands, which `GenerationStore.read_put` reads.
    """

    item: Item
    status: Status
    slot: str | None
    same: bool
    deleted: bool = False


class GenerationStore:
    """Generations in DynamoDB, with their big texts in S3. Every write is conditional."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        table: str,
        payloads: "Payloads",
        *,
        compact: bool = True,
    ) -> None:
        self._table = Table(dynamodb, table)
        self._requests = Requests(self._table)
        self._payloads = payloads
        self._items = Items(payloads, compact=compact)

    def put(
        self,
        tenant: str,
        generation_id: str,
        submission: Submission,
        options: "SubmissionOptions",
    ) -> PutResult:
        """Accept a submission: store its generation, queued.

        A generation that already has this id stays unchanged. Takes one write, and before that one
        S3 put for each file, and for each text over INLINE_BYTES, and one write for a request that
        is an item of its own. All of these are deleted of a refused submission.
        """
        queued = self.prepare(tenant, generation_id, submission, options)
        self.put_requests([queued])
        return self.put_prepared(queued)

    def prepare(
        self,
        tenant: str,
        generation_id: str,
        submission: Submission,
        options: "SubmissionOptions",
    ) -> QueuedItem:
        """Return the item of a submission to accept, with its payloads put into the bucket."""
        return self._items.queued(tenant, generation_id, submission, options)

    def put_requests(self, prepared: Sequence[QueuedItem]) -> None:
        """Store the requests of up to 25 prepared submissions by one call, before their items."""
        self._requests.put([each.request for each in prepared if each.request is not None])

    def put_prepared(self, prepared: QueuedItem) -> PutResult:
        """Accept a prepared submission, whose request was stored, like `put`."""
        item, request, payloads = prepared
        expired = at_most("expires_at", seconds(clock.now()))
        failed = self._table.put(item, absent("pk") | expired)
        if failed is None:
            item = item if request is None else {**item, "request": request["request"]}
            return PutResult(item, status=Status.QUEUED, slot=items.slot_of(item), same=True)
        stored = failed.item or {}
        if request is not None and stored.get("request_item") != item["request_item"]:
            self._delete_refused_request(item)
        self._delete_refused(payloads, stored)
        return PutResult(
            stored,
            status=_status(stored),
            slot=items.slot_of(stored),
            same=stored.get("fingerprint") == item["fingerprint"],
            deleted="deleted_at" in stored,
        )

    def get(self, tenant: str, generation_id: str) -> Generation:
        """Return a tenant's generation, consistently; raise NotFoundError if there is none."""
        return self._items.generation(self._found(tenant, generation_id))

    def read_put(self, put: PutResult) -> Generation:
        """Return the generation of a put; only texts in the bucket take a call."""
        return self._items.generation(put.item)

    def read_put_detail(self, put: PutResult) -> GenerationDetail:
        """Return the generation of a put with its request.

        Only texts in the bucket take a call, and a request of its own that an earlier put has
        written.
        """
        return self._items.listed(self._requests.join(put.item))

    def get_step_results(self, tenant: str, generation_id: str) -> tuple[Completion, ...]:
        """Return the results of the flow's steps before the last, whose result `get` returns.

        Raises NotFoundError like `get`.
        """
        return self._items.results(self._found(tenant, generation_id))

    def read_file(self, file: "StoredFile") -> bytes:
        """Return the content of a generation's file; raise FailedError if it is gone."""
        try:
            return self._payloads.get_file(file.key)
        except GoneError as error:
            message = f"{file.input}: the file is gone from storage. Submit the request again."
            raise FailedError(Reason.INPUT_MISSING, message) from error

    def get_detail(self, tenant: str, generation_id: str) -> GenerationDetail:
        """Return a tenant's generation with its request; raise NotFoundError like `get`."""
        return self._items.listed(self._requests.join(self._found(tenant, generation_id)))

    def set_title(
        self, tenant: str, generation_id: str, flow: str, title: str | None
    ) -> GenerationDetail:
        """Set the title of a flow's generation, or remove it with None; return the generation.

        Raises NotFoundError if the flow has no such generation.
        """
        value = None if title is None else text(title)
        item = self._set_or_remove(tenant, generation_id, flow, "title", value)
        return self._items.listed(self._requests.join(item))

    def rate(
        self, tenant: str, generation_id: str, flow: str | None, rating: int | None
    ) -> Generation:
        """Rate a generation, of a flow if one is given, or remove the rating; return it.

        Raises NotFoundError if there is no such generation.
        """
        value = None if rating is None else number(rating)
        return self._items.generation(
            self._set_or_remove(tenant, generation_id, flow, "rating", value)
        )

    def get_rated_end(self, tenant: str, generation_id: str, flow: str | None = None) -> RatedEnd:
        """Return an ended generation, of a flow if one is given, for feedback on it.

        Raises NotFoundError if there is no such generation, and ConflictError if it is open.
        """
        item = self._found(tenant, generation_id)
        if flow not in {None, item["flow"]["S"]}:
            raise NotFoundError("There is no such generation.")
        if not _terminal(item):
            raise ConflictError("The generation has not ended: there is nothing to judge yet.")
        return items.read_rated_end(item)

    def set_feedback(
        self, end: RatedEnd, feedback: Feedback | None, count: PreparedWrite | None
    ) -> bool:
        """Set the feedback on an end, or remove it with None. False if it has changed meanwhile.

        `count` is the write of another table that counts a change of the kind, once: both happen,
        or neither does. Raises TransactionCanceledError where another write is in the way.
        """
        condition = (
            exists("finished_at") & absent("deleted_at") & above("expires_at", seconds(clock.now()))
        )
        for name, part in _feedback_parts(end.feedback).items():
            condition &= absent(name) if part is None else equals(name, text(part))
        key, parts = _key(end.outcome.tenant, end.id), _feedback_parts(feedback)
        sets = {name: text(part) for name, part in parts.items() if part is not None}
        removes = [name for name, part in parts.items() if part is None]
        if count is None:
            outcome = self._table.update(key, sets=sets, removes=removes, condition=condition)
            return not isinstance(outcome, ConditionFailed)
        update = Update(key=key, sets=sets, removes=removes, condition=condition)
        try:
            self._table.transact([update], [count])
        except TransactionCanceledError as error:
            if error.reasons[0] != "ConditionalCheckFailed":
                raise
            return False
        return True

    def _set_or_remove(
        self,
        tenant: str,
        generation_id: str,
        flow: str | None,
        name: str,
        value: Value | None,
    ) -> Item:
        """Set or remove an attribute of the owner's; return the item.

        No write of the worker touches such an attribute, so neither disturbs the other.
        """
        if not is_id(generation_id):
            raise NotFoundError("There is no such generation.")
        condition = above("expires_at", seconds(clock.now())) & absent("deleted_at")
        if flow is not None:
            condition &= equals("flow", text(flow))
        outcome = self._table.update(
            _key(tenant, generation_id),
            sets={} if value is None else {name: value},
            removes=[name] if value is None else [],
            condition=condition,
            returns_item=True,
        )
        if isinstance(outcome, ConditionFailed):
            raise NotFoundError("There is no such generation.")
        return outcome

    def get_submission(self, tenant: str, generation_id: str) -> tuple[Submission, Status]:
        """Return the submission and its status.

        Raises NotFoundError if there is none, and GoneError if one of its texts or files is gone.
        """
        item = self._found(tenant, generation_id)
        return self._items.submission(self._requests.join(item)), _status(item)

    def exists(self, tenant: str, generation_id: str) -> bool:
        """Return whether the tenant has the generation, by a consistent read."""
        return is_there(self._read(tenant, generation_id))

    def get_end(self, tenant: str, generation_id: str) -> End | None:
        """Return a generation's end; None while it is open, or if there is none."""
        item = self._read(tenant, generation_id)
        return items.read_end(item) if item is not None and _terminal(item) else None

    def get_ends(self, tenant: str, generation_ids: Collection[str]) -> Mapping[str, End | None]:
        """Return the ends of up to 100 generations by id, with None for an absent one.

        Left out are open generations, and keys that DynamoDB left unread.
        """
        keys = {generation_id: _key(tenant, generation_id) for generation_id in generation_ids}
        read, unread = self._table.get_some(list(keys.values()))
        found = {item["id"]["S"]: item for item in read}
        ends: dict[str, End | None] = {}
        for generation_id, key in keys.items():
            item = found.get(generation_id)
            if item is None and key not in unread:
                ends[generation_id] = None
            elif item is not None and _terminal(item):
                ends[generation_id] = items.read_end(item)
        return ends

    def get_progress(
        self, tenant: str, generation_ids: Collection[str]
    ) -> Mapping[str, Progress | None]:
        """Return the progress of up to 100 generations by id, consistently; None for absent ones.

        Left out are keys that DynamoDB left unread.
        """
        keys = {generation_id: _key(tenant, generation_id) for generation_id in generation_ids}
        read, unread = self._table.get_some(list(keys.values()))
        found = {item["id"]["S"]: item for item in read}
        return {
            generation_id: read_progress(found[generation_id]) if generation_id in found else None
            for generation_id, key in keys.items()
            if generation_id in found or key not in unread
        }

    def get_many(self, tenant: str, generation_ids: Collection[str]) -> Mapping[str, Generation]:
        """Return up to 100 generations by id, consistently, without the absent ones."""
        read = self._table.get_all(_key(tenant, generation_id) for generation_id in generation_ids)
        with ThreadPoolExecutor(max_workers=READERS) as executor:
            there = executor.map(self._items.generation, filter(is_there, read))
            return {each.id: each for each in there}

    def _found(self, tenant: str, generation_id: str) -> Item:
        item = self._read(tenant, generation_id)
        if item is None or not is_there(item):
            raise NotFoundError("There is no such generation.")
        return item

    def _read(self, tenant: str, generation_id: str) -> Item | None:
        if not is_id(generation_id):
            return None
        return self._table.get(_key(tenant, generation_id))

    def claim(self, tenant: str, generation_id: str, lease_until: "datetime") -> Claim | None:
        """Claim a generation until the lease ends; None if it cannot be claimed.

        - None for an absent or terminal generation, and under a live lease.
        - A claim after a lease that ran out counts as a failure of that attempt.

        Raises NotDueError before the next try of a requeued generation.
        """
        now = clock.now()
        key = _key(tenant, generation_id)
        change = _change(Status.RUNNING)
        taken = {**change, "lease_until": millis(lease_until)}
        due = absent("next_at") | at_most("next_at", millis(now))
        outcome = self._table.update(
            key,
            sets=taken,
            defaults={"claimed_at": millis(now)},
            adds={"attempt": 1},
            removes=["next_at"],
            condition=_QUEUED & due,
            own=change,
            returns_item=True,
        )
        if isinstance(outcome, ConditionFailed) and _lease_ran_out(outcome.item, now):
            outcome = self._table.update(
                key,
                sets={**taken, **items.setback_attribute(_WORKER_LOST)},
                adds={"attempt": 1, "failures": 1},
                removes=["next_at"],
                condition=_RUNNING & below("lease_until", millis(now)),
                own=change,
                returns_item=True,
            )
        if not isinstance(outcome, ConditionFailed):
            return self._items.claim(self._requests.join(outcome))
        if outcome.item is not None and _waits(outcome.item):
            raise NotDueError(time_of(outcome.item, "next_at"))
        return None

    def finish_step(self, claim: Claim, completion: Completion) -> Claim | None:
        """Store the result of the claim's next step, so that no attempt pays for it again.

        Returns the claim with this result; None if the claim is lost.
        """
        name = f"step_{len(claim.results) + 1}"
        result = {name: self._items.result(claim, completion)}
        outcome = self._table.update(
            _key(claim.tenant, claim.id),
            sets={**result, **items.answers_attribute(claim.results, completion)},
            condition=_mine(claim),
        )
        if isinstance(outcome, ConditionFailed):
            self._delete_refused(items.payload_keys({"step_1": result[name]}), outcome.item)
            return None
        return replace(claim, results=(*claim.results, completion))

    def succeed(self, claim: Claim, completion: Completion) -> End | None:
        """Store the result. None if the claim is lost: nothing is stored."""
        attributes = {
            **self._items.succeeded(claim, completion),
            **items.answers_attribute(claim.results, _last(claim, completion)),
        }
        return self._finish(claim, Status.SUCCEEDED, attributes)

    def fail(
        self, claim: Claim, reason: Reason, message: str, answer: Completion | None = None
    ) -> End | None:
        """Store a failure, with the tokens of a useless answer.

        None if the claim is lost: nothing is stored.
        """
        attributes = {"reason": text(reason), "message": text(message)}
        if answer is not None:
            last = _last(claim, answer)
            attributes |= {
                **items.tokens_attributes(answer),
                **items.answers_attribute(claim.results, last),
            }
        return self._finish(claim, Status.FAILED, attributes)

    def requeue(  # noqa: PLR0913 - the facts of a next try
        self,
        claim: Claim,
        *,
        failed: bool,
        setback: Setback | None = None,
        next_at: "datetime | None" = None,
        in_table: bool = False,
        spent: Completion | None = None,
    ) -> bool:
        """Return a running generation to queued, until its next try. False if the claim is lost.

        - `failed` spends the failure budget; throttling does not.
        - `setback` is its cause, None where the attempt was only out of time for a step.
        - `next_at` is the time of the next try, None for one at once.
        - `in_table` leaves the message of the next try to the sweeper. Otherwise the caller sends
          one, and the generation stalls STALLED_AFTER later.
        - `spent` is an answer that failed and was paid for, None without one: its tokens are kept.
        """
        next_at = next_at or clock.now()
        due_at = next_at if in_table else min(next_at + STALLED_AFTER, claim.deadline_at)
        change = _change(Status.QUEUED)
        cause = {} if setback is None else items.setback_attribute(setback)
        paid = {} if spent is None else {"spent_in": spent.tokens_in, "spent_out": spent.tokens_out}
        outcome = self._table.update(
            _key(claim.tenant, claim.id),
            sets={**change, **cause, "next_at": millis(next_at), "due_at": millis(due_at)},
            adds={"failures": int(failed), **paid},
            removes=["lease_until", *({"last_error"} - cause.keys())],
            condition=_mine(claim),
            own=change,
        )
        return not isinstance(outcome, ConditionFailed)

    def read_due(self, shard: int, most: int) -> list[DueKey]:
        """Return the due keys of one of DUE_SHARDS: all of them, or about the `most` oldest.

        Of more there are the newest as well, so that none that has just become due is out of sight.
        Takes a call for each page of 1 MB, about 10,000 keys.
        """
        due = equals("due_shard", text(str(shard))) & at_most("due_at", millis(clock.now()))
        names = ("pk", "due_at")
        oldest: list[DueKey] = []
        for page in self._table.pages(due, index="by_due", attributes=names):
            oldest += map(items.read_due_key, page.items)
            if len(oldest) >= most and page.last is not None:
                newest = self._table.pages(due, index="by_due", attributes=names, descending=True)
                return sorted({*oldest, *map(items.read_due_key, next(newest).items)})
        return oldest

    def read_stalled(self, keys: Sequence[DueKey]) -> Look:
        """Return the generations of up to 100 due keys as they stand, in the order of the keys.

        Since the index may lag behind, the items are read consistently, in one call.
        """
        now = clock.to_millis(clock.now())
        read, left = self._table.get_some(
            [{"pk": text(key.pk)} for key in keys], attributes=items.STALLED_ATTRIBUTES
        )
        found = {item["pk"]["S"]: item for item in read}
        unread = {key["pk"]["S"] for key in left}
        stalled: list[Stalled] = []
        unreadable: list[tuple[DueKey, str]] = []
        for key in keys:
            item = found.get(key.pk)
            if item is None or "due_at" not in item or items.read_due_key(item).due_at > now:
                continue
            try:
                stalled.append(items.read_stalled(item))
            except Exception as error:  # noqa: BLE001 - however another version laid it out
                unreadable.append((key, f"{type(error).__name__}: {error}"))
        return Look(stalled, unreadable, [key for key in keys if key.pk in unread])

    def postpone(self, stalled: Stalled, due_at: "datetime") -> bool:
        """Move the due time of a stalled generation. False if it has changed since it was read."""
        return not isinstance(self._postpone(stalled, due_at), ConditionFailed)

    def postpone_end(self, stalled: Stalled, due_at: "datetime") -> End | None:
        """Move the due time of an undispatched end, and return the end. None like False."""
        outcome = self._postpone(stalled, due_at, returns_item=True)
        return None if isinstance(outcome, ConditionFailed) else items.read_end(outcome)

    def _postpone(
        self, stalled: Stalled, due_at: "datetime", *, returns_item: bool = False
    ) -> Item | ConditionFailed:
        look = {"look_id": unique()}
        return self._table.update(
            _key(stalled.tenant, stalled.id),
            sets={**look, "due_at": millis(due_at)},
            condition=equals("status", text(stalled.status))
            & equals("attempt", number(stalled.attempt))
            & equals("due_at", millis(stalled.due_at)),
            own=look,
            returns_item=returns_item,
        )

    def postpone_key(self, pk: str, due_at: "datetime") -> bool:
        """Move the due time of a due item, whatever else is in it. False if it is not due."""
        outcome = self._table.update(
            {"pk": text(pk)},
            sets={"due_at": millis(due_at)},
            condition=at_most("due_at", millis(clock.now())),
        )
        return not isinstance(outcome, ConditionFailed)

    def fail_unclaimed(
        self,
        tenant: str,
        generation_id: str,
        reason: Reason,
        message: str,
        letter: Mapping[str, str] | None = None,
    ) -> EndResult | None:
        """Fail a generation without a live lease; None if there is none.

        `letter` has the facts of its dead letter, which are stored with the end.
        """
        now = clock.now()
        attributes: dict[str, Value] = {}
        if letter is not None:
            facts = {name: text(fact) for name, fact in letter.items()}
            attributes = {"dead_letter_of": text(tenant), "dead_letter": {"M": facts}}
        change = _change(Status.FAILED)
        outcome = self._table.update(
            _key(tenant, generation_id),
            sets={
                **change,
                **_end(generation_id, now),
                "due_at": millis(now + STALLED_AFTER),
                "reason": text(reason),
                "message": text(message),
                **attributes,
            },
            removes=["lease_until", "next_at", "last_error"],
            condition=_QUEUED | _RUNNING & below("lease_until", millis(now)),
            own=change,
            returns_item=True,
        )
        if not isinstance(outcome, ConditionFailed):
            return EndResult(Status.FAILED, items.read_end(outcome))
        return None if outcome.item is None else EndResult(_status(outcome.item))

    def cancel(self, tenant: str, generation_id: str) -> EndResult:
        """Cancel an open generation; the claim of a running one is lost.

        Raises NotFoundError if the tenant has no such generation.
        """
        now = clock.now()
        item: Item | None = None
        if is_id(generation_id):
            change = _change(Status.CANCELED)
            outcome = self._table.update(
                _key(tenant, generation_id),
                sets={
                    **change,
                    **_end(generation_id, now),
                    "due_at": millis(now + STALLED_AFTER),
                },
                removes=["lease_until", "next_at", "last_error"],
                condition=(_QUEUED | _RUNNING) & above("expires_at", seconds(now)),
                own=change,
                returns_item=True,
            )
            if not isinstance(outcome, ConditionFailed):
                return EndResult(Status.CANCELED, items.read_end(outcome))
            item = outcome.item
        if item is None or not is_there(item):
            raise NotFoundError("There is no such generation.")
        return EndResult(_status(item))

    def mark_dispatched(self, tenant: str, generation_id: str) -> None:
        """Remove a dispatched end from the index by due time."""
        self._table.update(
            _key(tenant, generation_id),
            removes=["due_shard", "due_at"],
            condition=exists("finished_at"),
        )

    def delete(self, tenant: str, generation_id: str, flow: str | None = None) -> None:
        """Delete an ended generation, of a flow if one is given, with all its texts.

        A tombstone (items.TOMBSTONE_ATTRIBUTES) stays until it expires: its end is still dispatched
        and counted, and its idempotency key stays used. A request that is an item of its own is
        deleted before that, so that a repeated call finds it, and the payloads after that. Raises
        NotFoundError if there is no such generation, and ConflictError if it is open.
        """
        item = self._found(tenant, generation_id)
        if flow not in {None, item["flow"]["S"]}:
            raise NotFoundError("There is no such generation.")
        if not _terminal(item):
            raise ConflictError("The generation has not ended: cancel it first.")
        objects = self._items.objects(self._requests.join(item))
        self._requests.delete(item)
        left = items.TOMBSTONE_ATTRIBUTES | ({"webhook_url"} if "due_at" in item else set())
        gone = sorted({*item, "title", "rating", "feedback", "feedback_note", "retried_as"} - left)
        tokens_in, tokens_out = items.tokens_of(item)
        deleted = {"deleted_at": millis(clock.now()), "write_id": unique()}
        outcome = self._table.update(
            _key(tenant, generation_id),
            sets={
                **deleted,
                "tokens_in": number(tokens_in),
                "tokens_out": number(tokens_out),
            },
            removes=gone,
            condition=exists("finished_at") & absent("deleted_at"),
            own=deleted,
        )
        if isinstance(outcome, ConditionFailed):  # another delete was quicker
            raise NotFoundError("There is no such generation.")
        self._delete_payloads(objects)
        telemetry.logger().info("deleted", extra={"generation_id": generation_id, "tenant": tenant})

    def _delete_refused_request(self, item: Item) -> None:
        """Delete the request of a refused submission; one that is left expires."""
        try:
            self._requests.delete(item)
        except (BotoCoreError, ClientError) as error:
            telemetry.logger().warning(
                "could not delete a refused request, which expires",
                extra={"generation_id": item["id"]["S"], "why": str(error)},
            )

    def _delete_refused(self, keys: Collection[str], item: Item | None) -> None:
        """Delete the payloads of a refused write, but for those that the item as it stands names.

        The item names them if botocore has repeated a write whose response was lost.
        """
        left = [key for key in keys if item is None or not items.names_payload(item, key)]
        self._delete_payloads(left)

    def _delete_payloads(self, keys: Collection[str]) -> None:
        """Delete payloads that no item names; those that S3 does not delete are left to the sweep.

        The sweep is that of afterword.engine.orphans.
        """
        if not keys:
            return
        try:
            self._payloads.delete(keys)
        except (BotoCoreError, ClientError, UnavailableError) as error:
            telemetry.logger().warning(
                "could not delete payloads, which the next sweep of objects finds",
                extra={"keys": sorted(keys), "why": str(error)},
            )

    def list_payloads(self, after: str) -> "PayloadPage":
        """Return the payloads of generations in the order of their keys, after a key."""
        return self._payloads.list_page(after)

    def find_orphans(self, payloads: "Collection[StoredPayload]") -> list[str]:
        """Return the keys, of these payloads, that no item names.

        Takes a batch read for each BATCH generations. The reads are eventually consistent, so the
        payloads have to be older than any write that is still on its way.
        """
        owners = {payload.owner: _key(*payload.owner) for payload in payloads if payload.owner}
        found: dict[tuple[str, str], Item] = {}
        for keys in batched(owners.values(), BATCH, strict=False):
            for item in self._table.get_all(keys, consistent=False):
                found[item["tenant"]["S"], item["id"]["S"]] = item
        return [
            payload.key
            for payload in payloads
            if payload.owner is not None
            and not (
                payload.owner in found and items.names_payload(found[payload.owner], payload.key)
            )
        ]

    def delete_orphans(self, keys: Collection[str]) -> None:
        """Delete payloads that no item names; raise UnavailableError for those that are left."""
        self._payloads.delete(keys)

    def read_object_sweep(self) -> ObjectSweep | None:
        """Return the progress of the sweep of objects; None before the first one."""
        item = self._table.get({"pk": text(_OBJECT_SWEEP)})
        return None if item is None else items.read_object_sweep(item)

    def save_object_sweep(self, sweep: ObjectSweep) -> None:
        """Store the progress of the sweep of objects."""
        self._table.put({"pk": text(_OBJECT_SWEEP), **items.object_sweep(sweep)})

    def mark_retried(self, tenant: str, generation_id: str, retry_id: str) -> None:
        """Store the id of an ended generation's retry, and remove it from the dead letters."""
        self._table.update(
            _key(tenant, generation_id),
            sets={"retried_as": text(retry_id)},
            removes=["dead_letter_of"],
            condition=exists("finished_at"),
        )

    def _finish(self, claim: Claim, status: Status, attributes: Item) -> End | None:
        now = clock.now()
        change = _change(status)
        attributes = {**change, **_end(claim.id, now), **attributes}
        gone = ["lease_until", "last_error"]
        if not claim.has_outbox:
            gone += ["due_shard", "due_at"]
        elif claim.due_at is None or claim.due_at < now + DISPATCH_TIME:  # another one is dearer
            attributes["due_at"] = millis(now + STALLED_AFTER)
        outcome = self._table.update(
            _key(claim.tenant, claim.id),
            sets=attributes,
            removes=gone,
            condition=_mine(claim),
            own=change,
            returns_item=True,
        )
        if isinstance(outcome, ConditionFailed):
            self._delete_refused(items.payload_keys(attributes), outcome.item)
            return None
        return items.read_end(outcome)


_OBJECT_SWEEP = "#objects"
"""The key of the item with the progress of the sweep of objects; no tenant's id begins so."""
_QUEUED = equals("status", text(Status.QUEUED))
_RUNNING = equals("status", text(Status.RUNNING))
_WORKER_LOST = Setback(SetbackReason.WORKER_LOST)


def _mine(claim: Claim) -> Condition:
    return _RUNNING & equals("attempt", number(claim.attempt))


def _key(tenant: str, generation_id: str) -> Item:
    return {"pk": text(partition_key(tenant, generation_id))}


def _feedback_parts(feedback: Feedback | None) -> dict[str, str | None]:
    """Return the attributes of feedback, None for those that it does not have."""
    return {
        "feedback": None if feedback is None else feedback.kind,
        "feedback_note": None if feedback is None else feedback.note,
    }


def _change(status: Status) -> dict[str, Value]:
    """Return the attributes of a change of the status, by which its writer knows it."""
    return {"status": text(status), "write_id": unique()}


def _end(generation_id: str, now: "datetime") -> dict[str, Value]:
    """Return the attributes of every end."""
    return {"finished_at": millis(now), "ended_in": items.end_hour(generation_id, now)}


def _last(claim: Claim, completion: Completion) -> Completion:
    """Return a flow's completion with the tokens of its last step only."""
    return replace(
        completion,
        tokens_in=completion.tokens_in - sum(result.tokens_in for result in claim.results),
        tokens_out=completion.tokens_out - sum(result.tokens_out for result in claim.results),
    )


def _status(item: Item) -> Status:
    return Status.stored(item["status"]["S"])


def _terminal(item: Item) -> bool:
    return _status(item).terminal


def _waits(item: Item) -> bool:
    """Return whether a generation is queued for a next try at a time."""
    return item["status"]["S"] == Status.QUEUED and "next_at" in item


def _lease_ran_out(item: Item | None, now: "datetime") -> bool:
    return (
        item is not None
        and item["status"]["S"] == Status.RUNNING
        and int(item["lease_until"]["N"]) < clock.to_millis(now)
    )
