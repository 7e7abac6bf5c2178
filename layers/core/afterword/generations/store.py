"""The generations table: one generation at a time, from its submission to its end.

afterword.generations.listings reads lists of generations; nothing else calls the table. The
layout of the items is in afterword.generations.items.

The writes and their conditions:

    put              absent, or expired                           -> queued,    attempt 0
    claim            queued, or running with its lease run out    -> running,   attempt + 1
    succeed, fail    running and attempt = mine                   -> succeeded or failed
    finish_step      running and attempt = mine                   -> running,   with a step's result
    requeue          running and attempt = mine                   -> queued
    fail_unclaimed   queued, or running with its lease run out    -> failed (dead letter, deadline)
    cancel           queued or running                            -> canceled
    mark_dispatched  terminal                                     -> the same, out of by_due
    delete           terminal                                     -> the same, without its texts

Between put and the end only the sweeper moves `due_at`. An end with an outbox entry
(afterword.engine.outbox) sets it anew in the same write, and `mark_dispatched` removes it.
"""

import heapq
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from afterword import clock
from afterword.errors import ConflictError, NotFoundError, UnavailableError
from afterword.generations import Completion, Generation, Reason, Status, Submission, is_id, items
from afterword.generations.claims import Claim
from afterword.generations.details import GenerationDetail
from afterword.generations.ends import STALLED_AFTER, End, EndResult, Stalled
from afterword.generations.items import DUE_SHARDS, READERS, Items, is_there, partition_key
from afterword.generations.progress import Progress, read_progress
from afterword.runtime import telemetry
from afterword.runtime.dynamodb import (
    Condition,
    ConditionFailed,
    Item,
    Table,
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
)

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

    from afterword.files import StoredFile
    from afterword.generations import SubmissionOptions
    from afterword.runtime.payloads import Payloads


class PutResult(NamedTuple):
    """The generation under an id after a put; `same` if it is of this very submission."""

    status: Status
    slot: str | None
    same: bool
    deleted: bool = False


