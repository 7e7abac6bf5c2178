"""The layout of a generation as an item of the generations table. No call of DynamoDB in here.

Keys of the table and its indexes:

    pk                            tenant#id
    list_key, list_order          by_flow: tenant#flow; creation time and id, until deleted
    tenant, list_order            by_tenant, until deleted
    due_shard, due_at             by_due, sparse: while open, or ended and not dispatched
    dead_letter_of, finished_at   by_dead_letter, sparse: the tenant
    conversation, list_order      by_conversation, sparse: tenant#flow#conversation
    reference, list_order         by_reference, sparse: tenant#external_ref
    ended_in, list_key            by_end, sparse, from the end on: hour of the end and a shard

Times are milliseconds since the epoch; only `expires_at`, for DynamoDB's TTL, has seconds.
`answers` are the tokens of each step's answers of a model, as JSON, and `answer_count` is their
number where a repair question was asked. `feedback` and `feedback_note` are the
kind and the note of its reader's feedback. `request`, `external` and `text` are texts, compressed
where that is shorter; for a text too big for the item, `<name>_key` is its key in the bucket
instead. A `request` that would make the item dearer to change is an item of its own, and
`request_item` the name of its writer (afterword.generations.requests). `step_1`, `step_2`, … are
the results of the flow's steps before the last. `claimed_at` is the time of the first claim. One
that asks for a class has `classifies`. A running one has `lease_until`, and a requeued one
`next_at`, the time of its next try. `last_error` is the last setback, until the end. `write_id` is
the last change of the status, by which its writer knows it, and `look_id` is the sweeper's last
look. A deleted generation has `deleted_at`, and of the rest only TOMBSTONE_ATTRIBUTES.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any, TypeGuard

from afterword import clock, generations
from afterword.errors import GoneError
from afterword.files import StoredFile, SubmittedFile
from afterword.generations import (
    MAX_REFERENCE,
    Completion,
    ContextFilter,
    EarlierTurn,
    Feedback,
    FeedbackKind,
    Generation,
    Output,
    Reason,
    Setback,
    SetbackReason,
    Source,
    Status,
    Submission,
)
from afterword.generations.claims import Claim, TokenUsage
from afterword.generations.details import GenerationDetail
from afterword.generations.ends import (
    DUE_SHARDS,
    STALLED_AFTER,
    DeadLetter,
    DueKey,
    End,
    ObjectSweep,
    Outcome,
    Stalled,
)
from afterword.generations.feedback import RatedEnd
from afterword.generations.requests import QueuedItem, is_cheaper_apart, separate
from afterword.runtime.dynamodb import Item, Value, millis, time_of
from afterword.runtime.packing import pack, unpack
from afterword.runtime.payloads import INLINE_BYTES
from afterword.runtime.stored import read_fields, read_word

if TYPE_CHECKING:
    from datetime import datetime

    from afterword.generations import SubmissionOptions
    from afterword.runtime.payloads import Payloads

READERS = 10
"""Payloads that are read in parallel."""
END_SHARDS = 4
"""Partitions of each hour of the index by end, so that no single one takes every write."""
TOMBSTONE_ATTRIBUTES = frozenset(
    {
        "pk", "tenant", "id", "dialect", "flow", "flow_version", "status", "reason", "attempt",
        "failures", "created_at", "deadline_at", "finished_at", "expires_at", "deleted_at",
        "retry_of", "slot", "notify", "due_shard", "due_at", "list_key", "ended_in", "answers",
        "tokens_in", "tokens_out", "write_id",
    }
)  # fmt: skip
"""The attributes of a deleted generation until it expires: those that count, and no text."""
STALLED_ATTRIBUTES = (
    "pk", "tenant", "id", "status", "attempt", "created_at", "deadline_at", "due_at",
    "lease_until", "next_at", "finished_at", "notify", "last_error",
)  # fmt: skip
"""The attributes that the sweeper reads of an item: all that it decides by, and no text."""
_FILE = "file-"
MAX_CODE = 64
"""The longest code of a setback, in characters."""
MAX_MODEL_NAME = 200
"""The longest name of a model in `answers`, in characters; the name becomes part of a key."""


class Items:
    """Builds and reads items, with their big texts in the bucket.

    Items to read have their request joined (afterword.generations.requests), where it is needed.
    Unless `compact`, texts are written as they are, and requests into their items, as the version
    before reads them.
    """

    def __init__(self, payloads: "Payloads", *, compact: bool = True) -> None:
        self._payloads = payloads
        self._compact = compact

    def queued(
        self,
        tenant: str,
        generation_id: str,
        submission: Submission,
        options: "SubmissionOptions",
    ) -> QueuedItem:
        """Return the item of a new submission, with its big texts put into the bucket.

        Their S3 keys are this call's alone. So no other submission with the same id overwrites
        them, and they can be deleted when the item is refused.
        """
        now = clock.now()
        writer = generations.new_writer()
        files = list(self._stored(tenant, generation_id, submission, writer))
        request = _request(submission, files)
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
            "flow_version": {"N": str(options.flow_version)},
            "status": {"S": Status.QUEUED},
            "attempt": {"N": "0"},
            "failures": {"N": "0"},
            "created_at": millis(now),
            "deadline_at": millis(now + options.deadline),
            "expires_at": {"N": str(int((now + options.retention).timestamp()))},
            "due_shard": {"S": str(zlib.crc32(generation_id.encode()) % DUE_SHARDS)},
            "due_at": millis(now + min(STALLED_AFTER, options.deadline)),
            "fingerprint": {"S": submission.fingerprint()},
        }
        item |= _optional(tenant, submission)
        if options.retry_of is not None:
            item["retry_of"] = {"S": options.retry_of}
        if options.slot is not None:
            item["slot"] = {"S": options.slot}
        if options.notify:
            item["notify"] = {"BOOL": True}
        for name, text in texts.items():
            item |= self._text(tenant, generation_id, name, text, writer)
        texts_in_bucket = [item[f"{name}_key"]["S"] for name in texts if f"{name}_key" in item]
        payloads = [*texts_in_bucket, *(file.key for file in files)]
        if self._compact and "request" in item and is_cheaper_apart(item):
            return QueuedItem(*separate(item, writer), payloads)
        return QueuedItem(item, None, payloads)

    def _stored(
        self, tenant: str, generation_id: str, submission: Submission, writer: str
    ) -> Iterator[StoredFile]:
        """Put a submission's files into the bucket."""
        for number, file in enumerate(submission.files, 1):
            name = f"{_FILE}{number}-{writer}"
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
        """Return a result's attributes, with a big text put into the bucket.

        Its S3 key is this call's alone, so that a late writer cannot overwrite a newer text, and
        can delete its own when the result is refused.
        """
        writer = _writer(claim)
        return {
            **_took(completion),
            **self._text(claim.tenant, claim.id, "text", completion.text, writer),
        }

    def result(self, claim: Claim, completion: Completion) -> Value:
        """Return a step's result as an attribute, with a big text put into the bucket."""
        name = f"step-{len(claim.results) + 1}"
        text = self._text(claim.tenant, claim.id, name, completion.text, _writer(claim))
        renamed = {attribute.replace(name, "text"): value for attribute, value in text.items()}
        return {"M": {**_took(completion), **renamed}}

    def results(self, item: Item) -> tuple[Completion, ...]:
        """Return the results of the flow's steps before the last."""
        return tuple(self._completion(result) for result in results_of(item))

    def claim(self, item: Item) -> Claim:
        """Return the claim of an item that was just claimed."""
        request: Mapping[str, Any] = {"inputs": {}, "template": None}
        results: tuple[Completion, ...] = ()
        try:
            request, results = self._request(item), self.results(item)
            gone = False
        except GoneError:
            gone = True
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
            results=results,
            context=_context(request),
            conversation=read_conversation(item),
            order=item["list_order"]["S"],
            slot=slot_of(item),
            notify="notify" in item,
            gone=gone,
            earlier=_earlier(request),
            setback=_setback(item),
            spent=_spent(item),
            due_at=time_of(item, "due_at") if "due_at" in item else None,
            claimed_at=time_of(item, "claimed_at") if "claimed_at" in item else None,
        )

    def submission(self, item: Item) -> Submission:
        """Return the submission, with its files; raise GoneError where one of these is gone."""
        request = self._request(item)
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
            conversation=read_conversation(item),
            webhook_url=_webhook_url(item),
            classifies="classifies" in item,
            earlier=_earlier(request),
        )

    def generation(self, item: Item) -> Generation:
        """Return the generation of an item, without the texts that are gone."""
        status = Status.stored(item["status"]["S"])
        external = self._unless_gone(self._external, item)
        completion = (
            self._unless_gone(self._completion, item) if status is Status.SUCCEEDED else None
        )
        tokens_in, tokens_out = (
            int(item[name]["N"]) if name in item else None for name in ("tokens_in", "tokens_out")
        )
        waits = status is Status.QUEUED and "next_at" in item
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
            external=external or {},
            completion=completion,
            reason=_reason(item),
            message=item["message"]["S"] if "message" in item else None,
            retry_of=item["retry_of"]["S"] if "retry_of" in item else None,
            rating=int(item["rating"]["N"]) if "rating" in item else None,
            title=item["title"]["S"] if "title" in item else None,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            estimated="estimated" in item,
            gone=external is None or (completion is None and status is Status.SUCCEEDED),
            classifies="classifies" in item,
            feedback=read_feedback(item),
            setback=None if status.terminal else _setback(item),
            next_at=time_of(item, "next_at") if waits else None,
        )

    def listed(self, item: Item) -> GenerationDetail:
        """Return a generation with its request, without the texts that are gone."""
        generation = self.generation(item)
        request = self._unless_gone(self._request, item)
        return GenerationDetail(
            generation=generation if request is not None else replace(generation, gone=True),
            order=item["list_order"]["S"],
            inputs={} if request is None else request["inputs"],
            files=() if request is None else _files(request),
            conversation=read_conversation(item),
        )

    def objects(self, item: Item) -> list[str]:
        """Return the keys of an item's payloads: its big texts and its files."""
        keys = payload_keys(item)
        if "request_key" in item:  # None if an earlier delete stopped halfway
            request = self._payloads.find(item["request_key"]["S"])
            keys += [file.key for file in _files(json.loads(request or "{}"))]
        return keys

    @staticmethod
    def _unless_gone[T](read: Callable[[Item], T], item: Item) -> T | None:
        """Return a part of an item's generation; None where its text is gone."""
        try:
            return read(item)
        except GoneError:
            return None

    def _request(self, item: Item) -> Mapping[str, Any]:
        if "request_item" in item and "request" not in item:
            raise GoneError("The request of this record is gone from storage.")
        request: Mapping[str, Any] = json.loads(self._read(item, "request"))
        return request

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
            output=Output.stored(item["output"]["S"]) if "output" in item else Output.STRING,
            sources=_sources(item),
            answers=int(item["answer_count"]["N"]) if "answer_count" in item else 1,
            estimated="estimated" in item,
        )

    def _text(
        self, tenant: str, generation_id: str, name: str, text: str, writer: str
    ) -> dict[str, Value]:
        """Return a text as an attribute, or as the key of a payload that no other writer has."""
        if len(text.encode()) <= INLINE_BYTES:
            return {name: pack(text) if self._compact else {"S": text}}
        key = self._payloads.put(tenant, generation_id, f"{name}-{writer}", text)
        return {f"{name}_key": {"S": key}}

    def _read(self, item: Item, name: str) -> str:
        if name in item:
            return unpack(item[name])
        return self._payloads.get(item[f"{name}_key"]["S"])


