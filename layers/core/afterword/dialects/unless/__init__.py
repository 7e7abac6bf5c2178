"""Unless' AI: a question of a conversation, and its answer with its sources.

`POST /api/v1/ai/async/query` and `GET /api/v1/ai/async/answer?questionId=` are here, the realtime
query and feedback in modules of their own. An account is a tenant,
a website (workspace) a flow, a session a conversation. The service publishes neither its errors nor
the meaning of `isPublic`. Here errors are `{"error": "…"}` like the `error` of an answer, with 400
for each fault of a request; `isPublic` means that a source has an address on the web.
"""

import json
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from http import HTTPStatus
from itertools import chain, islice
from typing import TYPE_CHECKING, Literal

from afterword import clock
from afterword.errors import (
    AfterwordError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    UnprocessableError,
)
from afterword.flows import inputs
from afterword.flows.inputs import Input, Kind
from afterword.generations import (
    EarlierTurn,
    Generation,
    Source,
    Status,
    Submission,
)
from afterword.generations.details import GenerationDetail
from afterword.handlers import failures, http, paging
from afterword.handlers.body_keys import API_KEY, check_body_keys, find_body_key
from afterword.handlers.http import STATUSES, KeyPlace, Request, Response
from afterword.runtime import json_text
from afterword.runtime.json_text import JsonText, render, render_array
from afterword.tenants import StoredFlow
from afterword.tenants.keys import ApiKey
from afterword.tenants.registry import Registry

if TYPE_CHECKING:
    from afterword.dialects.unless.languages import Languages
    from afterword.dialects.unless.responses import (
        AnswerSource,
        AsyncAnswer,
        AsyncQueryAccepted,
        ChatData,
        Turn,
        UnlessError,
    )

NAME = "unless"
PATHS: Sequence[str] = ("/api/v1/ai",)
"""The beginnings of the paths that are this API's."""
KEY_PLACES: Sequence[KeyPlace] = (KeyPlace.X_API_KEY, KeyPlace.BEARER)
MAX_QUERY = 10_000
MAX_NAME = 255
"""Characters of an id, and of a conversation's name."""
MAX_METADATA_BYTES = 1_000_000
"""Metadata stand beside the answer in one response of Lambda, 6 MB."""
MAX_HISTORY_BYTES = 3_500_000
"""The bytes of the turns beside the metadata, whose bytes may double in the response."""
_BODY_NAMES = {"accountId": "x-account-id", "websiteId": "x-website-id"}
"""The members of a body that stand for a header."""
_KEPT = ("segmentId", "conversationName", "audienceId")
CONVERSATION = "async-"
"""The beginning of a `conversationId`; the id of its newest question follows."""
_TURNS = uuid.UUID("5f0d5f6e-52ce-4b64-8f5c-0c6b4f3b9a70")
_FOREIGN_KEY = "The API key is not for this account and website."
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}")
_STATUSES: Mapping[Status, Literal["PENDING", "PROCESSING", "DONE", "ERROR"]] = {
    Status.QUEUED: "PENDING",
    Status.RUNNING: "PROCESSING",
    Status.SUCCEEDED: "DONE",
    Status.FAILED: "ERROR",
    Status.CANCELED: "ERROR",
}


def read_api_key(request: Request) -> str | None:
    """Return the key of a header, else of the body's `apiKey`, which `check_key` then checks.

    Raises UnauthenticatedError for two headers whose keys differ.
    """
    return http.read_header_key(request, KEY_PLACES) or find_body_key(request.body)


def check_key(request: Request, values: Mapping[str, object]) -> None:
    """Raise UnauthenticatedError unless the body's `apiKey` is the request's one key, or absent."""
    needed = http.read_header_key(request, KEY_PLACES) is None
    check_body_keys([values.get(API_KEY)], read_api_key(request), needed=needed)


