"""The chat data that clients keep and send back with `chatDataJson`, a text of JSON."""

import json
from collections.abc import Callable, Mapping, Sequence

from afterword.errors import InvalidRequestError
from afterword.generations import EarlierTurn
from afterword.records import dataclass
from afterword.runtime import json_text
from afterword.runtime.json_text import JsonText

MAX_SENT_TURNS = 1_000
MAX_EARLIER_TURNS = 100
"""Questions with their answers that the worker gets, the newest."""
MAX_EARLIER_CHARACTERS = 300_000
"""Characters of those turns: no flow's `history_tokens` has room for more."""
_FIELD = "chatDataJson"


@dataclass(frozen=True, slots=True)
class SentChat:
    """The chat data of a request: its turns, oldest first, and its `conversationId`.

    `texts` are the turns as JSON.
    """

    history: Sequence[Mapping[str, object]]
    texts: Sequence[JsonText]
    conversation_id: object


def parse_chat(values: Mapping[str, object]) -> SentChat | None:
    """Return a body's chat data; None without, as for the first question of a conversation.

    Raises InvalidRequestError. A JSON object is taken like its text.
    """
    sent = values.get(_FIELD)
    if sent is None or sent == "":
        return None
    chat = parse_json_member(_FIELD, sent)
    history = chat.get("history")
    if history is None:
        return None
    if not isinstance(history, list) or not all(isinstance(turn, dict) for turn in history):
        raise InvalidRequestError(f"{_FIELD}: must have a history of JSON objects.")
    if len(history) > MAX_SENT_TURNS:
        raise InvalidRequestError(
            f"{_FIELD}: must have at most {MAX_SENT_TURNS} turns, not {len(history)}."
        )
    return SentChat(history, _render_turns(history), chat.get("conversationId"))


def parse_json_member(name: str, value: object) -> Mapping[str, object]:
    """Return a member that is a JSON object, or a text of one; raise InvalidRequestError."""
    if isinstance(value, dict):
        return value
    if isinstance(value, str):
        try:
            return json_text.parse_object(value.encode()).values
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{name}: must be a JSON object, or its text.") from error
    raise InvalidRequestError(f"{name}: must be a JSON object, or its text.")


def _render_turns(history: Sequence[Mapping[str, object]]) -> Sequence[JsonText]:
    """Return turns as JSON, which has no text for a number beyond a double's range."""
    try:
        return [JsonText(json.dumps(turn, ensure_ascii=False, allow_nan=False)) for turn in history]
    except ValueError as error:
        raise InvalidRequestError(f"{_FIELD}: must have numbers below 1e308.") from error


def list_earlier_turns(chat: SentChat, read: Callable[[str], str] = str) -> tuple[EarlierTurn, ...]:
    """Return the questions of the history that have an answer, oldest first.

    The newest MAX_EARLIER_TURNS of MAX_EARLIER_CHARACTERS together; none from before one without
    room. Turns of other senders than `user` and `bot`, and without a message, are left out. `read`
    returns the text of a message.
    """
    pairs: list[EarlierTurn] = []
    question: str | None = None
    for turn in chat.history:
        message = turn.get("message")
        text = read(message) if isinstance(message, str) else ""
        if not text.strip():
            continue
        if turn.get("sender") == "user":
            question = text
        elif turn.get("sender") == "bot" and question is not None:
            pairs.append(EarlierTurn(question, text))
            question = None
    newest: list[EarlierTurn] = []
    room = MAX_EARLIER_CHARACTERS
    for pair in reversed(pairs[-MAX_EARLIER_TURNS:]):
        room -= len(pair.question) + len(pair.answer)
        if room < 0:
            break
        newest.append(pair)
    return tuple(reversed(newest))
