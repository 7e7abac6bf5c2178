"""Promptitude's contents and their folders: `/v1/content` and `/v1/content/folders`.

Not public, and so ours: what creating and updating answer, and pages of contents.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlencode

from afterword.dialects import promptitude
from afterword.dialects.promptitude import Json
from afterword.errors import ForbiddenError, InvalidRequestError
from afterword.handlers import paging
from afterword.handlers.http import Request, Response
from afterword.knowledge import Content, Folder, Label
from afterword.runtime.pages import Page
from afterword.tenants.keys import ApiKey

PAGE = 1_000
"""Contents of a page, and the most that may be asked for."""


def check_key(key: ApiKey) -> None:
    """Raise ForbiddenError for a key that is bound to a flow: contents are the tenant's."""
    if key.flow is not None:
        raise ForbiddenError("The API key is for one flow alone.")


def page_asked_for(request: Request) -> tuple[int, str | None]:
    """Return the query's `limit` (1 to PAGE) and where the page begins; raise for others."""
    limit = request.query.get("limit", str(PAGE))
    if not re.fullmatch(r"[0-9]{1,4}", limit) or not 1 <= int(limit) <= PAGE:
        raise InvalidRequestError(f"limit: it is not a whole number from 1 to {PAGE}.")
    after = request.query.get("after")
    return int(limit), None if after is None else paging.decode(after, "after")


def shown(content: Content) -> Response:
    """Return a content as it has been stored."""
    return promptitude.answer(HTTPStatus.OK, "OK", _content(content))


def folders(found: Sequence[Folder]) -> Response:
    """Return the folders."""
    results: Json = {
        "foldersCount": len(found),
        "folders": [
            {
                "id": folder.id,
                "name": folder.name,
                "contentsCount": folder.contents,
                "type": "folder",
                "description": "",
            }
            for folder in found
        ],
    }
    return promptitude.answer(HTTPStatus.OK, "OK", results)


def contents(folder_id: str, page: Page[Content], limit: int) -> Response:
    """Return a page of a folder's contents, with a link to the next one if there is one.

    A page is of one query, which DynamoDB ends after 1 MB, so it fits into a function's response.
    """
    items = [_content(each) for each in page.items]
    response = promptitude.answer(
        HTTPStatus.OK, "OK", {"contentsCount": page.total, "contents": items}
    )
    if page.after is None:
        return response
    query = urlencode({"limit": limit, "after": paging.encode(page.after)})
    link = f'</v1/content/folders/{folder_id}/contents?{query}>; rel="next"'
    return replace(response, headers={"link": link})


def _content(content: Content) -> Json:
    return {
        "id": content.id,
        "name": content.name,
        "folder": _label(content.folder),
        "tags": [_label(tag) for tag in content.tags],
        "externalId": content.external_id,
        "source": content.source,
        "characters": content.characters,
        "passages": content.passages,
        "createdAt": _time(content.created_at),
        "updatedAt": _time(content.updated_at),
    }


def _label(label: Label) -> Json:
    return {"id": label.id, "name": label.name}


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
