"""The sample events, about things that are there, and the results that their functions owe.

An event of `events/` speaks of the tenant demo, and of a key, a generation and so on that do not
exist. A stack gets things of each kind in the state that each function wants, and the samples get
their ids. The result must be the success that openapi.yaml describes; a function without an
answer must have done its work.
"""

import base64
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator

from afterword import generations
from afterword.batches import Source, id_for_file
from afterword.generations import Submission, SubmissionOptions
from afterword.generations.items import partition_key
from afterword.generations.store import GenerationStore
from afterword.runtime.payloads import Payloads
from afterword.webhooks.deliveries import build_test_delivery
from afterword.webhooks.store import WebhookStore
from local.aws import session
from local.places import ROOT
from local.processes import LOOPBACK
from local.stack import Stack
from local.terminal import LocalError

EVENTS = ROOT / "events"
TENANT, FLOW, CLASSES = "demo", "mail-reply", "mail-classes"
API_KEY, KEY = "API_KEY", "AbCdEfGhIjKl"
GENERATION = "019a6f3e-7c00-7000-8000-000000000001"
WEBHOOK, DELIVERY = "wh_0123456789abcdefghij", "msg_019a6f3e-7c00-8000-8000-000000000001"
SESSION = "019a6f3e-7c00-7000-8000-000000000003"
EMBEDDED = "019a6f3e-7c00-7000-8000-000000000002"
CONTENT, FOLDER = "terms-1", "ebd2e5cc-2357-533f-8ef5-35a545f38c7a"
BUCKET, ETAG, VERSION = (
    "afterword-batches",
    "d41d8cd98f00b204e9800998ecf8427e",
    "096fKKXTRTtl3on89fVO.nfljtsv6qko",
)
FILE = "intake/demo/mails.jsonl"
LINE = b'{"flow": "mail-reply", "inputs": {"text": "When does my policy end?"}}\n    \n'
APP = (
    *("get_stack_app", "list_text_generations", "create_text_generation"),
    *("get_text_generation", "update_text_generation"),
)
"""The functions of GenAI Stack's API, whose keys are bound to a flow."""
CHATS = ("create_chat_session", "list_chat_sessions", "get_chat_session", "send_chat_message")
"""The functions of chats, whose keys are bound to a flow of the type chat."""
STATUSES = {"submit_generation": 202, "retry_generation": 202, "create_batch": 202} | {
    "get_flow_log": 200
}
"""The expected status where openapi.yaml has two successes."""
COUNTS: dict[str, set[str]] = {
    "count_usage": {"hours"},
    "sweep": {"sent"},
    "sweep_deliveries": set(),
    "sweep_objects": {"pages"},
}
"""The counts in the results of functions that run by the clock."""
FINISH_SECONDS = 60.0
POLL_SECONDS = 0.2

type Json = dict[str, Any]


class UnexpectedError(Exception):
    """A function did not do what it must; the message says what it did."""


@dataclass(frozen=True)
class Sample:
    """A sample event, and what tells whether its function did as it must."""

    name: str  # of its file
    folder: str  # of its function
    event: Json
    check: Callable[[Any], str]  # of the reply: says in a word what came, or raises UnexpectedError


