"""The generations table: one generation at a time, from its submission to its end.

Lists of generations are read by afterword.generations.listings; nothing else calls the table. The
layout of the items is in afterword.generations.items.

Submit, run, finish:

    put        absent, or expired                           -> queued,    attempt 0
    claim      queued, or running with its lease run out    -> running,   attempt + 1
    finish     running and attempt = mine                   -> succeeded or failed
    step       running and attempt = mine                   -> running,   with a step's result
    hand back  running and attempt = mine                   -> queued
    give up    queued, or running with its lease run out    -> failed (dead letter, deadline)
    cancel     queued or running                            -> canceled
    settled    terminal                                     -> the same, out of the index by_due
    delete     terminal                                     -> the same, without its texts

The sweeper moves `due_at` on; nothing else touches it between put and the end. An end that leaves
something to do (afterword.engine.outbox) sets it anew in the same write, and `settled` removes it.
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
from afterword.generations.ends import STALLED_AFTER, End, Stalled
from afterword.generations.items import DUE_SHARDS, READERS, Items, is_there, partition_key
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
    """What is there under an id that was put: of this very submission if it is the `same`."""

    status: Status
    slot: str | None
    same: bool
    deleted: bool = False


class GenerationStore:
    """Generations in DynamoDB, with their big texts in S3. Every change is conditional."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, payloads: "Payloads") -> None:
        self._table = Table(dynamodb, table)
        self._payloads = payloads
        self._items = Items(payloads)

    def put(
        self,
        tenant: str,
        generation_id: str,
        submission: Submission,
        terms: "SubmissionOptions",
    ) -> PutResult:
        """Accept a submission: from here on it stands, queued, whatever happens next.

        If there is a generation with this id already, nothing changes. Returns what is there now.
        Takes one write, and before it one S3 put for each file, and for each text over
        INLINE_BYTES.
        """
        item = self._items.queued(tenant, generation_id, submission, terms)
        expired = at_most("expires_at", seconds(clock.now()))
        failed = self._table.put(item, absent("pk") | expired)
        if failed is None:
            return PutResult(status=Status.QUEUED, slot=terms.slot, same=True)
        there = failed.item or {}
        return PutResult(
            status=Status(there["status"]["S"]),
            slot=items.slot_of(there),
            same=there.get("fingerprint") == item["fingerprint"],
            deleted="deleted_at" in there,
        )

    def get(self, tenant: str, generation_id: str) -> Generation:
        """Return a tenant's generation, consistently; raise NotFoundError if it has none such."""
        return self._items.generation(self._found(tenant, generation_id))

    def get_step_results(self, tenant: str, generation_id: str) -> tuple[Completion, ...]:
        """Return what the first steps of a generation's flow have come to; `get` has the last.

        Raises NotFoundError like `get`.
        """
        return self._items.results(self._found(tenant, generation_id))

    def read_file(self, file: "StoredFile") -> bytes:
        """Return the content of a generation's file."""
        return self._payloads.get_file(file.key)

    def get_detail(self, tenant: str, generation_id: str) -> GenerationDetail:
        """Return a tenant's generation with what was asked for; raise NotFoundError like `get`."""
        return self._items.listed(self._found(tenant, generation_id))

    def set_title(
        self, tenant: str, generation_id: str, flow: str, title: str | None
    ) -> GenerationDetail:
        """Give a generation of a flow a title, or take it away, and return it.

        Raises NotFoundError if the flow has none such.
        """
        value = None if title is None else text(title)
        return self._items.listed(self._note(tenant, generation_id, flow, "title", value))

    def rate(
        self, tenant: str, generation_id: str, flow: str | None, rating: int | None
    ) -> Generation:
        """Rate a generation, of a flow if one is given, or take the rating away; return it.

        Raises NotFoundError if there is none such.
        """
        value = None if rating is None else number(rating)
        return self._items.generation(self._note(tenant, generation_id, flow, "rating", value))

    def _note(
        self,
        tenant: str,
        generation_id: str,
        flow: str | None,
        name: str,
        value: Value | None,
    ) -> Item:
        """Set or remove what its owner notes of a generation, and return its item.

        It touches nothing else, so that it and the worker's writes do not get in each other's way.
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
        """Return what was asked for, and where it stands; raise NotFoundError if there is none."""
        item = self._found(tenant, generation_id)
        return self._items.submission(item), Status(item["status"]["S"])

    def exists(self, tenant: str, generation_id: str) -> bool:
        """Whether the tenant has such a generation, by a consistent read."""
        return is_there(self._read(tenant, generation_id))

    def get_end(self, tenant: str, generation_id: str) -> End | None:
        """Return how a generation ended; None while it has not, or if there is none."""
        item = self._read(tenant, generation_id)
        return items.read_end(item) if item is not None and _terminal(item) else None

    def get_ends(self, tenant: str, generation_ids: Collection[str]) -> Mapping[str, End | None]:
        """Return, of up to 100 generations, those that have ended, and None for what is not there.

        One that is open is not in the answer, nor is what DynamoDB did not read this time.
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

    def get_many(self, tenant: str, generation_ids: Collection[str]) -> Mapping[str, Generation]:
        """Return, of up to 100 generations, those that are there, consistently."""
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
        """Take a generation to run it until the lease ends, or return None if it is not to be had.

        Not to be had: absent, terminal, or held by somebody whose lease has not run out. Taking
        over from a holder whose lease has run out counts as a failure of that attempt.
        """
        now = clock.now()
        key = _key(tenant, generation_id)
        taken = {"status": text(Status.RUNNING), "lease_until": millis(lease_until)}
        outcome = self._table.update(
            key, sets=taken, adds={"attempt": 1}, condition=_QUEUED, returns_item=True
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

        Returns the claim with this result; None if it is no longer the generation's.
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
        """Store the result. None if the claim is no longer the generation's: nothing is stored."""
        attributes = {
            **self._items.succeeded(claim, completion),
            **items.answers_attribute(claim.results, _last(claim, completion)),
        }
        return self._finish(claim, Status.SUCCEEDED, attributes)

    def fail(
        self, claim: Claim, reason: Reason, message: str, answer: Completion | None = None
    ) -> End | None:
        """Store why it failed, and the tokens of an answer that was of no use.

        None if the claim is no longer the generation's: nothing is stored.
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
        """Queue the generation again; `failed` spends the failure budget, throttling does not.

        False if the claim is no longer the generation's.
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
        """Yield up to `limit` generations whose due time has passed, oldest first.

        They are open, or their end is not settled. Takes a query for each of DUE_SHARDS and each
        further page, and a consistent read for each generation, since the index may lag behind.
        """
        now = clock.to_millis(clock.now())
        shards = [self._due(shard, now) for shard in range(DUE_SHARDS)]
        for _, pk in islice(heapq.merge(*shards), limit):
            item = self._table.get({"pk": text(pk)})
            if item is not None and "due_at" in item and int(item["due_at"]["N"]) <= now:
                yield items.read_stalled(item)

    def _due(self, shard: int, now: int) -> Iterator[tuple[int, str]]:
        """Yield due time and key of what is due in a shard, oldest first, a page at a time."""
        due = equals("due_shard", text(str(shard))) & at_most("due_at", number(now))
        for page in self._table.pages(due, index="by_due"):
            yield from ((int(item["due_at"]["N"]), item["pk"]["S"]) for item in page.items)

    def postpone(self, overdue: Stalled, due_at: "datetime") -> bool:
        """Look at it again at `due_at`. False if it has changed, or another sweeper was quicker."""
        outcome = self._table.update(
            _key(overdue.tenant, overdue.id),
            sets={"due_at": millis(due_at)},
            condition=equals("status", text(overdue.status))
            & equals("attempt", number(overdue.attempt))
            & equals("due_at", millis(overdue.due_at)),
        )
        return not isinstance(outcome, ConditionFailed)

    def fail_unclaimed(
        self,
        tenant: str,
        generation_id: str,
        reason: Reason,
        message: str,
        letter: Mapping[str, str] | None = None,
    ) -> End | Status | None:
        """Fail a generation that nobody holds, with the facts of its dead letter if there is one.

        Returns how it ended if it does now; otherwise where it stands, running while somebody has a
        live lease on it, or None if there is none such.
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
            return items.read_end(outcome)
        return None if outcome.item is None else Status(outcome.item["status"]["S"])

    def cancel(self, tenant: str, generation_id: str) -> End | Status:
        """Cancel an open generation, under a worker's hands too: what that one writes is lost.

        Returns how it ended if it does now, otherwise the end that it had come to before. Raises
        NotFoundError if the tenant has none such.
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
                return items.read_end(outcome)
            item = outcome.item
        if item is None or not is_there(item):
            raise NotFoundError("There is no such generation.")
        return Status(item["status"]["S"])

    def mark_dispatched(self, tenant: str, generation_id: str) -> None:
        """Note that nothing is left to do for a generation that has ended."""
        self._table.update(
            _key(tenant, generation_id),
            removes=["due_shard", "due_at"],
            condition=exists("finished_at"),
        )

    def delete(self, tenant: str, generation_id: str, flow: str | None = None) -> None:
        """Delete a generation that has ended, of a flow if one is given, with all its texts.

        What is left until it expires is what is counted (items.LEFT): its end is settled
        and counted as if it were there, and nobody makes it again with its idempotency key. Objects
        of the bucket are deleted after that; those that cannot be, expire. Raises NotFoundError if
        there is none such, and ConflictError if it is open.
        """
        item = self._found(tenant, generation_id)
        if flow not in {None, item["flow"]["S"]}:
            raise NotFoundError("There is no such generation.")
        if not _terminal(item):
            raise ConflictError("It has not ended: cancel it first.")
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
        if isinstance(outcome, ConditionFailed):  # somebody else was quicker
            raise NotFoundError("There is no such generation.")
        if objects:
            try:
                self._payloads.delete(objects)
            except (BotoCoreError, ClientError, UnavailableError) as error:
                telemetry.logger().warning(
                    "deleted, but not its objects: they will expire",
                    extra={"generation_id": generation_id, "tenant": tenant, "why": str(error)},
                )

    def mark_retried(self, tenant: str, generation_id: str, retry_id: str) -> None:
        """Note which generation repeats one that has ended: no dead letter to look at any more."""
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
    """Return a flow's completion with the tokens of its last step alone."""
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
