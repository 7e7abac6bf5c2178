"""Chat sessions of a chat app, and the answers to their messages as server-sent events.

`POST` and `GET /api/v1/chat_sessions`, `GET /api/v1/chat_sessions/{chat_session_id}`, `POST
/api/v1/chat_sessions/{chat_session_id}/messages`. The service publishes a message's body, and that
the answer is `text/event-stream`. The paths and the events are ours.

A function returns its whole body at once, so the events of an answer come together:

    event: message      a ChatTurn, the answer
    event: error        `{"detail": "…"}` in its place, where there will be none
    event: end          `{"chat_session_id", "text_gen_id", "status"}`, always the last
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from afterword.dialects import genai_stack
from afterword.errors import ConflictError
from afterword.generations import Generation
from afterword.handlers import failures, paging
from afterword.handlers.http import Request, Response
from afterword.handlers.paging import Paging
from afterword.runtime.json_text import render, render_array
from afterword.tenants import StoredFlow

if TYPE_CHECKING:
    from afterword.dialects.genai_stack.responses import ChatEnd, FastApiError
    from afterword.generations.sessions import Session
    from afterword.runtime.pages import Page

PAGE = 20
"""Sessions of a page, the maximum too: each is read with its turns."""
EVENTS = "text/event-stream"
_PAGING = Paging(size=PAGE, maximum=PAGE, key=paging.GENERATION_KEY)


def require_chat(flow: StoredFlow) -> None:
    """Raise ConflictError for an app that is no chat."""
    if not genai_stack.is_chat(flow):
        raise ConflictError("The app has no chat sessions: its flow must have the type chat.")


def parse_chat_session_id(request: Request) -> str:
    """Return the path's session id like `genai_stack.parse_id`."""
    return genai_stack.parse_id(request, "chat_session_id")


def parse_page(request: Request) -> tuple[int, str | None]:
    """Return the query's `limit`, and the order that the page comes after."""
    return _PAGING.parse(request.query)


def parse_title(request: Request) -> str | None:
    """Return a new session's title; None without one, or without a body.

    Raises like `genai_stack.parse_update`.
    """
    update = genai_stack.parse_update(request.body) if request.body else None
    return None if update is None else update.title


def render_session(session: "Session") -> Response:
    """Return a chat session."""
    return Response(status=HTTPStatus.OK, body=genai_stack.render_session(session))


def render_sessions(page: "Page[Session]", limit: int) -> Response:
    """Return a list of chat sessions, with a link to the next page if there is one."""
    texts = paging.fit(genai_stack.render_session(each) for each in page.items)
    whole = len(texts) == len(page.items)
    after = page.after if whole else page.items[len(texts) - 1].order
    headers = paging.link_headers(
        _PAGING.next_path("/api/v1/chat_sessions", {"limit": limit}, after)
    )
    return Response(status=HTTPStatus.OK, body=render_array(texts), headers=headers)


def render_answer(session_id: str, chat_key: str, generation: Generation) -> Response:
    """Return the events of a message's generation; `chat_key` is the input of its question.

    Without an end there is no answer yet, and the last event has the status.
    """
    events = []
    problem = failures.explain(generation, "message")
    if generation.completion is not None:
        turn = genai_stack.build_turn(generation.completion.text, chat_key, [], is_bot=True)
        events.append(_write_event("message", turn))
    elif problem is not None:
        error: FastApiError = {"detail": problem}
        events.append(_write_event("error", error))
    end: ChatEnd = {
        "chat_session_id": session_id,
        "text_gen_id": generation.id,
        "status": genai_stack.STATUS_NAMES[genai_stack.choose_status(generation)],
    }
    events.append(_write_event("end", end))
    headers = {"content-type": EVENTS}
    return Response(status=HTTPStatus.OK, body="".join(events), headers=headers)


def _write_event(name: str, data: Mapping[str, object]) -> str:
    """Return an event with JSON, which has no line breaks."""
    return f"event: {name}\ndata: {render(data)}\n\n"