def read_body_names(request: Request, values: Mapping[str, object]) -> Request:
    """Return the request with the body's `accountId` and `websiteId` as its headers.

    Raises InvalidRequestError for a name that differs from its header, and like `check_key`.
    """
    check_key(request, values)
    headers = dict(request.headers)
    for name, header in _BODY_NAMES.items():
        text = _parse_optional(values, name)
        if text is not None and headers.setdefault(header, text) != text:
            raise InvalidRequestError(f"{name}: must be the same as the header {header}.")
    return replace(request, headers=headers)


def require_flow(request: Request, key: ApiKey, registry: Registry) -> StoredFlow:
    """Return the flow of a question: the website's, the key's, else the only chat.

    Raises like `require_website`, and InvalidRequestError for several chats, or none.
    """
    named = _read_website(request, key)
    if named is not None:
        return _require_own_flow(registry, key, named)
    flows = registry.list_flows(key.tenant)
    chats = (flow for flow in flows if json.loads(flow.document).get("type") == "chat")
    found = list(islice(chats, 2))  # a second chat is enough to refuse, wherever further ones are
    if len(found) != 1:
        there = "several flows" if found else "no flow"
        raise InvalidRequestError(
            f"x-website-id: must be sent, as the account has {there} of the type chat."
        )
    return found[0]


def require_website(request: Request, key: ApiKey, registry: Registry) -> str | None:
    """Return the flow of a request, the website's, else the key's; None for neither.

    Raises ForbiddenError unless the account and the website are the key's own; an absent website
    gets the same error as a foreign one. Raises InvalidRequestError for a malformed address.
    """
    named = _read_website(request, key)
    if named is not None and key.flow is None:
        _require_own_flow(registry, key, named)
    return named


def parse_submission(request: Request, flow: StoredFlow) -> Submission:
    """Parse a question; raise like `parse_question` and `check_key`."""
    sent = json_text.parse_object(request.body)
    check_key(request, sent.values)
    return parse_question(sent, request, flow)


def parse_question(
    sent: json_text.JsonObject,
    request: Request,
    flow: StoredFlow,
    earlier: tuple[EarlierTurn, ...] | None = None,
) -> Submission:
    """Parse a body's question; raise InvalidRequestError, or UnprocessableError naming an input.

    The question is the flow's first input of text. The flow's other inputs follow with their
    defaults. `metadata` keeps its text to the letter. `earlier` are turns that were sent with it.
    """
    declared = inputs.declared_inputs(flow.document)
    question = _select_question(declared)
    query = _parse_query(sent.values, question)
    session = _parse_required(sent.values, "sessionId")
    names = {"visitorId": _parse_required(sent.values, "visitorId")}
    names |= {
        name: text for name in _KEPT if (text := _parse_optional(sent.values, name)) is not None
    }
    external = {name: json.dumps(text) for name, text in names.items()}
    metadata = _parse_metadata(sent)
    if metadata is not None:
        external["metadata"] = metadata
    values, _ = inputs.check_inputs(declared, [(question.name, query)])
    return Submission(
        dialect=NAME,
        flow=flow.id,
        inputs={question.name: query, **values},
        template=None,
        external=external,
        deadline=http.read_deadline(request),
        conversation=session,
        earlier=earlier,
    )


def parse_question_id(request: Request) -> str:
    """Return the query's question id."""
    question_id = request.query.get("questionId")
    if not question_id:
        raise InvalidRequestError("questionId: must be present.")
    return question_id


def require_access(listed: GenerationDetail, flow: str | None) -> GenerationDetail:
    """Return a question to the flow, or to any for None; raise NotFoundError for another flow's."""
    http.require_access(listed.generation.flow, flow)
    return listed


def render_accepted(generation_id: str) -> Response:
    """Return the answer to a submission."""
    accepted: AsyncQueryAccepted = {"questionId": generation_id}
    return Response(status=HTTPStatus.OK, body=render(accepted))