class Receiver:
    """A server on loopback that takes webhooks."""

    def __init__(self) -> None:
        self.taken: list[str] = []  # their ids
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                receiver.taken.append(self.headers["webhook-id"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.port: int = self._server.server_address[1]

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve until the end."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class Samples:
    """The samples for one stack. `receiver` is what the functions call its address."""

    def __init__(self, stack: Stack, receiver: Receiver, address: str) -> None:
        (tenant,) = (each for each in stack.tenants if each["id"] == TENANT)
        self._key = tenant["api_key"]
        headers = {"Authorization": f"Bearer {self._key}"}
        self._api = httpx.Client(base_url=stack.url, headers=headers, timeout=30)
        self._receiver, self._address = receiver, address
        self._outputs = stack.outputs
        self._dynamodb = session().client("dynamodb", endpoint_url=stack.endpoint)
        self._events = session().client("events", endpoint_url=stack.endpoint)
        self._s3 = session().client("s3", endpoint_url=stack.endpoint)
        payloads = Payloads(lambda: self._s3, stack.outputs["Bucket"])
        self._store = GenerationStore(self._dynamodb, stack.outputs["GenerationsTable"], payloads)
        self._webhooks = WebhookStore(self._dynamodb, stack.outputs["WebhooksTable"])
        self._openapi: Json = yaml.safe_load((ROOT / "openapi.yaml").read_text())

    def prepared(self, folders: set[str]) -> list[Sample]:
        """Return all samples of these functions, after making what they are about.

        Raises LocalError when one of the functions has no sample, or a sample no function.
        """
        made = self._made()
        samples = []
        for path in sorted(EVENTS.glob("*.json")):
            owners = [each for each in folders if f"{path.stem}_".startswith(f"{each}_")]
            if not owners:
                raise LocalError(f"events/{path.name} is of no function")
            folder = max(owners, key=len)
            samples.append(self._sample(path.stem, folder, path.read_text(), made))
        if missing := folders - {sample.folder for sample in samples}:
            raise LocalError(f"no sample event: {', '.join(sorted(missing))}")
        return samples

    def _sample(
        self, name: str, folder: str, text: str, made: Mapping[str, Mapping[str, str]]
    ) -> Sample:
        for placeholder, value in {**made[""], **made.get(name, {})}.items():
            text = text.replace(placeholder, value)
        event: Json = json.loads(text)

        def http(reply: Any) -> str:  # noqa: ANN401 - any JSON may come
            return answered(self._openapi, folder, event["routeKey"], reply)

        def queue(reply: Any) -> str:  # noqa: ANN401
            if reply != {"batchItemFailures": []}:
                raise UnexpectedError(f"the reply is {json.dumps(reply)[:200]}")
            return self._done(name, made.get(name, {}))

        def clock(reply: Any) -> str:  # noqa: ANN401
            counts = isinstance(reply, dict) and all(type(n) is int for n in reply.values())
            if not counts or not reply.keys() >= COUNTS[folder]:
                raise UnexpectedError(f"the reply is {json.dumps(reply)[:200]}")
            return f"counts {json.dumps(reply)}"

        check = http if "routeKey" in event else queue if "Records" in event else clock
        return Sample(name, folder, event, check)

    # --- what they are about ---------------------------------------------------------------------

    def _made(self) -> dict[str, dict[str, str]]:
        """Make it; return values for placeholders by the sample's name, "" for the others."""
        for rule in self._events.list_rules()["Rules"]:
            if "ScheduleExpression" in rule:  # the sample of the sweeper needs stalled generations
                self._events.disable_rule(Name=rule["Name"])
        self._make_stalled(self._queued())
        finished = self._finished()
        app = self._post("/v1/keys", {"scopes": ["submit", "read"], "flow": FLOW})
        hook = self._webhook()
        content = self._content()
        (folder,) = (
            each["id"]
            for each in self._get("/v1/content/folders")["results"]["folders"]
            if each["name"] == "Terms"
        )
        replayed = self._webhook()
        again = self._post(f"/v1/webhooks/{replayed}/test")["id"]
        fresh = self._webhook()
        test = build_test_delivery(self._webhooks.get_endpoint(TENANT, fresh))
        self._webhooks.add(test)
        canceled, ended = self._queued(), self._queued()
        for generation in (canceled, ended):  # and nobody is told of that
            self._store.cancel(TENANT, generation)
        everywhere = {
            API_KEY: self._key,
            GENERATION: finished,
            WEBHOOK: hook,
            CONTENT: content,
            FOLDER: folder,
        }
        return {
            "": everywhere,
            **{name: {API_KEY: app["key"]} for name in APP},
            **dict.fromkeys(CHATS, self._chat()),
            "get_batch": {GENERATION: self._batch()},
            "get_answer": {GENERATION: self._answer()},
            "get_mail_classification": {GENERATION: self._classified()},
            "give_feedback": {GENERATION: self._answer()},
            "cancel_generation": {GENERATION: self._queued()},
            "retry_generation": {GENERATION: canceled},
            "delete_generation": {GENERATION: self._finished()},
            "generate": {GENERATION: self._queued()},
            "dead_letter": {GENERATION: self._queued()},
            "delete_content": {CONTENT: self._content()},
            "remove_content": {CONTENT: self._content()},
            "embed": {EMBEDDED: self._content()},
            "delete_webhook": {WEBHOOK: self._webhook()},
            "rotate_webhook": {WEBHOOK: self._webhook()},
            "replay_delivery": {WEBHOOK: replayed, DELIVERY: again},
            "send_webhook": {WEBHOOK: fresh, DELIVERY: test.id},
            "revoke_key": {KEY: self._post("/v1/keys", {"scopes": ["read"]})["id"]},
            "intake": {},
            "intake_s3": self._file(),
            "deliver": {GENERATION: ended, WEBHOOK: self._webhook()},
        }

    def _finished(self) -> str:
        """Return a generation that has succeeded."""
        sent = {"flow": FLOW, "inputs": {"text": "When does my policy end?"}}
        generation: str = self._post("/v1/generations", sent)["id"]
        self._until_succeeded(generation)
        return generation

    def _queued(self) -> str:
        """Return a generation that is queued, and that the stack's worker was not told of."""
        generation = generations.new_id()
        inputs = {"text": "When does my policy end?"}
        submission = Submission(
            dialect="native", flow=FLOW, inputs=inputs, template=None, external={}
        )
        options = SubmissionOptions(flow_version=1, retention=timedelta(days=1), notify=True)
        self._store.put(TENANT, generation, submission, options)
        return generation

    def _make_stalled(self, generation: str) -> None:
        """Let the sweeper find a generation."""
        self._dynamodb.update_item(
            TableName=self._outputs["GenerationsTable"],
            Key={"pk": {"S": partition_key(TENANT, generation)}},
            UpdateExpression="SET due_at = :now",
            ExpressionAttributeValues={":now": {"N": "0"}},
        )

    def _answer(self) -> str:
        """Return a question that has been answered."""
        headers = {"x-api-key": self._key, "x-website-id": FLOW}
        sent = {"query": "When?", "sessionId": "session-1", "visitorId": "visitor-1"}
        question: str = self._post("/api/v1/ai/async/query", sent, headers)["questionId"]
        self._until_succeeded(question)
        return question

    def _classified(self) -> str:
        """Return a classification that has ended."""
        path = f"/api/companies/{TENANT}/orchestrators/{CLASSES}/classification-async"
        sent = {"mail": {"subject": "Claim", "body": "When is it paid?"}}
        process: str = self._post(path, sent)["process_cuid"]
        self._until_succeeded(process)
        return process

    def _chat(self) -> dict[str, str]:
        """Make a chat with a session; return its key and its session."""
        step = {"name": "answer", "instructions": "Answer the question.", "max_tokens": 300}
        _read(self._api.put("/v1/flows/chat", json={"name": "C", "type": "chat", "steps": [step]}))
        key = self._post("/v1/keys", {"scopes": ["submit", "read"], "flow": "chat"})["key"]
        headers = {"Authorization": f"Bearer {key}"}
        return {API_KEY: key, SESSION: self._post("/api/v1/chat_sessions", {}, headers)["id"]}

    def _batch(self) -> str:
        answer = self._api.post(
            "/v1/batches", content=LINE, headers={"content-type": "application/jsonl"}
        )
        return str(_read(answer)["id"])

    def _content(self) -> str:
        """Return a content of the knowledge base."""
        sent = {"name": "Terms", "folder": "Terms", "text": "Text."}
        return str(self._post("/v1/content", sent)["results"]["id"])

    def _webhook(self) -> str:
        """Return a webhook endpoint whose address takes everything."""
        sent = {"url": f"http://{self._address}/", "events": ["generation.finished"]}
        return str(self._post("/v1/webhooks", sent)["id"])

    def _file(self) -> dict[str, str]:
        """Put a file into the bucket of batches, of which the stack itself is not told."""
        bucket = self._outputs["BatchBucket"]
        self._s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
        there = self._s3.put_object(Bucket=bucket, Key=FILE, Body=LINE)
        return {BUCKET: bucket, ETAG: there["ETag"].strip('"'), VERSION: there["VersionId"]}

    # --- what must have come of them -------------------------------------------------------------

    def _done(self, name: str, made: Mapping[str, str]) -> str:  # noqa: PLR0911 - one a function
        """Check what a function has done that answers nobody."""
        match name:
            case "generate":
                return self._is(made[GENERATION], "succeeded", None)
            case "dead_letter":
                return self._is(made[GENERATION], "failed", "dead_letter")
            case "intake":
                event = json.loads(
                    json.loads((EVENTS / "intake.json").read_text())["Records"][0]["body"]
                )
                generation = generations.id_for_key(TENANT, f"event {event['id']}")
                self._until_succeeded(generation)
                return "submitted"
            case "intake_s3":
                source = Source(
                    key=FILE, version=made[VERSION], etag=f'"{made[ETAG]}"', size=len(LINE)
                )
                self._get(f"/v1/batches/{id_for_file(made[BUCKET], source)}")
                return "batch started"
            case "send_webhook":
                if made[DELIVERY] not in self._receiver.taken:
                    raise UnexpectedError("the webhook did not come")
                return "sent"
            case "deliver":
                log = self._get(f"/v1/webhooks/{made[WEBHOOK]}/deliveries")
                if made[GENERATION] not in json.dumps(log):
                    raise UnexpectedError("no webhook was begun")
                return "delivered"
            case "embed":
                return "embedded"  # as its reply says: no API shows the vectors of a content
            case _:
                raise UnexpectedError(f"nothing says what {name} must have done")

    def _is(self, generation: str, status: str, reason: str | None) -> str:
        found = self._get(f"/v1/generations/{generation}")
        if found["status"] != status:
            raise UnexpectedError(f"the generation is {found['status']}: {json.dumps(found)[:200]}")
        if reason and reason not in json.dumps(found):
            raise UnexpectedError(f"the reason is not {reason}: {json.dumps(found)[:200]}")
        return status

    def _until_succeeded(self, generation: str) -> None:
        deadline = time.monotonic() + FINISH_SECONDS
        while (found := self._get(f"/v1/generations/{generation}"))["status"] != "succeeded":
            if found["status"] in ("failed", "canceled") or time.monotonic() > deadline:
                raise UnexpectedError(f"the generation is {found['status']}")
            time.sleep(POLL_SECONDS)

    def _get(self, path: str) -> Json:
        return _read(self._api.get(path))

    def _post(
        self, path: str, sent: object = None, headers: Mapping[str, str] | None = None
    ) -> Json:
        return _read(self._api.post(path, json=sent, headers=headers))


def answered(openapi: Json, folder: str, route: str, reply: Any) -> str:  # noqa: ANN401 - any JSON
    """Return the status of an HTTP reply, which must be a success as openapi.yaml has it.

    Raises UnexpectedError with what is wrong.
    """
    if route == "$default":
        return refused(reply)
    method, _, path = route.partition(" ")
    answers = openapi["paths"][path][method.lower()]["responses"]
    successes = [int(status) for status in answers if status.startswith("2")]
    status = STATUSES[folder] if len(successes) > 1 else successes[0]
    if not isinstance(reply, dict) or reply.get("statusCode") != status:
        raise UnexpectedError(f"not {status}: {json.dumps(reply)[:300]}")
    described = answers[str(status)].get("content", {})
    body = _body(reply)
    if not described:
        if body:
            raise UnexpectedError(f"{status} has a body: {body[:200]!r}")
        return str(status)
    kind = reply["headers"]["content-type"]
    if kind not in described:
        raise UnexpectedError(f"the content type is {kind}")
    if kind == "application/json" and (schema := described[kind].get("schema")):
        whole = {**schema, "components": openapi["components"]}
        for error in Draft202012Validator(whole).iter_errors(json.loads(body)):
            raise UnexpectedError(f"{error.json_path}: {error.message[:200]}")
    if not body:
        raise UnexpectedError("the body is empty")
    return str(status)


def refused(reply: Any) -> str:  # noqa: ANN401 - any JSON
    """Return the status of a reply of the default route, which must be 404 as a problem."""
    if not isinstance(reply, dict) or reply.get("statusCode") != HTTPStatus.NOT_FOUND:
        raise UnexpectedError(f"not 404: {json.dumps(reply)[:300]}")
    if json.loads(_body(reply)).get("status") != HTTPStatus.NOT_FOUND:
        raise UnexpectedError("the body is no problem")
    return "404"


def _body(reply: Json) -> bytes:
    """Return the body of a function's HTTP reply as a client would see it."""
    body = str(reply.get("body") or "").encode()
    if reply.get("isBase64Encoded"):
        body = base64.b64decode(body)
    coding = reply["headers"].get("content-encoding", "identity")
    return gzip.decompress(body) if coding == "gzip" else body


def _read(answer: httpx.Response) -> Json:
    """Return the JSON of a success; raise UnexpectedError for anything else."""
    if not answer.is_success:
        path = answer.request.url.path
        raise UnexpectedError(f"{answer.request.method} {path}: {answer.status_code} {answer.text}")
    found: Json = answer.json()
    return found