def payload_keys(item: Item) -> list[str]:
    """Return the keys of payloads in an item; the files of a request in the bucket are not."""
    keys = [
        value["S"]
        for each in (item, *results_of(item))
        for name, value in each.items()
        if name.endswith("_key") and name != "list_key"
    ]
    request = json.loads(unpack(item["request"])) if "request" in item else {}
    return keys + [file.key for file in _files(request)]


def names_payload(item: Item, key: str) -> bool:
    """Return whether an item names a payload, as a file of its request elsewhere too.

    The names of such a file and of its request end alike, since one writer has put both.
    """
    if key in payload_keys(item):
        return True
    if "request_item" in item:
        folder, writer = f"{item['tenant']['S']}/{item['id']['S']}", item["request_item"]["S"]
    elif "request_key" in item:
        folder, _, name = item["request_key"]["S"].rpartition("/")
        writer = name.removeprefix("request-")
    else:
        return False
    return key.startswith(f"{folder}/{_FILE}") and key.endswith(f"-{writer}")


def _writer(claim: Claim) -> str:
    return f"{claim.attempt}-{generations.new_writer()}"


def _request(submission: Submission, files: Sequence[StoredFile]) -> Mapping[str, object]:
    """Return the parts of a submission that are one text."""
    request: dict[str, object] = {
        "inputs": dict(submission.inputs),
        "template": submission.template,
    }
    if files:
        request["files"] = [asdict(file) for file in files]
    if submission.context:
        request["context"] = {step: asdict(each) for step, each in submission.context.items()}
    if submission.earlier is not None:
        request["earlier"] = [asdict(each) for each in submission.earlier]
    return request


