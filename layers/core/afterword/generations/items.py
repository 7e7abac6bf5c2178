"""How a generation is laid out as an item of the generations table. No call of DynamoDB in here.

Attributes: `pk` (`tenant#id`); `list_key` (`tenant#flow`) and `list_order` (creation time and id),
the keys of the index `by_flow`, never changed until it is deleted; `due_shard` and `due_at`, the
keys of the sparse index `by_due`, there while the generation is open or its end is not settled;
`dead_letter_of` (the tenant) and `finished_at`, the keys of the sparse index `by_dead_letter`;
`conversation` (`tenant#flow#conversation`) and `list_order`, those of the sparse index
`by_conversation`;
`reference` (`tenant#external_ref`) and `list_order`, those of the sparse index `by_reference`;
`ended_in` (the hour of the end, and a shard) and `list_key`, those of the sparse index `by_end`,
from which the statistics are made, there from the end on. Times are milliseconds since the epoch,
but for `expires_at`, which DynamoDB's TTL wants in seconds. `answers` is what each answer of a
model took, as JSON.
`request`, `external` and `text` are texts, and where one is too big for the item, `<name>_key` is
its key in the bucket instead. `step_1`, `step_2`, … are the results of a flow's first steps, while
there are more. `deleted_at` is there when its owner has deleted it: then LEFT is all that is.
"""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any, TypeGuard

from afterword import clock, generations
from afterword.files import StoredFile, SubmittedFile
from afterword.generations import (
    MAX_REFERENCE,
    Completion,
    ContextFilter,
    Generation,
    Output,
    Reason,
    Source,
    Status,
    Submission,
)
from afterword.generations.claims import Claim, TokenUsage
from afterword.generations.details import GenerationDetail
from afterword.generations.ends import STALLED_AFTER, DeadLetter, End, Outcome, Stalled
from afterword.runtime.dynamodb import Item, Value, millis, time_of
from afterword.runtime.payloads import INLINE_BYTES

if TYPE_CHECKING:
    from datetime import datetime

    from afterword.generations import SubmissionOptions
    from afterword.runtime.payloads import Payloads

READERS = 10
"""Objects of the bucket that are read at the same time."""
DUE_SHARDS = 8
"""Partitions of the index by due time, so that no single one takes every write."""
END_SHARDS = 4
"""Partitions of each hour of the index by end, so that no single one takes every write."""
TOMBSTONE_ATTRIBUTES = frozenset(
    {
        "pk", "tenant", "id", "dialect", "flow", "flow_version", "status", "reason", "attempt",
        "failures", "created_at", "deadline_at", "finished_at", "expires_at", "deleted_at",
        "retry_of", "slot", "notify", "due_shard", "due_at", "list_key", "ended_in", "answers",
        "tokens_in", "tokens_out",
    }
)  # fmt: skip
"""What is left of a deleted generation until it expires: what is counted, and no text."""
MAX_MODEL_NAME = 200
"""Characters that are kept of a model's name in `answers`, which becomes part of a key."""


