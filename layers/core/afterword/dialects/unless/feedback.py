"""Unless' feedback: `POST /api/v1/ai/feedback`, a reader's judgment of an answer, and a note.

The service names an answer by the chat data with the judgment in its turn. Here a `questionId` does
so, too. No e-mail is sent, so a request for one is refused.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword.dialects import unless
from afterword.dialects.unless import chat_data
from afterword.dialects.unless.chat_data import SentChat
from afterword.errors import InvalidRequestError, NotFoundError
from afterword.generations import Feedback, FeedbackKind
from afterword.generations.feedback import MAX_NOTE, FeedbackChange
from afterword.generations.listings import Listings
from afterword.handlers.http import Request, Response
from afterword.records import dataclass
from afterword.runtime import json_text
from afterword.runtime.json_text import render
from afterword.tenants.keys import ApiKey
from afterword.tenants.registry import Registry

if TYPE_CHECKING:
    from afterword.dialects.unless.responses import FeedbackAnswer

NOTE = "note"
"""The `feedback` that leaves the kind as it is."""
_KINDS = ", ".join((*FeedbackKind, NOTE))


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFeedback:
    """The feedback of a request: its website's flow, None for any, and its change.

    The answer is that of `question`, or the turn `turn_id` of the session with that question.
    """

    flow: str | None
    change: FeedbackChange
    question: str
    turn_id: str | None = None


def parse_feedback(request: Request, key: ApiKey, registry: Registry) -> GivenFeedback:
    """Parse a feedback; raise InvalidRequestError, and like `unless.require_website`."""
    values = json_text.parse_object(request.body).values
    named = unless.read_body_names(request, values)
    flow = unless.require_website(named, key, registry)
    if not isinstance(values.get("sendEmail"), bool | None):
        raise InvalidRequestError("sendEmail: must be true or false.")
    if values.get("sendEmail"):
        raise InvalidRequestError("sendEmail: must be false, as no e-mail is sent.")
    change = _parse_change(values)
    question, chat = values.get("questionId"), chat_data.parse_chat(values)
    if question is not None:
        if not isinstance(question, str):
            raise InvalidRequestError("questionId: must be a string.")
        return GivenFeedback(flow=flow, change=change, question=question)
    if chat is None:
        raise InvalidRequestError("questionId, chatDataJson: one of them must be present.")
    question, turn_id = _find_turn(chat, values.get("feedback"))
    return GivenFeedback(flow=flow, change=change, question=question, turn_id=turn_id)


def find_question(given: GivenFeedback, tenant: str, listings: Listings) -> str:
    """Return the id of the question whose answer is judged; raise NotFoundError without one.

    A turn of the newest question takes no call, an earlier one a read and a query: the newest 100
    questions of the session.
    """
    newest, turn_id = given.question, given.turn_id
    if turn_id is None or turn_id == unless.make_turn_id(newest, "bot"):
        return newest
    for question in listings.list_questions(tenant, newest, given.flow):
        if turn_id == unless.make_turn_id(question, "bot"):
            return question
    raise NotFoundError("There is no such generation.")


def render_kept(question: str, feedback: Feedback | None) -> Response:
    """Return the feedback on a question's answer as it stands."""
    body: FeedbackAnswer = {
        "conversationId": unless.make_conversation_id(question),
        "sender": "bot",
        "message": "The feedback is removed."
        if feedback is None
        else "Thank you. The feedback is kept with the answer.",
        "type": "message",
        "questionId": question,
        "feedback": "" if feedback is None else feedback.kind or "",
    }
    return Response(status=HTTPStatus.OK, body=render(body))


def _parse_change(values: Mapping[str, object]) -> FeedbackChange:
    if "feedback" not in values:
        raise InvalidRequestError("feedback: must be present.")
    kind, note = values["feedback"], values.get("note")
    if kind is not None and (not isinstance(kind, str) or kind not in {"", NOTE, *FeedbackKind}):
        raise InvalidRequestError(f"feedback: must be one of: {_KINDS}, or an empty text.")
    if note is not None and (not isinstance(note, str) or len(note) > MAX_NOTE):
        raise InvalidRequestError(f"note: must be a string of up to {MAX_NOTE} characters.")
    if kind == NOTE:
        if "note" not in values:
            raise InvalidRequestError("note: must be present.")
        return FeedbackChange(sets_kind=False, sets_note=True, note=note or None)
    return FeedbackChange(
        sets_kind=True,
        kind=FeedbackKind(kind) if kind else None,
        sets_note="note" in values or not kind,
        note=note or None,
    )


def _find_turn(chat: SentChat, kind: object) -> tuple[str, str]:
    """Return the chat data's newest question, and the answer that is judged, by its `uuid`.

    That is the newest answer with this judgment, else the newest answer.
    """
    conversation = chat.conversation_id
    if not isinstance(conversation, str) or not conversation.startswith(unless.CONVERSATION):
        raise InvalidRequestError(
            "chatDataJson: must have the conversationId of an answer of this API."
        )
    answers = [turn for turn in reversed(chat.history) if turn.get("sender") == "bot"]
    judged = [turn for turn in answers if kind and turn.get("feedback") == kind]
    turn_id = next((turn.get("uuid") for turn in (*judged, *answers)), None)
    if not isinstance(turn_id, str):
        raise InvalidRequestError("chatDataJson: must have a turn of a bot, with its uuid.")
    return conversation.removeprefix(unless.CONVERSATION), turn_id
