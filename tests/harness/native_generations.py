"""The native API's generations in the tests: a client of them, and whole results to expect."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from tests.conftest import FLOW, Event
from tests.harness.api import invoke
from tests.harness.response_headers import NO_STORE

QUESTION = {"flow": FLOW, "inputs": {"text": "When does my policy end?"}}
HEADERS = {"content-type": "application/json", **NO_STORE}
LAST_PAGE = {"next": None, "next_cursor": None}
"""The members of the last page of a list."""
PROBLEM = {**HEADERS, "content-type": "application/problem+json"}

type Result = Mapping[str, Any]


@dataclass(frozen=True)
class Native:
    """A client of the native API, with a key."""

    load_event: Callable[[str], Event]
    key: str

    def ask(
        self,
        name: str,
        generation_id: str | None = None,
        body: object = None,
        query: Mapping[str, str] | None = None,
        **headers: str,
    ) -> Result:
        """Call a function; return its result with the body parsed, if there is one."""
        event = self.load_event(name)
        event["headers"]["authorization"] = f"Bearer {self.key}"
        event["headers"] |= {header.replace("_", "-"): value for header, value in headers.items()}
        if generation_id is not None:
            event["pathParameters"] = {"id": generation_id}
        if body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        if query is not None:
            event["queryStringParameters"] = dict(query)
        result = invoke(name, event)
        return {**result, "body": json.loads(result["body"])} if result["body"] else result

    def submit(self, body: object = None, **headers: str) -> Result:
        """Submit the question, or another body."""
        return self.ask("submit_generation", None, body or QUESTION, None, **headers)

    def submitted(self, **members: object) -> str:
        """Submit the question with these members, and return its id."""
        result = self.submit({**QUESTION, **members})
        assert result["statusCode"] == 202, result
        generation_id: str = result["body"]["id"]
        return generation_id

    def page(self, **query: str) -> Result:
        """List a page."""
        return self.ask("list_generations", query=query)

    def pages(self, **query: str) -> list[list[str]]:
        """Return the ids of each page, going on while there is a link to the next."""
        pages = []
        while True:
            result = self.page(**query)
            assert result["statusCode"] == 200, result
            pages.append([item["id"] for item in result["body"]["items"]])
            following = result["body"]["next"]
            assert (following is None) == ("link" not in result["headers"])
            if following is None:
                assert result["body"]["next_cursor"] is None
                return pages
            query["cursor"] = result["body"]["next_cursor"]
            assert query["cursor"] == following.partition("cursor=")[2].partition("&")[0]


def generation(generation_id: str, **changes: object) -> dict[str, object]:
    """Return the answer about the question that was just submitted, with changes."""
    path = f"/v1/generations/{generation_id}"
    return {
        "id": generation_id,
        "status": "queued",
        "flow": FLOW,
        "flow_version": 1,
        "dialect": "native",
        "created_at": "2026-11-10T09:00:00.000Z",
        "finished_at": None,
        "deadline_at": "2026-11-10T10:00:00.000Z",
        "attempts": 0,
        "external_ref": None,
        "metadata": None,
        "output": None,
        "stop_reason": None,
        "sources": [],
        "usage": None,
        "error": None,
        "last_error": None,
        "retry_of": None,
        "title": None,
        "rating": None,
        "feedback": None,
        "gone": False,
        "links": {"self": path, "cancel": f"{path}/cancel"},
        **changes,
    }


def problem(status: int, detail: str, **members: object) -> Result:
    """Return the whole result of a problem of no type of its own."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **members,
    }
    return {"statusCode": status, "headers": PROBLEM, "body": document}


def invalid(field: str, message: str) -> Result:
    """Return the whole result of a member that does not fit."""
    return problem(
        422,
        f"{field}: {message}",
        type="urn:problem-type:afterword:invalid-member",
        title="A member of the request does not fit",
        errors=[{"field": field, "message": message}],
    )


NOT_FOUND = problem(404, "There is no such generation.")