class Items:
    """Makes items, and reads them, with their big texts in the bucket."""

    def __init__(self, payloads: "Payloads") -> None:
        self._payloads = payloads

    def queued(
        self,
        tenant: str,
        generation_id: str,
        submission: Submission,
        terms: "SubmissionOptions",
    ) -> Item:
        """Return the item of a new submission; its big texts are in the bucket from now on.

        Their S3 keys have the fingerprint in them, so that another submission with the same id
        cannot touch them.
        """
        now = clock.now()
        fingerprint = submission.fingerprint()
        request: dict[str, object] = {
            "inputs": dict(submission.inputs),
            "template": submission.template,
        }
        if submission.files:
            request["files"] = [
                asdict(file) for file in self._stored(tenant, generation_id, submission)
            ]
        if submission.context:
            request["context"] = {step: asdict(each) for step, each in submission.context.items()}
        texts = {"request": json.dumps(request, ensure_ascii=False)}
        if submission.external:
            texts["external"] = json.dumps(dict(submission.external), ensure_ascii=False)
        item: dict[str, Value] = {
            "pk": {"S": partition_key(tenant, generation_id)},
            "list_key": {"S": f"{tenant}#{submission.flow}"},
            "list_order": {"S": generations.list_order(now, generation_id)},
            "tenant": {"S": tenant},
            "id": {"S": generation_id},
            "dialect": {"S": submission.dialect},
            "flow": {"S": submission.flow},
            "flow_version": {"N": str(terms.flow_version)},
            "status": {"S": Status.QUEUED},
            "attempt": {"N": "0"},
            "failures": {"N": "0"},
            "created_at": millis(now),
            "deadline_at": millis(now + terms.deadline),
            "expires_at": {"N": str(int((now + terms.retention).timestamp()))},
            "due_shard": {"S": str(zlib.crc32(generation_id.encode()) % DUE_SHARDS)},
            "due_at": millis(now + min(STALLED_AFTER, terms.deadline)),
            "fingerprint": {"S": fingerprint},
        }
        if submission.conversation is not None:
            key = conversation_key(tenant, submission.flow, submission.conversation)
            item["conversation"] = {"S": key}
        item |= _reference(tenant, submission)
        if submission.webhook_url is not None:
            item["webhook_url"] = {"S": submission.webhook_url}
        if terms.retry_of is not None:
            item["retry_of"] = {"S": terms.retry_of}
        if terms.slot is not None:
            item["slot"] = {"S": terms.slot}
        if terms.notify:
            item["notify"] = {"BOOL": True}
        for name, text in texts.items():
            item |= self._text(tenant, generation_id, name, text, fingerprint)
        return item

    def _stored(
        self, tenant: str, generation_id: str, submission: Submission
    ) -> Iterator[StoredFile]:
        """Put a submission's files into the bucket."""
        fingerprint = submission.fingerprint()
        for number, file in enumerate(submission.files, 1):
            name = f"file-{number}-{fingerprint}"
            key = self._payloads.put_file(
                tenant, generation_id, name, file.content, file.media_type
            )
            yield StoredFile(
                input=file.input,
                name=file.name,
                media_type=file.media_type,
                size=len(file.content),
                key=key,
            )

    def succeeded(self, claim: Claim, completion: Completion) -> Item:
        """Return a result's attributes; a big text is in the bucket from now on.

        Its S3 key has the attempt in it, so that a late writer cannot touch a newer text.
        """
        return {
            **_took(completion),
            **self._text(claim.tenant, claim.id, "text", completion.text, str(claim.attempt)),
        }

    def result(self, claim: Claim, completion: Completion) -> Value:
        """Return a step's result as an attribute; a big text is in the bucket from now on."""
        name = f"step-{len(claim.results) + 1}"
        text = self._text(claim.tenant, claim.id, name, completion.text, str(claim.attempt))
        renamed = {attribute.replace(name, "text"): value for attribute, value in text.items()}
        return {"M": {**_took(completion), **renamed}}

    def results(self, item: Item) -> tuple[Completion, ...]:
        """Return the results of a flow's first steps, as far as there are more."""
        return tuple(self._completion(result) for result in results_of(item))

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
            files=_files(request),
            results=self.results(item),
            context=_context(request),
            conversation=_conversation(item),
            order=item["list_order"]["S"],
            slot=slot_of(item),
            notify="notify" in item,
        )

    def submission(self, item: Item) -> Submission:
        """Return what was asked for, files and all."""
        request = json.loads(self._read(item, "request"))
        files = tuple(
            SubmittedFile(
                input=file.input,
                name=file.name,
                media_type=file.media_type,
                content=self._payloads.get_file(file.key),
            )
            for file in _files(request)
        )
        return Submission(
            dialect=item["dialect"]["S"],
            flow=item["flow"]["S"],
            inputs=request["inputs"],
            template=request["template"],
            external=self._external(item),
            files=files,
            deadline=time_of(item, "deadline_at") - time_of(item, "created_at"),
            context=_context(request),
            conversation=_conversation(item),
            webhook_url=_webhook_url(item),
        )

    def generation(self, item: Item) -> Generation:
        """Return the generation that an item is."""
        status = Status(item["status"]["S"])
        tokens_in, tokens_out = (
            int(item[name]["N"]) if name in item else None for name in ("tokens_in", "tokens_out")
        )
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
            external=self._external(item),
            completion=self._completion(item) if status is Status.SUCCEEDED else None,
            reason=Reason(item["reason"]["S"]) if "reason" in item else None,
            message=item["message"]["S"] if "message" in item else None,
            retry_of=item["retry_of"]["S"] if "retry_of" in item else None,
            rating=int(item["rating"]["N"]) if "rating" in item else None,
            title=item["title"]["S"] if "title" in item else None,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
        )

    def listed(self, item: Item) -> GenerationDetail:
        """Return a generation with what was asked for."""
        request = json.loads(self._read(item, "request"))
        return GenerationDetail(
            generation=self.generation(item),
            order=item["list_order"]["S"],
            inputs=request["inputs"],
            files=_files(request),
            conversation=_conversation(item),
        )

    def objects(self, item: Item) -> list[str]:
        """Return the keys in the bucket that an item names: of its big texts and its files."""
        keys = [
            value["S"]
            for each in (item, *results_of(item))
            for name, value in each.items()
            if name.endswith("_key") and name != "list_key"
        ]
        request = item["request"]["S"] if "request" in item else None
        if "request_key" in item:  # of which there may be nothing left, if it was deleted halfway
            request = self._payloads.find(item["request_key"]["S"])
        return keys + [file.key for file in _files(json.loads(request or "{}"))]

    def _external(self, item: Item) -> Mapping[str, str]:
        if "external" not in item and "external_key" not in item:
            return {}
        texts: Mapping[str, str] = json.loads(self._read(item, "external"))
        return texts

    def _completion(self, item: Item) -> Completion:
        return Completion(
            text=self._read(item, "text"),
            model=item["model"].get("S"),
            stop_reason=item["stop_reason"]["S"],
            tokens_in=int(item["tokens_in"]["N"]),
            tokens_out=int(item["tokens_out"]["N"]),
            output=Output(item["output"]["S"]) if "output" in item else Output.STRING,
            sources=_sources(item),
        )

    def _text(
        self, tenant: str, generation_id: str, name: str, text: str, writer: str
    ) -> dict[str, Value]:
        """Return the text as an attribute, or as the key of an object that no other writer has."""
        if len(text.encode()) <= INLINE_BYTES:
            return {name: {"S": text}}
        key = self._payloads.put(tenant, generation_id, f"{name}-{writer}", text)
        return {f"{name}_key": {"S": key}}

    def _read(self, item: Item, name: str) -> str:
        if name in item:
            return item[name]["S"]
        return self._payloads.get(item[f"{name}_key"]["S"])


