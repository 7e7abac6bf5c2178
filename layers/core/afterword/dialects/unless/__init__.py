"""Unless' asynchronous AI query: a question of a conversation, and its answer with its sources.

`POST /api/v1/ai/async/query` and `GET /api/v1/ai/async/answer?questionId=`. An account is a tenant,
a website (workspace) a flow, a session a conversation. Not public, and so ours: errors, which are
`{"error": "…"}` like the `error` of an answer, with 400 for whatever is wrong with a request, and
what `isPublic` says: that a source has an address on the web.
"""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

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
from afterword.generations import Generation, Source, Status, Submission
from afterword.generations.details import GenerationDetail
from afterword.handlers import http
from afterword.handlers.http import STATUSES, Request, Response, bearer_token
from afterword.runtime import json_text
from afterword.tenants.keys import ApiKey
from afterword.tenants.registry import Registry, StoredFlow

if TYPE_CHECKING:
    from afterword.dialects.unless.languages import Languages

NAME = "unless"
MAX_QUERY = 10_000
MAX_NAME = 255
"""Characters of an id, and of a conversation's name."""
MAX_METADATA_BYTES = 1_000_000
"""What is handed back has to fit into one response of Lambda, 6 MB, beside the answer."""
MAX_HISTORY_BYTES = 3_500_000
"""Of the turns: as many as fit beside the metadata, whose bytes may double in the response."""
_KEPT = ("segmentId", "conversationName", "audienceId")
_TURNS = uuid.UUID("5f0d5f6e-52ce-4b64-8f5c-0c6b4f3b9a70")
_NOT_THEIRS = "The API key is not for this account and website."
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}")
_STATUSES: Mapping[Status, str] = {
    Status.QUEUED: "PENDING",
    Status.RUNNING: "PROCESSING",
    Status.SUCCEEDED: "DONE",
    Status.FAILED: "ERROR",
    Status.CANCELED: "ERROR",
}

type Json = dict[str, object]


def api_key(request: Request) -> str | None:
    """Return the key of `x-api-key`, else of `Authorization: Bearer`."""
    return request.headers.get("x-api-key") or bearer_token(request)


def flow(request: Request, key: ApiKey, registry: Registry) -> StoredFlow:
    """Return the flow that a question is for: the website's, the key's, else the only chat.

    Raises like `website`, and InvalidRequestError if there are several chats, or none.
    """
    named = _website(request, key)
    if named is not None:
        return _theirs(registry, key, named)
    chats = [
        flow
        for flow in registry.list_flows(key.tenant)
        if json.loads(flow.document).get("type") == "chat"
    ]
    if len(chats) != 1:
        raise InvalidRequestError(
            f"x-website-id: it is needed, as the account has {len(chats)} flows of the type chat."
        )
    return chats[0]


def website(request: Request, key: ApiKey, registry: Registry) -> str | None:
    """Return the flow that a request is for, the website's, else the key's; None for neither.

    Raises ForbiddenError, the same one for what is absent and what is somebody else's, unless the
    account and the website are the key's own, and InvalidRequestError for an address that is none.
    """
    named = _website(request, key)
    if named is not None and key.flow is None:
        _theirs(registry, key, named)
    return named


def submission(request: Request, flow: StoredFlow) -> Submission:
    """Parse a question; raise InvalidRequestError, or UnprocessableError naming an input.

    The question is the first text that the flow asks for, and stands before its other inputs,
    which have their defaults. `metadata` is kept as the text that was sent.
    """
    sent = json_text.parse_object(request.body)
    declared = inputs.declared_inputs(flow.document)
    asked = _question(declared)
    query = _query(sent.values, asked)
    session = _required(sent.values, "sessionId")
    names = {"visitorId": _required(sent.values, "visitorId")}
    names |= {name: text for name in _KEPT if (text := _optional(sent.values, name)) is not None}
    external = {name: json.dumps(text) for name, text in names.items()}
    metadata = _metadata(sent)
    if metadata is not None:
        external["metadata"] = metadata
    values, _ = inputs.check_inputs(declared, [(asked.name, query)])
    return Submission(
        dialect=NAME,
        flow=flow.id,
        inputs={asked.name: query, **values},
        template=None,
        external=external,
        deadline=http.deadline(request),
        conversation=session,
    )