def _files(request: Mapping[str, Any]) -> tuple[StoredFile, ...]:
    return tuple(read_fields(StoredFile, file) for file in request.get("files", ()))


def _context(request: Mapping[str, Any]) -> Mapping[str, ContextFilter]:
    return {
        step: ContextFilter(folders=_ids(each.get("folders")), tags=_ids(each.get("tags")))
        for step, each in request.get("context", {}).items()
    }


def _earlier(request: Mapping[str, Any]) -> tuple[EarlierTurn, ...] | None:
    if "earlier" not in request:
        return None
    return tuple(read_fields(EarlierTurn, turn) for turn in request["earlier"])


def _ids(ids: list[str] | None) -> tuple[str, ...] | None:
    return None if ids is None else tuple(ids)


def read_conversation(item: Item) -> str | None:
    """Return the owner's name of the conversation; neither tenant nor flow contains a `#`."""
    return item["conversation"]["S"].split("#", 2)[2] if "conversation" in item else None


def _reason(item: Item) -> Reason | None:
    return read_word(Reason, item["reason"]["S"]) if "reason" in item else None


def setback_attribute(setback: Setback) -> dict[str, Value]:
    """Return the attribute of a setback."""
    stored: dict[str, Value] = {"reason": {"S": setback.reason}}
    if setback.code:
        stored["code"] = {"S": setback.code[:MAX_CODE]}
    return {"last_error": {"M": stored}}


