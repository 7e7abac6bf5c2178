"""Unless' realtime query: `POST /api/v1/ai/query`, which waits for the answer.

Account, key and website stand in the body or the headers. The response is the chat data. The client
sends it back as `chatDataJson` with the next question: its turns then come before that one, in the
prompt and in the response, in place of the session's.
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from afterword.dialects import unless
from afterword.dialects.unless import chat_data, markup
from afterword.errors import InvalidRequestError
from afterword.generations import Generation, Submission
from afterword.generations.details import GenerationDetail
from afterword.generations.listings import Listings
from afterword.handlers import failures
from afterword.handlers.http import Request, Response
from afterword.records import dataclass
from afterword.runtime import json_text
from afterword.runtime.json_text import JsonText, render
from afterword.tenants import StoredFlow
from afterword.tenants.keys import ApiKey
from afterword.tenants.registry import Registry

if TYPE_CHECKING:
    from afterword.dialects.unless.responses import QuestionError


class Format(NamedTuple):
    """How a message is made of a text, and the text of a sent message is read."""

    show: Callable[[str], str]
    read: Callable[[str], str]


FORMATS: Mapping[str, Format] = {
    "md": Format(str, str),
    "html": Format(markup.to_html, markup.to_text),
}
"""The values of `messageFormat`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealtimeQuery:
    """A question to wait for.

    `history` are the turns that were sent as JSON, None for those of the session. `show` makes a
    message of a text.
    """

    flow: StoredFlow
    submission: Submission
    history: Sequence[JsonText] | None
    show: Callable[[str], str]


def parse_query(request: Request, key: ApiKey, registry: Registry) -> RealtimeQuery:
    """Parse a question; raise like `unless.require_flow` and `unless.parse_question`."""
    sent = json_text.parse_object(request.body)
    named = unless.read_body_names(request, sent.values)
    flow = unless.require_flow(named, key, registry)
    chat = chat_data.parse_chat(sent.values)
    message_format = _parse_format(sent.values)
    if not isinstance(sent.values.get("skipLanguageDetection"), bool | None):
        raise InvalidRequestError("skipLanguageDetection: must be true or false.")
    earlier = None if chat is None else chat_data.list_earlier_turns(chat, message_format.read)
    return RealtimeQuery(
        flow=flow,
        submission=unless.parse_question(_with_metadata(sent), named, flow, earlier),
        history=None if chat is None else chat.texts,
        show=message_format.show,
    )


def build_question(query: RealtimeQuery, generation: Generation) -> GenerationDetail:
    """Return an answered question with its request, without a further read."""
    return GenerationDetail(
        generation=generation,
        order=generation.order,
        inputs=query.submission.inputs,
        files=(),
        conversation=query.submission.conversation,
    )


def read_earlier(
    query: RealtimeQuery, listed: GenerationDetail, listings: Listings
) -> Sequence[GenerationDetail]:
    """Return the earlier questions of the session; none where turns were sent instead."""
    if query.history is not None or listed.conversation is None:
        return ()
    return listings.read_conversation(
        listed.generation.tenant, query.flow.id, listed.conversation, until=listed.order
    )


def render_answered(
    query: RealtimeQuery, listed: GenerationDetail, earlier: Sequence[GenerationDetail]
) -> Response:
    """Return the chat data up to an answer: after the sent turns, else after the session's."""
    chat = unless.build_chat(listed, earlier, query.history or (), query.show)
    return Response(status=HTTPStatus.OK, body=render(chat))


def render_unanswered(generation: Generation) -> Response:
    """Return the error of a question without an answer: 504 for one that is not finished."""
    path = f"/api/v1/ai/async/answer?questionId={generation.id}"
    later = f"The answer takes longer: it will be at {path}."
    error = failures.explain(generation, "question") or later
    body: QuestionError = {"error": error, "questionId": generation.id}
    return Response(status=failures.choose_status(generation), body=render(body))


def _parse_format(values: Mapping[str, object]) -> Format:
    name = values.get("messageFormat")
    if name is None:
        return FORMATS["md"]
    if not isinstance(name, str) or name not in FORMATS:
        raise InvalidRequestError(f"messageFormat: must be one of: {', '.join(FORMATS)}.")
    return FORMATS[name]


def _with_metadata(sent: json_text.JsonObject) -> json_text.JsonObject:
    """Return a body with metadata as an object, which may come as the text of one."""
    text = sent.values.get("metadata")
    if not isinstance(text, str):
        return sent
    values = {**sent.values, "metadata": chat_data.parse_json_member("metadata", text)}
    return json_text.JsonObject(values, {**sent.texts, "metadata": text})
