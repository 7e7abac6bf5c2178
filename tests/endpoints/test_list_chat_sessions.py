"""The app's chat sessions, a page at a time."""

import re
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs, urlsplit

import pytest

from afterword.generations import listings
from afterword.handlers import paging
from tests.conftest import Call, SetClock
from tests.harness.chats import Chats, turn, turns
from tests.harness.fake_model import FakeModel
from tests.harness.genai_stack import Result, answer, body_of, refusal

type Work = Callable[[FakeModel | None], None]


def next_query(page: Result) -> dict[str, str] | None:
    """Return the query of a page's link, None without one."""
    header = page["headers"].get("link")
    if header is None:
        return None
    match = re.fullmatch('<(/api/v1/chat_sessions[?][^<>]+)>; rel="next"', header)
    assert match is not None, header
    query = parse_qs(urlsplit(match[1]).query, strict_parsing=True)
    return {name: value for name, (value,) in query.items()}


def test_sessions_come_newest_first_with_their_turns(
    chats: Chats, set_clock: SetClock, work_while_waiting: Work
) -> None:
    """A list has each session with its title and turns, the newest session first."""
    work_while_waiting(None)
    first = chats.created("First")
    set_clock.advance(seconds=1)
    second = chats.created()
    chats.said(first, "Why?")
    assert chats.list() == answer(
        [
            {"id": second, "title": None, "data": []},
            {"id": first, "title": "First", "data": turns("Why?")},
        ]
    )


def test_pages_have_every_session_once(chats: Chats, set_clock: SetClock) -> None:
    """The links lead through all sessions, and new ones do not move the later pages."""
    made = []
    for _ in range(5):
        made.append(chats.created())
        set_clock.advance(seconds=1)
    seen: list[str] = []
    query: dict[str, str] | None = {"limit": "2"}
    while query is not None:
        page = chats.list(**query)
        seen += [each["id"] for each in body_of(page)]
        chats.created()
        set_clock.advance(seconds=1)
        query = next_query(page)
    assert seen == made[::-1]


def test_a_page_has_twenty_sessions_at_most(chats: Chats, set_clock: SetClock) -> None:
    """Without a limit a page has twenty sessions, and no limit asks for more."""
    for _ in range(21):
        chats.created()
        set_clock.advance(seconds=1)
    page = chats.list()
    assert len(body_of(page)) == 20
    assert len(body_of(chats.list(**(next_query(page) or {})))) == 1
    for limit in ("0", "21", "x", ""):
        wrong = refusal(400, "limit: must be a whole number from 1 to 20.")
        assert chats.list(limit=limit) == wrong
    assert chats.list(after="x") == refusal(400, "after: must be a cursor of a Link header.")


def test_a_page_ends_early_with_long_sessions(
    chats: Chats, set_clock: SetClock, work_while_waiting: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of sessions with big texts a page has as many as fit, and the link leads to the rest."""
    work_while_waiting(None)
    made = []
    for _ in range(3):
        made.append(chats.created())
        chats.said(made[-1], "x" * 9_000)
        set_clock.advance(seconds=1)
    monkeypatch.setattr(paging, "PAGE_BYTES", 20_000)
    page = chats.list()
    assert [each["id"] for each in body_of(page)] == [made[2], made[1]]
    rest = chats.list(**(next_query(page) or {}))
    assert [each["id"] for each in body_of(rest)] == [made[0]]
    assert next_query(rest) is None
    monkeypatch.undo()


def test_a_page_ends_early_with_much_text(
    chats: Chats, set_clock: SetClock, work_while_waiting: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many characters no further sessions are read for a page."""
    work_while_waiting(None)
    monkeypatch.setattr(listings, "PAGE_CHARACTERS", 10)
    made = []
    for _ in range(2):
        made.append(chats.created())
        chats.said(made[-1], "x" * 11)
        set_clock.advance(seconds=1)
    page = chats.list()
    assert [each["id"] for each in body_of(page)] == [made[1]]
    assert [each["id"] for each in body_of(chats.list(**(next_query(page) or {})))] == [made[0]]


def test_a_page_has_the_newest_turns_of_long_sessions(
    chats: Chats, work_while_waiting: Work, calls: list[Call], set_clock: SetClock
) -> None:
    """A page reads ten questions of a session, not consistently; by its id the session has all."""
    work_while_waiting(None)
    made = [chats.created(), chats.created()]
    for session_id in made:
        for number in range(12):
            chats.said(session_id, f"{number}?")
            set_clock.advance(seconds=1)
    calls.clear()
    shown = body_of(chats.list())
    for pages in (shown, body_of(chats.client.app())["chat_sessions"]):
        found = [each["data"] for each in pages if each["id"] in made]
        assert found == [turns_of_user(range(2, 12))] * 2
    read = [call for call in calls if call.operation == "dynamodb.BatchGetItem"]
    requests = [next(iter(call.params["RequestItems"].values())) for call in read]
    assert [len(each["Keys"]) for each in requests[:2]] == [2, 20]
    assert not requests[1]["ConsistentRead"]
    assert body_of(chats.get(made[0]))["data"] == turns_of_user(range(12))


def turns_of_user(numbers: Iterable[int]) -> list[dict[str, object]]:
    """Return the turns of questions without answers."""
    return [turn(f"{number}?", is_bot=False) for number in numbers]


@pytest.mark.long
def test_a_page_reads_big_texts_once_and_no_further(
    chats: Chats,
    set_clock: SetClock,
    work_while_waiting: Work,
    calls: list[Call],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The texts of a whole page have one bound: after it no further text is read from storage."""
    work_while_waiting(None)
    for _ in range(3):
        session_id = chats.created()
        for _ in range(6):
            chats.said(session_id, "é" * 9_000)
            set_clock.advance(seconds=1)
    monkeypatch.setattr(listings, "PAGE_CHARACTERS", 50_000)
    calls.clear()
    assert len(body_of(chats.list())) == 1
    assert sum(call.operation == "s3.GetObject" for call in calls) == 10


def test_a_page_costs_a_query_for_each_session(chats: Chats, calls: list[Call]) -> None:
    """A page takes a query and a batch read, and a query for the questions of each session."""
    for _ in range(3):
        chats.created()
    calls.clear()
    assert len(body_of(chats.list())) == 3
    operations = sorted(call.operation for call in calls)
    assert operations == [
        "dynamodb.BatchGetItem",
        *["dynamodb.Query"] * 4,
    ]
