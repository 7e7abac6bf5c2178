"""The generations table. The only module that calls it; afterword.items lays out its items.

Submit, run, finish:

    put        absent, or expired                           -> queued,    attempt 0
    claim      queued, or running with its lease run out    -> running,   attempt + 1
    finish     running and attempt = mine                   -> succeeded or failed
    hand back  running and attempt = mine                   -> queued
    give up    queued, or running with its lease run out    -> failed (dead letter, deadline)
    cancel     queued or running                            -> canceled

The sweeper moves `due_at` on; nothing else touches it between put and the end.
"""

import heapq
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, cast

from botocore.exceptions import ClientError

from afterword import clock, items
from afterword.errors import KeyReusedError, NotFoundError
from afterword.generations import Claim, Completion, Generation, Reason, Status, is_id
from afterword.items import DUE_SHARDS, Item, Items, Overdue, millis, partition_key

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef, UpdateItemInputTypeDef

    from afterword.generations import Submission
    from afterword.payloads import Payloads


class Refused(NamedTuple):
    """Why a conditional write did not happen: the item as it stands, or None when there is none."""

    item: Item | None


class GenerationStore:
    """Generations in DynamoDB, with their big texts in S3. Every change is conditional."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, payloads: "Payloads") -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._items = Items(payloads)

    def put(
        self,
        tenant: str,
        generation_id: str,
        submission: "Submission",
        flow_version: int,
        retention: "timedelta",
    ) -> Status:
        """Accept a submission: from here on it stands, queued, whatever happens next.

        If it was accepted under this id before, nothing changes. Returns where it stands; raises
        KeyReusedError if the id is another submission's. Takes one write, and before it one S3 put
        for each text over INLINE_BYTES.
        """
        item = self._items.queued(tenant, generation_id, submission, flow_version, retention)
        now = int(clock.now().timestamp())
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(pk) OR expires_at <= :now",
                ExpressionAttributeValues={":now": {"N": str(now)}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            # An earlier request with the same idempotency key; or this very put, whose answer was
            # lost and which the SDK sent again.
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            there = cast("Item", error.response.get("Item"))
            if there["fingerprint"] != item["fingerprint"]:
                raise KeyReusedError(
                    "The Idempotency-Key was used before, for another request."
                ) from error
            return Status(there["status"]["S"])
        return Status.QUEUED

    def get(self, tenant: str, generation_id: str) -> Generation:
        """Return a tenant's generation, consistently; raise NotFoundError if it has none such."""
        item = None
        if is_id(generation_id):
            item = self._dynamodb.get_item(
                TableName=self._table,
                Key={"pk": {"S": partition_key(tenant, generation_id)}},
                ConsistentRead=True,
            ).get("Item")
        if item is None or int(item["expires_at"]["N"]) <= clock.now().timestamp():
            raise NotFoundError("There is no such generation.")
        return self._items.generation(item)

    def claim(self, tenant: str, generation_id: str, lease_until: "datetime") -> Claim | None:
        """Take a generation to run it until the lease ends, or return None if it is not to be had.

        Not to be had: absent, terminal, or held by somebody whose lease has not run out. Taking
        over from a holder whose lease has run out counts as a failure of that attempt.
        """
        now = clock.now()
        taken: UpdateItemInputTypeDef = {
            "TableName": self._table,
            "Key": {"pk": {"S": partition_key(tenant, generation_id)}},
            "UpdateExpression": "SET #status = :running, attempt = attempt + :one,"
            " failures = failures + :failed, lease_until = :lease_until",
            "ExpressionAttributeNames": {"#status": "status"},
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        values: dict[str, AttributeValueTypeDef] = {
            ":running": {"S": Status.RUNNING},
            ":one": {"N": "1"},
            ":lease_until": millis(lease_until),
        }
        outcome = self._update(
            taken
            | {
                "ConditionExpression": "#status = :queued",
                "ExpressionAttributeValues": values
                | {":queued": {"S": Status.QUEUED}, ":failed": {"N": "0"}},
            }
        )
        if isinstance(outcome, Refused) and _lease_ran_out(outcome.item, now):
            outcome = self._update(
                taken
                | {
                    "ConditionExpression": "#status = :running AND lease_until < :now",
                    "ExpressionAttributeValues": values
                    | {":now": millis(now), ":failed": {"N": "1"}},
                }
            )
        return None if isinstance(outcome, Refused) else self._items.claim(outcome)

    def succeed(self, claim: Claim, completion: Completion) -> bool:
        """Store the result. False if the claim is no longer the generation's: nothing is stored."""
        return self._finish(claim, Status.SUCCEEDED, self._items.succeeded(claim, completion))

    def fail(self, claim: Claim, reason: Reason, message: str) -> bool:
        """Store why it failed. False if the claim is no longer the generation's."""
        return self._finish(
            claim, Status.FAILED, {"reason": {"S": reason}, "message": {"S": message}}
        )

    def hand_back(self, claim: Claim, *, failed: bool) -> bool:
        """Queue the generation again; `failed` spends the failure budget, throttling does not.

        False if the claim is no longer the generation's.
        """
        outcome = self._update(
            {
                "TableName": self._table,
                "Key": {"pk": {"S": partition_key(claim.tenant, claim.id)}},
                "UpdateExpression": "SET #status = :queued, failures = failures + :failed"
                " REMOVE lease_until",
                "ConditionExpression": _MINE,
                "ExpressionAttributeNames": {"#status": "status"},
                "ExpressionAttributeValues": {
                    ":queued": {"S": Status.QUEUED},
                    ":failed": {"N": str(int(failed))},
                    **_mine(claim),
                },
            }
        )
        return not isinstance(outcome, Refused)

    def overdue(self, limit: int) -> Iterator[Overdue]:
        """Yield up to `limit` open generations whose due time has passed, oldest first.

        Takes a query for each of DUE_SHARDS and each further page, and a consistent read for each
        generation, since the index may lag behind.
        """
        now = clock.to_millis(clock.now())
        shards = [self._due(shard, now) for shard in range(DUE_SHARDS)]
        for _, pk in islice(heapq.merge(*shards), limit):
            key = {"pk": {"S": pk}}
            item = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True).get(
                "Item"
            )
            if item is not None and "due_at" in item and int(item["due_at"]["N"]) <= now:
                yield items.overdue(item)

    def _due(self, shard: int, now: int) -> Iterator[tuple[int, str]]:
        """Yield due time and key of what is due in a shard, oldest first, a page at a time."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            IndexName="by_due",
            KeyConditionExpression="due_shard = :shard AND due_at <= :now",
            ExpressionAttributeValues={":shard": {"S": str(shard)}, ":now": {"N": str(now)}},
        )
        for page in pages:
            yield from ((int(item["due_at"]["N"]), item["pk"]["S"]) for item in page["Items"])

    def postpone(self, overdue: Overdue, due_at: "datetime") -> bool:
        """Look at it again at `due_at`. False if it has changed, or another sweeper was quicker."""
        outcome = self._update(
            {
                "TableName": self._table,
                "Key": {"pk": {"S": partition_key(overdue.tenant, overdue.id)}},
                "UpdateExpression": "SET due_at = :due_at",
                "ConditionExpression": "#status = :status AND attempt = :attempt AND due_at = :old",
                "ExpressionAttributeNames": {"#status": "status"},
                "ExpressionAttributeValues": {
                    ":due_at": millis(due_at),
                    ":status": {"S": overdue.status},
                    ":attempt": {"N": str(overdue.attempt)},
                    ":old": millis(overdue.due_at),
                },
            }
        )
        return not isinstance(outcome, Refused)

    def give_up(self, tenant: str, generation_id: str, reason: Reason, message: str) -> bool:
        """Fail a generation that nobody holds. False while somebody has a live lease on it.

        True as well when there is nothing left to do: it is terminal or gone.
        """
        now = clock.now()
        outcome = self._update(
            {
                "TableName": self._table,
                "Key": {"pk": {"S": partition_key(tenant, generation_id)}},
                "UpdateExpression": "SET #status = :failed, finished_at = :now, #reason = :reason,"
                f" #message = :message {_CLOSE}",
                "ConditionExpression": "#status = :queued OR"
                " (#status = :running AND lease_until < :now)",
                "ExpressionAttributeNames": {
                    "#status": "status",
                    "#reason": "reason",
                    "#message": "message",
                },
                "ExpressionAttributeValues": {
                    ":failed": {"S": Status.FAILED},
                    ":queued": {"S": Status.QUEUED},
                    ":running": {"S": Status.RUNNING},
                    ":now": millis(now),
                    ":reason": {"S": reason},
                    ":message": {"S": message},
                },
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        )
        if isinstance(outcome, Refused):
            return outcome.item is None or Status(outcome.item["status"]["S"]).terminal
        return True

    def cancel(self, tenant: str, generation_id: str) -> bool:
        """Cancel an open generation, under a worker's hands too: what that one writes is lost.

        True if it is canceled now, or was before; False if it had come to another end. Raises
        NotFoundError if the tenant has none such.
        """
        now = clock.now()
        item: Item | None = None
        if is_id(generation_id):
            outcome = self._update(
                {
                    "TableName": self._table,
                    "Key": {"pk": {"S": partition_key(tenant, generation_id)}},
                    "UpdateExpression": f"SET #status = :canceled, finished_at = :now {_CLOSE}",
                    "ConditionExpression": "#status IN (:queued, :running)",
                    "ExpressionAttributeNames": {"#status": "status"},
                    "ExpressionAttributeValues": {
                        ":canceled": {"S": Status.CANCELED},
                        ":queued": {"S": Status.QUEUED},
                        ":running": {"S": Status.RUNNING},
                        ":now": millis(now),
                    },
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                }
            )
            if not isinstance(outcome, Refused):
                return True
            item = outcome.item
        if item is None or int(item["expires_at"]["N"]) <= now.timestamp():
            raise NotFoundError("There is no such generation.")
        return Status(item["status"]["S"]) is Status.CANCELED

    def _finish(self, claim: Claim, status: Status, attributes: Item) -> bool:
        attributes = {"status": {"S": status}, "finished_at": millis(clock.now()), **attributes}
        outcome = self._update(
            {
                "TableName": self._table,
                "Key": {"pk": {"S": partition_key(claim.tenant, claim.id)}},
                "UpdateExpression": "SET "
                + ", ".join(f"#{name} = :{name}" for name in attributes)
                + f" {_CLOSE}",
                "ConditionExpression": _MINE,
                "ExpressionAttributeNames": {f"#{name}": name for name in attributes},
                "ExpressionAttributeValues": {
                    **{f":{name}": value for name, value in attributes.items()},
                    **_mine(claim),
                },
            }
        )
        return not isinstance(outcome, Refused)

    def _update(self, request: "UpdateItemInputTypeDef") -> Item | Refused:
        try:
            return self._dynamodb.update_item(**request).get("Attributes", {})
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return Refused(cast("Item | None", error.response.get("Item")))


_MINE = "#status = :mine_running AND attempt = :mine_attempt"
_CLOSE = "REMOVE lease_until, due_shard, due_at"


def _mine(claim: Claim) -> "dict[str, AttributeValueTypeDef]":
    return {
        ":mine_running": {"S": Status.RUNNING},
        ":mine_attempt": {"N": str(claim.attempt)},
    }


def _lease_ran_out(item: Item | None, now: "datetime") -> bool:
    return (
        item is not None
        and item["status"]["S"] == Status.RUNNING
        and int(item["lease_until"]["N"]) < clock.to_millis(now)
    )
