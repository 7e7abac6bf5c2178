"""Chat sessions: conversations that have an id before their first question.

A session's questions are generations, with the session's id as the name of their conversation. The
session itself is an item beside them, with no text but its title:

    pk                        tenant#session#id
    conversation, list_order  by_conversation: #tenant#flow, which no conversation's key begins like
    expires_at                a day after the expiry of its newest question

The item `tenant#sessions#flow` has the flow's number of sessions. Expiry takes nothing from that
number, so a full flow's sessions are counted again.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from afterword import clock, generations
from afterword.errors import ConflictError, NotFoundError
from afterword.generations import is_id
from afterword.generations.items import is_there
from afterword.generations.listings import NEWEST
from afterword.records import dataclass
from afterword.runtime.dynamodb import (
    ConditionFailed,
    Item,
    Table,
    Value,
    above,
    absent,
    at_most,
    below,
    equals,
    millis,
    number,
    seconds,
    text,
    time_of,
    unique,
)
from afterword.runtime.pages import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from afterword.generations.details import GenerationDetail
    from afterword.generations.listings import Listings

MAX_SESSIONS = 10_000
"""Chat sessions of a flow that have not expired."""
RECOUNTED_AFTER = timedelta(hours=1)
"""The shortest time between two counts of a full flow's sessions."""
PAGE_TURNS = 10
"""The newest questions of a session that a page shows; a session by its id has more."""
_MARGIN = timedelta(days=1)
"""A session outlives its questions by so much: a question is stored after its session's renewal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A chat session, with its newest questions, oldest first."""

    id: str
    title: str | None
    created_at: datetime
    questions: "Sequence[GenerationDetail]" = ()

    @property
    def order(self) -> str:
        """The session's place in lists: the newest has the greatest."""
        return generations.list_order(self.created_at, self.id)


class SessionStore:
    """The chat sessions of flows. A foreign tenant's or flow's session looks like an absent one."""

    def __init__(
        self, dynamodb: "DynamoDBClient", table: str, listings: "Listings", *, retention_days: int
    ) -> None:
        self._table = Table(dynamodb, table)
        self._listings = listings
        self._lifetime = timedelta(days=retention_days) + _MARGIN

    def create(self, tenant: str, flow: str, title: str | None) -> Session:
        """Create a session without questions; raise ConflictError above MAX_SESSIONS.

        The session is counted before it is written, so a crash may leave the count too high.
        """
        self._count(tenant, flow)
        now = clock.from_millis(clock.to_millis(clock.now()))
        session = Session(id=generations.new_id(), title=title, created_at=now)
        item: dict[str, Value] = {
            **_key(tenant, session.id),
            "id": text(session.id),
            "flow": text(flow),
            "created_at": millis(now),
            "conversation": text(_list_key(tenant, flow)),
            "list_order": text(session.order),
            "expires_at": seconds(now + self._lifetime),
        }
        if title is not None:
            item["title"] = text(title)
        self._table.put(item)
        return session

    def get(self, tenant: str, flow: str, session_id: str) -> Session:
        """Return a session of a flow; raise NotFoundError."""
        item = self._table.get(_key(tenant, session_id)) if is_id(session_id) else None
        if is_there(item) and item["flow"]["S"] == flow:
            questions = self._listings.read_conversation(tenant, flow, session_id, until=NEWEST)
            return _build(item, questions)
        raise _no_session()

    def renew(self, tenant: str, flow: str, session_id: str) -> None:
        """Keep a session of a flow for the life of a new question; raise NotFoundError."""
        now = clock.now()
        outcome = self._table.update(
            _key(tenant, session_id),
            sets={"expires_at": seconds(now + self._lifetime)},
            condition=equals("flow", text(flow)) & above("expires_at", seconds(now)),
        )
        if isinstance(outcome, ConditionFailed):
            raise _no_session()

    def read_page(
        self, tenant: str, flow: str, limit: int, after: str | None = None
    ) -> Page[Session]:
        """Return up to `limit` (at most 100) of a flow's sessions, newest first.

        `after` is the order that the page comes after. Each has its newest PAGE_TURNS questions.
        Takes a query of the index, a batch read of the items, and Listings.read_conversations. With
        big texts a page ends early.
        """
        condition = equals("conversation", text(_list_key(tenant, flow)))
        if after is not None:
            condition &= below("list_order", text(after))
        read = next(
            self._table.pages(condition, index="by_conversation", descending=True, limit=limit)
        )
        keys = [item["pk"] for item in read.items]
        found = {item["pk"]["S"]: item for item in self._table.get_all({"pk": key} for key in keys)}
        there = [found[key["S"]] for key in keys if is_there(found.get(key["S"]))]
        ids = [item["id"]["S"] for item in there]
        questions = self._listings.read_conversations(tenant, flow, ids, PAGE_TURNS)
        sessions = tuple(_build(*each) for each in zip(there, questions, strict=False))
        if len(sessions) < len(there):
            return Page(sessions, sessions[-1].order)
        more = read.last is not None
        return Page(sessions, read.items[-1]["list_order"]["S"] if more else None)

    def _count(self, tenant: str, flow: str) -> None:
        """Count a new session; raise ConflictError for one too many."""
        key = {"pk": text(f"{tenant}#sessions#{flow}")}
        room = absent("sessions") | below("sessions", number(MAX_SESSIONS))
        outcome = self._table.update(key, adds={"sessions": 1}, condition=room)
        if not isinstance(outcome, ConditionFailed):
            return
        now = clock.now()
        # Only one of several requests at once counts; the others are refused.
        due = absent("counted_at") | at_most("counted_at", millis(now - RECOUNTED_AFTER))
        turn = {"counted_at": millis(now), "count_id": unique()}
        outcome = self._table.update(key, sets=turn, condition=due, own=turn)
        if not isinstance(outcome, ConditionFailed):
            there = self._count_all(tenant, flow)
            if there < MAX_SESSIONS:
                self._table.update(key, sets={"sessions": number(there + 1)})
                return
        raise ConflictError(
            f"An app has at most {MAX_SESSIONS:,} chat sessions: send messages to one of them, or"
            " wait for the oldest to expire."
        )

    def _count_all(self, tenant: str, flow: str) -> int:
        """Return the number of sessions on the index, in a call for each page of 1 MB."""
        listed = equals("conversation", text(_list_key(tenant, flow)))
        pages = self._table.pages(listed, index="by_conversation", attributes=("pk",))
        return sum(len(page.items) for page in pages)


def _key(tenant: str, session_id: str) -> Item:
    return {"pk": text(f"{tenant}#session#{session_id}")}


def _build(item: Item, questions: "Sequence[GenerationDetail]") -> Session:
    """Return the session of an item, with its questions."""
    return Session(
        id=item["id"]["S"],
        title=item["title"]["S"] if "title" in item else None,
        created_at=time_of(item, "created_at"),
        questions=questions,
    )


def _list_key(tenant: str, flow: str) -> str:
    return f"#{tenant}#{flow}"


def _no_session() -> NotFoundError:
    return NotFoundError("There is no such chat session.")