def _files(request: Mapping[str, Any]) -> tuple[StoredFile, ...]:
    return tuple(StoredFile(**file) for file in request.get("files", ()))


def _context(request: Mapping[str, Any]) -> Mapping[str, ContextFilter]:
    return {
        step: ContextFilter(**{name: _ids(ids) for name, ids in each.items()})
        for step, each in request.get("context", {}).items()
    }


def _ids(ids: list[str] | None) -> tuple[str, ...] | None:
    return None if ids is None else tuple(ids)


def _conversation(item: Item) -> str | None:
    """Return what the owner calls the conversation; neither tenant nor flow can have a `#`."""
    return item["conversation"]["S"].split("#", 2)[2] if "conversation" in item else None


def _webhook_url(item: Item) -> str | None:
    return item["webhook_url"]["S"] if "webhook_url" in item else None


def _sources(item: Item) -> tuple[Source, ...]:
    if "sources" not in item:
        return ()
    return tuple(Source(**source) for source in json.loads(item["sources"]["S"]))


def _reference(tenant: str, submission: Submission) -> Item:
    """Return the attribute by which it is found if its owner has a name for it."""
    reference = json.loads(submission.external.get("external_ref", "null"))
    if not isinstance(reference, str) or not 1 <= len(reference) <= MAX_REFERENCE:
        return {}
    return {"reference": {"S": reference_key(tenant, reference)}}


def reference_key(tenant: str, external_ref: str) -> str:
    """Return the `reference` of the generations of what their owner calls so."""
    return f"{tenant}#{external_ref}"


def conversation_key(tenant: str, flow: str, conversation: str) -> str:
    """Return the `conversation` of its generations' items."""
    return f"{tenant}#{flow}#{conversation}"


def read_end(item: Item) -> End:
    """Return how a generation ended, from the item of one that has."""
    return End(
        tenant=item["tenant"]["S"],
        id=item["id"]["S"],
        dialect=item["dialect"]["S"],
        flow=item["flow"]["S"],
        flow_version=int(item["flow_version"]["N"]),
        status=Status(item["status"]["S"]),
        reason=Reason(item["reason"]["S"]) if "reason" in item else None,
        attempt=int(item["attempt"]["N"]),
        created_at=time_of(item, "created_at"),
        finished_at=time_of(item, "finished_at"),
        tokens=sum(tokens_of(item)),
        slot=slot_of(item),
        notify="notify" in item,
        dispatched="due_at" not in item,
        webhook_url=_webhook_url(item),
    )