def question_id(request: Request) -> str:
    """Return the id of the question that is asked for."""
    found = request.query.get("questionId")
    if not found:
        raise InvalidRequestError("questionId: it is missing.")
    return found


def owned(listed: GenerationDetail, flow: str | None) -> GenerationDetail:
    """Return a question to the flow, if one is given; raise NotFoundError if it is another's."""
    if flow not in {None, listed.generation.flow}:
        raise NotFoundError("There is no such generation.")
    return listed


def accepted(generation_id: str) -> Response:
    """Return what a submission answers."""
    return Response(status=HTTPStatus.OK, body=json.dumps({"questionId": generation_id}))


def unanswered(generation: Generation) -> Response:
    """Return where a question stands that has no answer, and why there will be none."""
    body = {"questionId": generation.id, "status": _STATUSES[generation.status]}
    if generation.status is Status.CANCELED:
        body["error"] = "It was canceled."
    elif generation.status is Status.FAILED:
        body["error"] = f"{generation.reason}: {generation.message}"
    return Response(status=HTTPStatus.OK, body=_json(body))


def answered(
    listed: GenerationDetail, earlier: Sequence[GenerationDetail], languages: "Languages"
) -> Response:
    """Return an answer, with the conversation up to it. `earlier` may have the question itself.

    Of a long conversation the oldest turns are left out, so that it fits into a response.
    """
    generation = listed.generation
    questions = [each for each in earlier if each.generation.id != generation.id]
    history = _fitting([turn for each in (*questions, listed) for turn in _turns(each, languages)])
    chat = json_text.render_object(
        {
            "history": f"[{', '.join(history)}]",
            "metadata": generation.external.get("metadata", "{}"),
            "toolsetName": "null",
            "personalizationId": '""',
            "sessionId": _json(listed.conversation or ""),
            "conversationName": generation.external.get("conversationName", "null"),
            "conversationId": _json(f"async-{generation.id}"),
        }
    )
    body = json_text.render_object(
        {
            "questionId": _json(generation.id),
            "status": _json(_STATUSES[generation.status]),
            "chatData": chat,
        }
    )
    return Response(status=HTTPStatus.OK, body=body)


def error(error: AfterwordError) -> Response:
    """Return an error as `{"error": "…"}`, one sentence.

    An input that does not fit is 400 like any other field: the flow's inputs are no part of this
    API, so that its clients could not tell the difference.
    """
    unfit = isinstance(error, UnprocessableError)
    status = HTTPStatus.BAD_REQUEST if unfit else STATUSES[type(error)]
    return Response(status=status, body=_json({"error": str(error)}))


def _website(request: Request, key: ApiKey) -> str | None:
    email = request.headers.get("x-user-email")
    if email is not None and not _EMAIL.fullmatch(email):
        raise InvalidRequestError("x-user-email: it is not an e-mail address.")
    if request.headers.get("x-account-id", key.tenant) != key.tenant:
        raise ForbiddenError(_NOT_THEIRS)
    named = request.headers.get("x-website-id", key.flow)
    if key.flow not in {None, named}:
        raise ForbiddenError(_NOT_THEIRS)
    return named


def _theirs(registry: Registry, key: ApiKey, flow: str) -> StoredFlow:
    try:
        return registry.get_flow(key.tenant, flow)
    except NotFoundError as error:
        raise ForbiddenError(_NOT_THEIRS) from error


def _json(value: object) -> str:
    """Return JSON with its characters as they are: escaped, they may take three times the room."""
    return json.dumps(value, ensure_ascii=False)