def render_unanswered(generation: Generation) -> Response:
    """Return the state of a question without an answer, and the reason if there will be none."""
    status = _STATUSES[Status.FAILED if generation.has_lost_result else generation.status]
    body: AsyncAnswer = {"questionId": generation.id, "status": status}
    problem = failures.explain(generation, "question")
    if problem is not None:
        body["error"] = problem
    return Response(status=HTTPStatus.OK, body=render(body))


def render_answered(listed: GenerationDetail, earlier: Sequence[GenerationDetail]) -> Response:
    """Return an answer, with the conversation up to it. `earlier` may have the question itself.

    Of a long conversation the response leaves out the oldest turns, and of all earlier questions
    those with a text that is gone from storage.
    """
    generation = listed.generation
    body: AsyncAnswer = {
        "questionId": generation.id,
        "status": _STATUSES[generation.status],
        "chatData": build_chat(listed, earlier),
    }
    return Response(status=HTTPStatus.OK, body=render(body))


def build_chat(
    listed: GenerationDetail,
    earlier: Sequence[GenerationDetail],
    sent: Sequence[JsonText] = (),
    show: Callable[[str], str] = str,
) -> "ChatData":
    """Return the conversation up to an answer like `render_answered`; `sent` turns come first.

    `show` makes a message of a text.
    """
    generation = listed.generation
    questions = [
        each for each in earlier if each.generation.id != generation.id and not each.generation.gone
    ]
    turns = [turn for each in (*questions, listed) for turn in _build_turns(each, show)]
    texts = chain((render(turn) for turn in reversed(turns)), reversed(sent))
    newest = paging.fit(texts, MAX_HISTORY_BYTES, least=0)
    return {
        "history": render_array(reversed(newest)),
        "metadata": JsonText(generation.external.get("metadata", "{}")),
        "toolsetName": None,
        "personalizationId": "",
        "sessionId": listed.conversation or "",
        "conversationName": JsonText(generation.external.get("conversationName", "null")),
        "conversationId": make_conversation_id(generation.id),
    }


def render_error(error: AfterwordError) -> Response:
    """Return an error as `{"error": "…"}`, one sentence.

    An input that does not fit is 400 like any other field: the flow's inputs are no part of this
    API, so its clients could not tell the difference.
    """
    unfit = isinstance(error, UnprocessableError)
    status = HTTPStatus.BAD_REQUEST if unfit else STATUSES[type(error)]
    body: UnlessError = {"error": str(error)}
    return Response(status=status, body=render(body))


def make_conversation_id(question_id: str) -> str:
    """Return the `conversationId` of the chat data up to a question."""
    return f"{CONVERSATION}{question_id}"


def make_turn_id(question_id: str, sender: str) -> str:
    """Return the `uuid` of a question's turn, or of its answer's."""
    return str(uuid.uuid5(_TURNS, f"{question_id}#{sender}"))


@cache
def _languages() -> "Languages":
    """Return the detector of languages, whose model loads with the first answer."""
    from afterword.dialects.unless.languages import Languages  # noqa: PLC0415 - no cold start pays

    return Languages()


def _read_website(request: Request, key: ApiKey) -> str | None:
    email = request.headers.get("x-user-email")
    if email is not None and not _EMAIL.fullmatch(email):
        raise InvalidRequestError("x-user-email: must be an e-mail address.")
    if request.headers.get("x-account-id", key.tenant) != key.tenant:
        raise ForbiddenError(_FOREIGN_KEY)
    named = request.headers.get("x-website-id", key.flow)
    if key.flow not in {None, named}:
        raise ForbiddenError(_FOREIGN_KEY)
    return named


def _require_own_flow(registry: Registry, key: ApiKey, flow: str) -> StoredFlow:
    try:
        return registry.find_flow(key.tenant, flow)
    except NotFoundError as error:
        raise ForbiddenError(_FOREIGN_KEY) from error