class GenerationStore:
    """Generations in DynamoDB, with their big texts in S3. Every write is conditional."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, payloads: "Payloads") -> None:
        self._table = Table(dynamodb, table)
        self._payloads = payloads
        self._items = Items(payloads)

    def put(
        self,
        tenant: str,
        generation_id: str,
        submission: Submission,
        options: "SubmissionOptions",
    ) -> PutResult:
        """Accept a submission: store its generation, queued.

        A generation that already has this id stays unchanged. Takes one write, and before that one
        S3 put for each file, and for each text over INLINE_BYTES.
        """
        item = self._items.queued(tenant, generation_id, submission, options)
        expired = at_most("expires_at", seconds(clock.now()))
        failed = self._table.put(item, absent("pk") | expired)
        if failed is None:
            return PutResult(status=Status.QUEUED, slot=options.slot, same=True)
        stored = failed.item or {}
        return PutResult(
            status=Status(stored["status"]["S"]),
            slot=items.slot_of(stored),
            same=stored.get("fingerprint") == item["fingerprint"],
            deleted="deleted_at" in stored,
        )

    def get(self, tenant: str, generation_id: str) -> Generation:
        """Return a tenant's generation, consistently; raise NotFoundError if there is none."""
        return self._items.generation(self._found(tenant, generation_id))

    def get_step_results(self, tenant: str, generation_id: str) -> tuple[Completion, ...]:
        """Return the results of the flow's steps before the last, whose result `get` returns.

        Raises NotFoundError like `get`.
        """
        return self._items.results(self._found(tenant, generation_id))

    def read_file(self, file: "StoredFile") -> bytes:
        """Return the content of a generation's file."""
        return self._payloads.get_file(file.key)

    def get_detail(self, tenant: str, generation_id: str) -> GenerationDetail:
        """Return a tenant's generation with its request; raise NotFoundError like `get`."""
        return self._items.listed(self._found(tenant, generation_id))

    def set_title(
        self, tenant: str, generation_id: str, flow: str, title: str | None
    ) -> GenerationDetail:
        """Set the title of a flow's generation, or remove it with None; return the generation.

        Raises NotFoundError if the flow has no such generation.
        """
        value = None if title is None else text(title)
        return self._items.listed(self._set_or_remove(tenant, generation_id, flow, "title", value))

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
        """Return the submission and its status; raise NotFoundError if there is none."""
        item = self._found(tenant, generation_id)
        return self._items.submission(item), Status(item["status"]["S"])

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
        """
        now = clock.now()
        key = _key(tenant, generation_id)
        taken = {"status": text(Status.RUNNING), "lease_until": millis(lease_until)}
        outcome = self._table.update(
            key,
            sets=taken,
            defaults={"claimed_at": millis(now)},
            adds={"attempt": 1},
            condition=_QUEUED,
            returns_item=True,
        )
        if isinstance(outcome, ConditionFailed) and _lease_ran_out(outcome.item, now):
            outcome = self._table.update(
                key,
                sets=taken,
                adds={"attempt": 1, "failures": 1},
                condition=_RUNNING & below("lease_until", millis(now)),
                returns_item=True,
            )
        return None if isinstance(outcome, ConditionFailed) else self._items.claim(outcome)

    def finish_step(self, claim: Claim, completion: Completion) -> Claim | None:
        """Store the result of the claim's next step, so that no attempt pays for it again.

        Returns the claim with this result; None if the claim is lost.
        """
        name = f"step_{len(claim.results) + 1}"
        outcome = self._table.update(
            _key(claim.tenant, claim.id),
            sets={
                name: self._items.result(claim, completion),
                **items.answers_attribute(claim.results, completion),
            },
            condition=_mine(claim),
        )
        if isinstance(outcome, ConditionFailed):
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

    def requeue(self, claim: Claim, *, failed: bool) -> bool:
        """Return a running generation to queued. False if the claim is lost.

        `failed` spends the failure budget; throttling does not.
        """
        outcome = self._table.update(
            _key(claim.tenant, claim.id),
            sets={"status": text(Status.QUEUED)},
            adds={"failures": int(failed)},
            removes=["lease_until"],
            condition=_mine(claim),
        )
        return not isinstance(outcome, ConditionFailed)

    def list_stalled(self, limit: int) -> Iterator[Stalled]:
        """Yield up to `limit` stalled generations, oldest first.

        Takes a query for each of DUE_SHARDS and each further page. Since the index may lag behind,
        each generation is read consistently.
        """
        now = clock.to_millis(clock.now())
        shards = [self._due(shard, now) for shard in range(DUE_SHARDS)]
        for _, pk in islice(heapq.merge(*shards), limit):
            item = self._table.get({"pk": text(pk)})
            if item is not None and "due_at" in item and int(item["due_at"]["N"]) <= now:
                yield items.read_stalled(item)

    def _due(self, shard: int, now: int) -> Iterator[tuple[int, str]]:
        """Yield due times and keys of a shard's due items, oldest first, a page at a time."""
        due = equals("due_shard", text(str(shard))) & at_most("due_at", number(now))
        for page in self._table.pages(due, index="by_due"):
            yield from ((int(item["due_at"]["N"]), item["pk"]["S"]) for item in page.items)

    def postpone(self, stalled: Stalled, due_at: "datetime") -> bool:
        """Move the due time of a stalled generation. False if it has changed since it was read."""
        outcome = self._table.update(
            _key(stalled.tenant, stalled.id),
            sets={"due_at": millis(due_at)},
            condition=equals("status", text(stalled.status))
            & equals("attempt", number(stalled.attempt))
            & equals("due_at", millis(stalled.due_at)),
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
        outcome = self._table.update(
            _key(tenant, generation_id),
            sets={
                **_end(Status.FAILED, generation_id, now),
                "due_at": millis(now + STALLED_AFTER),
                "reason": text(reason),
                "message": text(message),
                **attributes,
            },
            removes=["lease_until"],
            condition=_QUEUED | _RUNNING & below("lease_until", millis(now)),
            returns_item=True,
        )
        if not isinstance(outcome, ConditionFailed):
            return EndResult(Status.FAILED, items.read_end(outcome))
        return None if outcome.item is None else EndResult(Status(outcome.item["status"]["S"]))

    def cancel(self, tenant: str, generation_id: str) -> EndResult:
        """Cancel an open generation; the claim of a running one is lost.

        Raises NotFoundError if the tenant has no such generation.
        """
        now = clock.now()
        item: Item | None = None
        if is_id(generation_id):
            outcome = self._table.update(
                _key(tenant, generation_id),
                sets={
                    **_end(Status.CANCELED, generation_id, now),
                    "due_at": millis(now + STALLED_AFTER),
                },
                removes=["lease_until"],
                condition=(_QUEUED | _RUNNING) & above("expires_at", seconds(now)),
                returns_item=True,
            )
            if not isinstance(outcome, ConditionFailed):
                return EndResult(Status.CANCELED, items.read_end(outcome))
            item = outcome.item
        if item is None or not is_there(item):
            raise NotFoundError("There is no such generation.")
        return EndResult(Status(item["status"]["S"]))

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
        and counted, and its idempotency key stays used. The payloads are deleted after that; those
        that S3 does not delete expire. Raises NotFoundError if there is no such generation, and
        ConflictError if it is open.
        """
        item = self._found(tenant, generation_id)
        if flow not in {None, item["flow"]["S"]}:
            raise NotFoundError("There is no such generation.")
        if not _terminal(item):
            raise ConflictError("The generation has not ended: cancel it first.")
        objects = self._items.objects(item)
        left = items.TOMBSTONE_ATTRIBUTES | ({"webhook_url"} if "due_at" in item else set())
        gone = sorted({*item, "title", "rating", "retried_as"} - left)
        tokens_in, tokens_out = items.tokens_of(item)
        outcome = self._table.update(
            _key(tenant, generation_id),
            sets={
                "deleted_at": millis(clock.now()),
                "tokens_in": number(tokens_in),
                "tokens_out": number(tokens_out),
            },
            removes=gone,
            condition=exists("finished_at") & absent("deleted_at"),
        )
        if isinstance(outcome, ConditionFailed):  # another delete was quicker
            raise NotFoundError("There is no such generation.")
        if objects:
            try:
                self._payloads.delete(objects)
            except (BotoCoreError, ClientError, UnavailableError) as error:
                telemetry.logger().warning(
                    "could not delete the payloads, which will expire",
                    extra={"generation_id": generation_id, "tenant": tenant, "why": str(error)},
                )

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
        attributes = {**_end(status, claim.id, now), **attributes}
        gone = ["lease_until"]
        if claim.has_outbox:
            attributes["due_at"] = millis(now + STALLED_AFTER)
        else:
            gone += ["due_shard", "due_at"]
        outcome = self._table.update(
            _key(claim.tenant, claim.id),
            sets=attributes,
            removes=gone,
            condition=_mine(claim),
            returns_item=True,
        )
        return None if isinstance(outcome, ConditionFailed) else items.read_end(outcome)


_QUEUED = equals("status", text(Status.QUEUED))
_RUNNING = equals("status", text(Status.RUNNING))


def _mine(claim: Claim) -> Condition:
    return _RUNNING & equals("attempt", number(claim.attempt))


def _key(tenant: str, generation_id: str) -> Item:
    return {"pk": text(partition_key(tenant, generation_id))}


def _end(status: Status, generation_id: str, now: "datetime") -> dict[str, Value]:
    """Return the attributes of every end."""
    return {
        "status": text(status),
        "finished_at": millis(now),
        "ended_in": items.end_hour(generation_id, now),
    }


def _last(claim: Claim, completion: Completion) -> Completion:
    """Return a flow's completion with the tokens of its last step only."""
    return replace(
        completion,
        tokens_in=completion.tokens_in - sum(result.tokens_in for result in claim.results),
        tokens_out=completion.tokens_out - sum(result.tokens_out for result in claim.results),
    )


def _terminal(item: Item) -> bool:
    return Status(item["status"]["S"]).terminal


def _lease_ran_out(item: Item | None, now: "datetime") -> bool:
    return (
        item is not None
        and item["status"]["S"] == Status.RUNNING
        and int(item["lease_until"]["N"]) < clock.to_millis(now)
    )