def _question(declared: Sequence[Input]) -> Input:
    """Return the input that the question is for."""
    for each in declared:
        if each.kind in {Kind.TEXT, Kind.LONG_TEXT}:
            return each
    raise InvalidRequestError("query: the website's flow asks for no text.")


def _query(values: Mapping[str, object], asked: Input) -> str:
    query = values.get("query")
    if query is None:
        raise InvalidRequestError("query: it is missing.")
    if not isinstance(query, str):
        raise InvalidRequestError("query: it must be a string.")
    if not query.strip():
        raise InvalidRequestError("query: it is empty.")
    most = min(MAX_QUERY, asked.max_length or MAX_QUERY)
    if len(query) > most:
        raise InvalidRequestError(
            f"query: it has {len(query)} characters; at most {most} are taken."
        )
    return query


def _required(values: Mapping[str, object], name: str) -> str:
    if values.get(name) is None:
        raise InvalidRequestError(f"{name}: it is missing.")
    return _text(values[name], name, least=1)


def _optional(values: Mapping[str, object], name: str) -> str | None:
    return None if values.get(name) is None else _text(values[name], name, least=0)


def _text(value: object, name: str, *, least: int) -> str:
    if not isinstance(value, str) or not least <= len(value) <= MAX_NAME:
        raise InvalidRequestError(
            f"{name}: it must be a string of {least} to {MAX_NAME} characters."
        )
    return value


def _metadata(sent: json_text.JsonObject) -> str | None:
    """Return the metadata's text; None if there are none."""
    metadata = sent.values.get("metadata")
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise InvalidRequestError("metadata: it must be a JSON object.")
    text = sent.texts["metadata"]
    if len(text.encode()) > MAX_METADATA_BYTES:
        raise InvalidRequestError(f"metadata: it has more than {MAX_METADATA_BYTES} bytes.")
    return text


def _turns(listed: GenerationDetail, languages: "Languages") -> list[Json]:
    """Return the turn of a question, and that of its answer if it has one."""
    generation = listed.generation
    asked = _asked(listed)
    turns: list[Json] = [
        {
            "type": "message",
            "timestamp": clock.to_millis(generation.created_at),
            "uuid": _uuid(generation, "user"),
            "hidden": False,
            "sender": "user",
            "message": asked,
            "metadata": [],
            "languageCode": languages.detect(asked),
            "showMetadata": False,
            "canGetFeedback": False,
            "feedback": "",
        }
    ]
    completion = generation.completion
    if completion is not None and generation.finished_at is not None:
        turns.append(
            {
                "type": "message",
                "timestamp": clock.to_millis(generation.finished_at),
                "uuid": _uuid(generation, "bot"),
                "hidden": False,
                "sender": "bot",
                "canGetFeedback": True,
                "message": completion.text,
                "metadata": [_source(generation.tenant, each) for each in completion.sources],
                "languageCode": languages.detect(completion.text),
                "showMetadata": False,
                "feedback": "",
            }
        )
    return turns


def _asked(listed: GenerationDetail) -> str:
    """Return the question: the first input; of what another API has submitted, all of them."""
    texts = [text if isinstance(text, str) else "\n".join(text) for text in listed.inputs.values()]
    return "\n".join(texts[:1] if listed.generation.dialect == NAME else texts)


def _uuid(generation: Generation, sender: str) -> str:
    return str(uuid.uuid5(_TURNS, f"{generation.id}#{sender}"))


def _source(tenant: str, source: Source) -> Json:
    """Return a source. Its `stableId` is the same as long as its owner calls it the same."""
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


def _fitting(turns: Sequence[Json]) -> list[str]:
    """Render the newest ones that fit into MAX_HISTORY_BYTES, oldest first."""
    shown: list[str] = []
    size = 0
    for turn in reversed(turns):
        text = _json(turn)
        size += len(_json(text).encode())  # as the function's response has it, in a JSON string
        if size > MAX_HISTORY_BYTES:
            break
        shown.append(text)
    return shown[::-1]