def _select_question(declared: Sequence[Input]) -> Input:
    """Return the input of the question, the first one of text."""
    for each in declared:
        if each.kind in {Kind.TEXT, Kind.LONG_TEXT}:
            return each
    raise InvalidRequestError("query: must go to a website whose flow has an input of text.")


def _parse_query(values: Mapping[str, object], question: Input) -> str:
    query = values.get("query")
    if query is None:
        raise InvalidRequestError("query: must be present.")
    if not isinstance(query, str):
        raise InvalidRequestError("query: must be a string.")
    if not query.strip():
        raise InvalidRequestError("query: must not be blank.")
    most = min(MAX_QUERY, question.max_length or MAX_QUERY)
    if len(query) > most:
        raise InvalidRequestError(f"query: must be at most {most} characters, not {len(query)}.")
    return query


def _parse_required(values: Mapping[str, object], name: str) -> str:
    if values.get(name) is None:
        raise InvalidRequestError(f"{name}: must be present.")
    return _parse_text(values[name], name, least=1)


def _parse_optional(values: Mapping[str, object], name: str) -> str | None:
    return None if values.get(name) is None else _parse_text(values[name], name, least=0)


def _parse_text(value: object, name: str, *, least: int) -> str:
    if not isinstance(value, str) or not least <= len(value) <= MAX_NAME:
        raise InvalidRequestError(f"{name}: must be a string of {least} to {MAX_NAME} characters.")
    return value


def _parse_metadata(sent: json_text.JsonObject) -> str | None:
    """Return the metadata's text; None without metadata."""
    metadata = sent.values.get("metadata")
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise InvalidRequestError("metadata: must be a JSON object.")
    text = sent.texts["metadata"]
    if len(text.encode()) > MAX_METADATA_BYTES:
        raise InvalidRequestError(f"metadata: must be at most {MAX_METADATA_BYTES} bytes.")
    return text


def _build_turns(listed: GenerationDetail, show: Callable[[str], str]) -> "list[Turn]":
    """Return the turn of a question, and the turn of its answer if there is one."""
    generation = listed.generation
    question = _join_question(listed)
    turns: list[Turn] = [
        {
            "type": "message",
            "timestamp": clock.to_millis(generation.created_at),
            "uuid": make_turn_id(generation.id, "user"),
            "hidden": False,
            "sender": "user",
            "message": show(question),
            "metadata": [],
            "languageCode": _languages().detect(question),
            "showMetadata": False,
            "canGetFeedback": False,
            "feedback": "",
        }
    ]
    completion, given = generation.completion, generation.feedback
    if completion is not None and generation.finished_at is not None:
        turns.append(
            {
                "type": "message",
                "timestamp": clock.to_millis(generation.finished_at),
                "uuid": make_turn_id(generation.id, "bot"),
                "hidden": False,
                "sender": "bot",
                "canGetFeedback": True,
                "message": show(completion.text),
                "metadata": [_build_source(generation.tenant, each) for each in completion.sources],
                "languageCode": _languages().detect(completion.text),
                "showMetadata": False,
                "feedback": "" if given is None else given.kind or "",
            }
        )
    return turns


def _join_question(listed: GenerationDetail) -> str:
    """Return the question: the first input; all inputs of another API's generation."""
    texts = [text if isinstance(text, str) else "\n".join(text) for text in listed.inputs.values()]
    return "\n".join(texts[:1] if listed.generation.dialect == NAME else texts)


def _build_source(tenant: str, source: Source) -> "AnswerSource":
    """Return a source. Its `stableId` stays while its owner keeps the external id."""
    known = f"id#{source.content}" if source.external_id is None else f"as#{source.external_id}"
    return {
        "title": source.title,
        "isPublic": (source.source or "").lower().startswith(("http://", "https://")),
        "isUsedForAnswer": source.used,
        "source": source.source or "",
        "documentId": source.content,
        "stableId": uuid.uuid5(_TURNS, f"{tenant}#{known}").hex,
        "trainingDataId": source.folder,
    }
