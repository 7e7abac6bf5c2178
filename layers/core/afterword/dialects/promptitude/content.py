"""Promptitude's contents and their folders: `/v1/content` and `/v1/content/folders`.

The service does not publish the answers to a creation, an update and a deletion, nor the path of a
folder by its name. The service has no pages of contents.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from afterword import clock
from afterword.errors import NotFoundError
from afterword.handlers import http, paging
from afterword.handlers.http import Request, Response
from afterword.handlers.paging import Paging
from afterword.knowledge import Content, Folder, Label, folder_id, is_label_name
from afterword.runtime.json_text import render
from afterword.runtime.pages import Page, cut_page
from afterword.tenants.keys import ApiKey

if TYPE_CHECKING:
    from afterword.dialects.promptitude import responses

PAGE = 1_000
"""Contents of a page, the maximum too."""
FOLDERS = 1_000
"""Folders of a page, the maximum too."""
_PAGING = Paging(size=PAGE, maximum=PAGE)
_FOLDERS = Paging(size=FOLDERS, maximum=FOLDERS)


def require_access(key: ApiKey) -> None:
    """Raise ForbiddenError for a key that is bound to a flow: contents are the tenant's."""
    http.require_whole_tenant(key)


def parse_page(request: Request) -> tuple[int, str | None]:
    """Return the query's `limit`, and the sort key that the page comes after."""
    return _PAGING.parse(request.query)


def read_folder_id(request: Request, key: ApiKey) -> str:
    """Return the id of the folder that the path has by its name.

    The folder may be absent. Raises NotFoundError for a text that is no folder's name.
    """
    name = request.path["folderName"]
    if not is_label_name(name):
        raise NotFoundError("There is no such folder.")
    return folder_id(key.tenant, name)


def render_content(content: Content) -> Response:
    """Return a stored content."""
    answer: responses.ContentAnswer = {
        "code": 200,
        "message": "OK",
        "error": False,
        "results": _build_content(content),
    }
    return Response(status=HTTPStatus.OK, body=render(answer))


def render_removed(content: Content) -> Response:
    """Return the id of a content that was removed."""
    answer: responses.RemovedAnswer = {
        "code": 200,
        "message": "OK",
        "error": False,
        "results": {"id": content.id},
    }
    return Response(status=HTTPStatus.OK, body=render(answer))


def render_folders(request: Request, folders: Sequence[Folder]) -> Response:
    """Return a page of the folders by name, with a link to the next one if there is one."""
    limit, after = _FOLDERS.parse(request.query)
    page = cut_page(folders, _sort_key, limit, after)
    answer: responses.FoldersAnswer = {
        "code": 200,
        "message": "OK",
        "error": False,
        "results": {
            "foldersCount": len(folders),
            "folders": [
                {
                    "id": folder.id,
                    "name": folder.name,
                    "contentsCount": folder.contents,
                    "type": "manual",
                    "description": "",
                }
                for folder in page.items
            ],
        },
    }
    path = _FOLDERS.next_path("/v1/content/folders", {"limit": limit}, page.after)
    return Response(status=HTTPStatus.OK, body=render(answer), headers=paging.link_headers(path))


def _sort_key(folder: Folder) -> str:
    return f"{folder.name.casefold()}\0{folder.name}"


def render_contents(request: Request, page: Page[Content], limit: int) -> Response:
    """Return a page of a folder's contents, with a link to the next one if there is one.

    The link has the folder as the path has it, by its id or its name.

    A page is one query, which DynamoDB ends after 1 MB, so it fits into a function's response.
    """
    contents = [_build_content(each) for each in page.items]
    answer: responses.ContentsAnswer = {
        "code": 200,
        "message": "OK",
        "error": False,
        "results": {"contentsCount": page.total or 0, "contents": contents},
    }
    path = _contents_path(request)
    headers = paging.link_headers(_PAGING.next_path(path, {"limit": limit}, page.after))
    return Response(status=HTTPStatus.OK, body=render(answer), headers=headers)


def _contents_path(request: Request) -> str:
    name = request.path.get("folderName")
    folder = request.path["folderId"] if name is None else f"name/{quote(name, safe='')}"
    return f"/v1/content/folders/{folder}/contents"


def _build_content(content: Content) -> "responses.Content":
    return {
        "id": content.id,
        "name": content.name,
        "folder": _build_label(content.folder),
        "tags": [_build_label(tag) for tag in content.tags],
        "externalId": content.external_id,
        "source": content.source,
        "characters": content.characters,
        "passages": content.passages,
        "createdAt": clock.to_rfc3339(content.created_at),
        "updatedAt": clock.to_rfc3339(content.updated_at),
    }


def _build_label(label: Label) -> "responses.Label":
    return {"id": label.id, "name": label.name}