def _setback(item: Item) -> Setback | None:
    if "last_error" not in item:
        return None
    stored = item["last_error"]["M"]
    reason = read_word(SetbackReason, stored["reason"]["S"])
    return Setback(reason, stored["code"]["S"] if "code" in stored else None)


def _webhook_url(item: Item) -> str | None:
    return item["webhook_url"]["S"] if "webhook_url" in item else None


def _sources(item: Item) -> tuple[Source, ...]:
    if "sources" not in item:
        return ()
    return tuple(read_fields(Source, source) for source in json.loads(item["sources"]["S"]))


def _optional(tenant: str, submission: Submission) -> Item:
    """Return the attributes that only some submissions have."""
    attributes = dict(_reference(tenant, submission))
    if submission.conversation is not None:
        key = conversation_key(tenant, submission.flow, submission.conversation)
        attributes["conversation"] = {"S": key}
    if submission.webhook_url is not None:
        attributes["webhook_url"] = {"S": submission.webhook_url}
    if submission.classifies:
        attributes["classifies"] = {"BOOL": True}
    return attributes


def _reference(tenant: str, submission: Submission) -> Item:
    """Return the attribute for lists by external reference, if the submission has one."""
    reference = json.loads(submission.external.get("external_ref", "null"))
    if not isinstance(reference, str) or not 1 <= len(reference) <= MAX_REFERENCE:
        return {}
    return {"reference": {"S": reference_key(tenant, reference)}}


