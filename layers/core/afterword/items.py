"""How a generation is laid out as an item of the generations table. No call of DynamoDB in here.

Attributes: `pk` (`tenant#id`); `list_key` (`tenant#flow`) and `list_order` (creation time and id),
the keys of the index `by_flow`, never changed; `due_shard` and `due_at`, the keys of the sparse
index `by_due`, there while the generation is open; times are milliseconds since the epoch, but for
`expires_at`, which DynamoDB's TTL wants in seconds. `request`, `external` and `text` are texts,
and where one is too big for the item, `<name>_key` is its key in the bucket instead.
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from afterword import clock
from afterword.generations import DEADLINE, Claim, Completion, Generation, Reason, Status
from afterword.payloads import INLINE_BYTES

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    from afterword.generations import Submission
    from afterword.payloads import Payloads

type Item = Mapping[str, "AttributeValueTypeDef"]

DUE_SHARDS = 8
"""Partitions of the index by due time, so that no single one takes every write."""
DUE_AFTER = timedelta(minutes=2)
"""A generation that is still open so long after its submission is worth a look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """An open generation whose due time has passed, as it stood when it was read.

    `lease_until` is when the lease of a running one ends, or ended.
    """

    tenant: str
    id: str
    status: Status
    attempt: int
    created_at: "datetime"
    deadline_at: "datetime"
    due_at: "datetime"
    lease_until: "datetime | None"


class Items:
    """Makes items, and reads them, with their big texts in the bucket."""

    def __init__(self, payloads: "Payloads") -> None:
        self._payloads = payloads

    def queued(
        self,
        tenant: str,
        generation_id: str,
        submission: "Submission",
        flow_version: int,
        retention: timedelta,
    ) -> Item:
        """Return the item of a new submission; its big texts are in the bucket from now on.

        Their S3 keys have the fingerprint in them, so that another submission with the same id
        cannot touch them.
        """
        now = clock.now()
        fingerprint = submission.fingerprint()
        request = {"inputs": dict(submission.inputs), "template": submission.template}
        texts = {"request": json.dumps(request, ensure_ascii=False)}
        if submission.external:
            texts["external"] = json.dumps(dict(submission.external), ensure_ascii=False)
        item: dict[str, AttributeValueTypeDef] = {
            "pk": {"S": partition_key(tenant, generation_id)},
            "list_key": {"S": f"{tenant}#{submission.flow}"},
            "list_order": {"S": f"{clock.to_millis(now):013d}#{generation_id}"},
            "tenant": {"S": tenant},
            "id": {"S": generation_id},
            "dialect": {"S": submission.dialect},
            "flow": {"S": submission.flow},
            "flow_version": {"N": str(flow_version)},
            "status": {"S": Status.QUEUED},
            "attempt": {"N": "0"},
            "failures": {"N": "0"},
            "created_at": millis(now),
            "deadline_at": millis(now + DEADLINE),
            "expires_at": {"N": str(int((now + retention).timestamp()))},
            "due_shard": {"S": str(zlib.crc32(generation_id.encode()) % DUE_SHARDS)},
            "due_at": millis(now + DUE_AFTER),
            "fingerprint": {"S": fingerprint},
        }
        for name, text in texts.items():
            item |= self._text(tenant, generation_id, name, text, fingerprint)
        return item

    def succeeded(self, claim: Claim, completion: Completion) -> Item:
        """Return a result's attributes; a big text is in the bucket from now on.

        Its S3 key has the attempt in it, so that a late writer cannot touch a newer text.
        """
        return {
            "model": {"S": completion.model} if completion.model else {"NULL": True},
            "stop_reason": {"S": completion.stop_reason},
            "tokens_in": {"N": str(completion.tokens_in)},
            "tokens_out": {"N": str(completion.tokens_out)},
            **self._text(claim.tenant, claim.id, "text", completion.text, str(claim.attempt)),
        }

    def claim(self, item: Item) -> Claim:
        """Return the claim that an item is now under."""
        request = json.loads(self._read(item, "request"))
        return Claim(
            tenant=item["tenant"]["S"],
            id=item["id"]["S"],
            attempt=int(item["attempt"]["N"]),
            failures=int(item["failures"]["N"]),
            flow=item["flow"]["S"],
            flow_version=int(item["flow_version"]["N"]),
            created_at=time_of(item, "created_at"),
            deadline_at=time_of(item, "deadline_at"),
            inputs=request["inputs"],
            template=request["template"],
        )

    def generation(self, item: Item) -> Generation:
        """Return the generation that an item is."""
        status = Status(item["status"]["S"])
        has_external = "external" in item or "external_key" in item
        return Generation(
            tenant=item["tenant"]["S"],
            id=item["id"]["S"],
            dialect=item["dialect"]["S"],
            flow=item["flow"]["S"],
            flow_version=int(item["flow_version"]["N"]),
            status=status,
            attempt=int(item["attempt"]["N"]),
            created_at=time_of(item, "created_at"),
            deadline_at=time_of(item, "deadline_at"),
            finished_at=time_of(item, "finished_at") if "finished_at" in item else None,
            external=json.loads(self._read(item, "external")) if has_external else {},
            completion=self._completion(item) if status is Status.SUCCEEDED else None,
            reason=Reason(item["reason"]["S"]) if "reason" in item else None,
            message=item["message"]["S"] if "message" in item else None,
        )

    def _completion(self, item: Item) -> Completion:
        return Completion(
            text=self._read(item, "text"),
            model=item["model"].get("S"),
            stop_reason=item["stop_reason"]["S"],
            tokens_in=int(item["tokens_in"]["N"]),
            tokens_out=int(item["tokens_out"]["N"]),
        )

    def _text(
        self, tenant: str, generation_id: str, name: str, text: str, writer: str
    ) -> "dict[str, AttributeValueTypeDef]":
        """Return the text as an attribute, or as the key of an object that no other writer has."""
        if len(text.encode()) <= INLINE_BYTES:
            return {name: {"S": text}}
        key = self._payloads.put(tenant, generation_id, f"{name}-{writer}", text)
        return {f"{name}_key": {"S": key}}

    def _read(self, item: Item, name: str) -> str:
        if name in item:
            return item[name]["S"]
        return self._payloads.get(item[f"{name}_key"]["S"])


def overdue(item: Item) -> Overdue:
    """Return an open generation's item as the sweeper sees it."""
    return Overdue(
        tenant=item["tenant"]["S"],
        id=item["id"]["S"],
        status=Status(item["status"]["S"]),
        attempt=int(item["attempt"]["N"]),
        created_at=time_of(item, "created_at"),
        deadline_at=time_of(item, "deadline_at"),
        due_at=time_of(item, "due_at"),
        lease_until=time_of(item, "lease_until") if "lease_until" in item else None,
    )


def partition_key(tenant: str, generation_id: str) -> str:
    """Return the `pk` of a generation's item."""
    return f"{tenant}#{generation_id}"


def millis(moment: "datetime") -> "AttributeValueTypeDef":
    """Return a time as an attribute."""
    return {"N": str(clock.to_millis(moment))}


def time_of(item: Item, name: str) -> "datetime":
    """Return the time that an attribute says."""
    return clock.from_millis(int(item[name]["N"]))