def slot_of(item: Item) -> str | None:
    """Return the slot that a generation has under its tenant's limits, None without limits."""
    return item["slot"]["S"] if "slot" in item else None


def results_of(item: Item) -> list[Item]:
    """Return the results of the steps that are finished, in order."""
    names = (f"step_{number}" for number in count(1))
    return [item[name]["M"] for name in takewhile(item.__contains__, names)]


def tokens_of(item: Item) -> tuple[int, int]:
    """Return the tokens of a generation that has ended: of its steps where it has none itself."""
    counted = [item] if "tokens_in" in item else results_of(item)
    tokens_in, tokens_out = (
        sum(int(each[name]["N"]) for each in counted) for name in ("tokens_in", "tokens_out")
    )
    return tokens_in, tokens_out


def _took(completion: Completion) -> dict[str, Value]:
    took: dict[str, Value] = {
        "model": {"S": completion.model} if completion.model else {"NULL": True},
        "stop_reason": {"S": completion.stop_reason},
        **tokens_attributes(completion),
    }
    if completion.output is not Output.STRING:
        took["output"] = {"S": completion.output}
    if completion.sources:
        sources = [asdict(source) for source in completion.sources]
        took["sources"] = {"S": json.dumps(sources, ensure_ascii=False)}
    return took


def answers_attribute(results: Sequence[Completion], last: Completion) -> dict[str, Value]:
    """Return the attribute that says what the answers took: of the steps before, and the last."""
    each = [
        [result.model[:MAX_MODEL_NAME], result.tokens_in, result.tokens_out]
        for result in (*results, last)
        if result.model is not None
    ]
    return {"answers": {"S": json.dumps(each, ensure_ascii=False)}} if each else {}


def end_hour(generation_id: str, moment: "datetime") -> Value:
    """Return the hour of an end with the generation's shard of it."""
    return {"S": end_shard(moment, zlib.crc32(generation_id.encode()) % END_SHARDS)}


def end_shard(hour: "datetime", shard: int) -> str:
    """Return the `ended_in` of a shard of an hour."""
    return f"{hour:%Y-%m-%dT%H}#{shard}"


def read_outcome(item: Item) -> Outcome:
    """Return what the statistics count, from what the index `by_end` has of an item."""
    tenant, _, flow = item["list_key"]["S"].partition("#")
    each = json.loads(item["answers"]["S"]) if "answers" in item else ()
    return Outcome(
        tenant=tenant,
        flow=flow,
        status=Status(item["status"]["S"]),
        reason=Reason(item["reason"]["S"]) if "reason" in item else None,
        answers=tuple(TokenUsage(*answer) for answer in each),
    )


def read_dead_letter(item: Item) -> DeadLetter:
    """Return a dead letter, from what the index `by_dead_letter` has of its item."""
    facts = {name: value["S"] for name, value in item["dead_letter"]["M"].items()}
    return DeadLetter(
        id=item["id"]["S"],
        flow=item["flow"]["S"],
        attempt=int(item["attempt"]["N"]),
        finished_at=time_of(item, "finished_at"),
        message_id=facts.pop("MessageId"),
        facts=facts,
    )


def tokens_attributes(completion: Completion) -> dict[str, Value]:
    """Return the attributes that count a completion's tokens."""
    return {
        "tokens_in": {"N": str(completion.tokens_in)},
        "tokens_out": {"N": str(completion.tokens_out)},
    }


def read_stalled(item: Item) -> Stalled:
    """Return an item as the sweeper sees it."""
    status = Status(item["status"]["S"])
    return Stalled(
        tenant=item["tenant"]["S"],
        id=item["id"]["S"],
        status=status,
        attempt=int(item["attempt"]["N"]),
        created_at=time_of(item, "created_at"),
        deadline_at=time_of(item, "deadline_at"),
        due_at=time_of(item, "due_at"),
        lease_until=time_of(item, "lease_until") if "lease_until" in item else None,
        ended=read_end(item) if status.terminal else None,
    )


def is_there(item: Item | None) -> TypeGuard[Item]:
    """Whether there is a generation for its tenant: not deleted, and not expired."""
    if item is None or "deleted_at" in item:
        return False
    return int(item["expires_at"]["N"]) > clock.now().timestamp()


def partition_key(tenant: str, generation_id: str) -> str:
    """Return the `pk` of a generation's item."""
    return f"{tenant}#{generation_id}"