def reference_key(tenant: str, external_ref: str) -> str:
    """Return the `reference` of the generations with an external reference."""
    return f"{tenant}#{external_ref}"


def conversation_key(tenant: str, flow: str, conversation: str) -> str:
    """Return the `conversation` of a conversation's items."""
    return f"{tenant}#{flow}#{conversation}"


def read_end(item: Item) -> End:
    """Return the end of an ended generation's item."""
    return End(
        tenant=item["tenant"]["S"],
        id=item["id"]["S"],
        dialect=item["dialect"]["S"],
        flow=item["flow"]["S"],
        flow_version=int(item["flow_version"]["N"]),
        status=Status.stored(item["status"]["S"]),
        reason=_reason(item),
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
    """Return a generation's slot under its tenant's limits, None without limits."""
    return item["slot"]["S"] if "slot" in item else None


def results_of(item: Item) -> list[Item]:
    """Return the results of finished steps, in order."""
    names = (f"step_{number}" for number in count(1))
    return [item[name]["M"] for name in takewhile(item.__contains__, names)]


def tokens_of(item: Item) -> tuple[int, int]:
    """Return the tokens of an ended generation.

    Where it has none itself, they are those of its steps, and of its answers that failed.
    """
    counted = [item] if "tokens_in" in item else results_of(item)
    before = (0, 0) if "tokens_in" in item else _spent(item)
    tokens_in, tokens_out = (
        spent + sum(int(each[name]["N"]) for each in counted)
        for name, spent in zip(("tokens_in", "tokens_out"), before, strict=True)
    )
    return tokens_in, tokens_out


def _spent(item: Item) -> tuple[int, int]:
    """Return the tokens of the answers that failed in attempts that were requeued."""
    spent_in, spent_out = (
        int(item[name]["N"]) if name in item else 0 for name in ("spent_in", "spent_out")
    )
    return spent_in, spent_out


def _took(completion: Completion) -> dict[str, Value]:
    took: dict[str, Value] = {
        "model": {"S": completion.model} if completion.model else {"NULL": True},
        "stop_reason": {"S": completion.stop_reason},
        **tokens_attributes(completion),
    }
    if completion.output is not Output.STRING:
        took["output"] = {"S": completion.output}
    if completion.answers > 1:
        took["answer_count"] = {"N": str(completion.answers)}
    if completion.sources:
        sources = [asdict(source) for source in completion.sources]
        took["sources"] = {"S": json.dumps(sources, ensure_ascii=False)}
    return took


def answers_attribute(results: Sequence[Completion], last: Completion) -> dict[str, Value]:
    """Return the attribute with the tokens of each step: of the steps before, and the last.

    A number of answers above one comes last.
    """
    each = [
        [
            result.model[:MAX_MODEL_NAME],
            result.tokens_in,
            result.tokens_out,
            *([result.answers] if result.answers > 1 else []),
        ]
        for result in (*results, last)
        if result.model is not None
    ]
    return {"answers": {"S": json.dumps(each, ensure_ascii=False)}} if each else {}


def end_hour(generation_id: str, moment: "datetime") -> Value:
    """Return the `ended_in` of a generation's end."""
    return {"S": end_shard(moment, zlib.crc32(generation_id.encode()) % END_SHARDS)}


def end_shard(hour: "datetime", shard: int) -> str:
    """Return the `ended_in` of a shard of an hour."""
    return f"{hour:%Y-%m-%dT%H}#{shard}"


def read_outcome(item: Item) -> Outcome:
    """Return the outcome of an entry of the index `by_end`."""
    tenant, _, flow = item["list_key"]["S"].partition("#")
    each = json.loads(item["answers"]["S"]) if "answers" in item else ()
    return Outcome(
        tenant=tenant,
        flow=flow,
        status=read_word(Status, item["status"]["S"]),  # a count by the word itself
        reason=_reason(item),
        answers=tuple(TokenUsage(*answer[:4]) for answer in each),
    )


def read_feedback(item: Item) -> Feedback | None:
    """Return the feedback of an item's generation; None without."""
    kind = read_word(FeedbackKind, item["feedback"]["S"]) if "feedback" in item else None
    note = item["feedback_note"]["S"] if "feedback_note" in item else None
    return None if kind is None and note is None else Feedback(kind, note)


def read_rated_end(item: Item) -> RatedEnd:
    """Return an ended generation's item as its feedback finds it."""
    return RatedEnd(
        id=item["id"]["S"],
        outcome=read_outcome(item),
        finished_at=time_of(item, "finished_at"),
        feedback=read_feedback(item),
    )


def read_dead_letter(item: Item) -> DeadLetter:
    """Return the dead letter of an entry of the index `by_dead_letter`."""
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
    """Return the attributes of a completion's tokens."""
    attributes: dict[str, Value] = {
        "tokens_in": {"N": str(completion.tokens_in)},
        "tokens_out": {"N": str(completion.tokens_out)},
    }
    return attributes | ({"estimated": {"BOOL": True}} if completion.estimated else {})


def read_due_key(item: Item) -> DueKey:
    """Return the key of an entry of the index `by_due`, or of an item on it."""
    return DueKey(int(float(item["due_at"]["N"])), item["pk"]["S"])


def read_stalled(item: Item) -> Stalled:
    """Return the stalled generation of an item with STALLED_ATTRIBUTES.

    Raises ValueError for a status of another version, which this one leaves alone, and KeyError or
    ValueError for an item that another version has laid out.
    """
    lease_until, next_at, finished_at = (
        time_of(item, name) if name in item else None
        for name in ("lease_until", "next_at", "finished_at")
    )
    return Stalled(
        tenant=item["tenant"]["S"],
        id=item["id"]["S"],
        status=Status(item["status"]["S"]),
        attempt=int(item["attempt"]["N"]),
        created_at=time_of(item, "created_at"),
        deadline_at=time_of(item, "deadline_at"),
        due_at=time_of(item, "due_at"),
        lease_until=lease_until,
        next_at=next_at,
        finished_at=finished_at,
        notify="notify" in item,
        setback=_setback(item),
    )


def object_sweep(sweep: ObjectSweep) -> Item:
    """Return the attributes of the progress of a sweep of objects."""
    return {
        "began_at": millis(sweep.began_at),
        "part": {"N": str(sweep.part)},
        "after": {"S": sweep.after},
        "finished": {"BOOL": sweep.finished},
    }


def read_object_sweep(item: Item) -> ObjectSweep:
    """Return the progress of a sweep of objects."""
    return ObjectSweep(
        began_at=time_of(item, "began_at"),
        part=int(item["part"]["N"]),
        after=item["after"]["S"],
        finished=item["finished"]["BOOL"],
    )


def is_there(item: Item | None) -> TypeGuard[Item]:
    """Return whether an item is a generation that is neither deleted nor expired."""
    if item is None or "deleted_at" in item:
        return False
    return int(item["expires_at"]["N"]) > clock.now().timestamp()


def partition_key(tenant: str, generation_id: str) -> str:
    """Return the `pk` of a generation's item."""
    return f"{tenant}#{generation_id}"
