"""The places of an endpoint, as CONTRIBUTING.md lists them: the test says which one is missing."""

import ast
import re
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest

from openapi.document import operations
from tests.conftest import ROOT
from tests.harness.api import load_event, routes
from tests.harness.deployment import Deployment, parsed_template

TEMPLATE = Deployment(parsed_template(), {})
OPERATIONS = {operation.name: operation for operation in operations()}
OPENAPI = (ROOT / "openapi.yaml").read_text()
PAGES = "\n".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))
PUBLIC = {"get_root", "health", "get_docs", "get_docs_file", "get_openapi", "refuse_route"}
"""The endpoints without a key."""
NOT_DESCRIBED = {"refuse_route"}
"""The default route, for which OpenAPI has no word."""


def routes_of(name: str) -> list[str]:
    """Return the routes of a function in the template, none without one."""
    function = TEMPLATE.functions.get(name)
    return function.routes if function else []


def has_a_handler(name: str) -> bool:
    return (ROOT / "functions" / name / "app.py").exists()


def has_a_route_and_a_role(name: str) -> bool:
    function = TEMPLATE.functions.get(name)
    role = f"{name.title().replace('_', '')}Role.Arn"
    return bool(routes_of(name)) and function is not None and function.properties["Role"] == role


def has_a_sample_event(name: str) -> bool:
    path = ROOT / "events" / f"{name}.json"
    return path.exists() and load_event(name)["routeKey"] in routes_of(name)


def has_a_dialect(name: str) -> bool:
    if name in PUBLIC or not has_a_handler(name):
        return name in PUBLIC
    tree = ast.parse((ROOT / "functions" / name / "app.py").read_text())
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return any(str(module).startswith("afterword.dialects") for module in imported)


def is_in_openapi(name: str) -> bool:
    if name in NOT_DESCRIBED:
        return name not in OPERATIONS
    return name in OPERATIONS and f"operationId: {name}\n" in OPENAPI


def has_described_responses(name: str) -> bool:
    """Return whether the dialect describes the JSON of each success, if there is any."""
    if name in PUBLIC or name not in OPERATIONS:
        return name in PUBLIC
    answers = OPERATIONS[name].answers.items()
    models = [answer.model for status, answer in answers if status < 300 and answer.model]
    return all(any(are_of_dialects(model)) for model in models)


def are_of_dialects(model: Any) -> Iterator[bool]:  # noqa: ANN401 - any type that pydantic describes
    yield str(getattr(model, "__module__", "")).startswith("afterword.dialects")
    for inner in get_args(getattr(model, "__value__", model)):
        yield from are_of_dialects(inner)


def has_a_test(name: str) -> bool:
    return any((ROOT / "tests").rglob(f"test_{name}.py"))


def is_in_the_table_of_access(name: str) -> bool:
    (table,) = (ROOT / "tests").rglob("test_access_of_routes.py")
    return name in PUBLIC or f'"{name}": Route(' in table.read_text()


def is_documented(name: str) -> bool:
    """Return whether a page of docs/ has the route, under any names of parameters."""
    paths = [re.sub(r"\\{\w+\\}", r"{\\w+}", re.escape(route)) for route in routes_of(name)]
    return bool(paths) and all(re.search(rf"{path}(?![\w/])", PAGES) for path in paths)


PLACES: dict[str, Callable[[str], bool]] = {
    "functions/<name>/app.py": has_a_handler,
    "template.yaml": has_a_route_and_a_role,
    "events/<name>.json": has_a_sample_event,
    "dialects/: parsing and rendering": has_a_dialect,
    "openapi/ (and make openapi)": is_in_openapi,
    "dialects/: the TypedDict of the response": has_described_responses,
    "tests: test_<name>.py": has_a_test,
    "tests: ROUTES of test_access_of_routes.py": is_in_the_table_of_access,
    "docs/<dialect>.md": is_documented,
}
"""The places that are written by hand; CONTRIBUTING.md has them, too."""
ENDPOINTS = sorted({*routes().values(), *OPERATIONS, *filter(routes_of, TEMPLATE.functions)})
"""The functions that one of these places takes for an endpoint."""


@pytest.mark.parametrize("place", PLACES)
def test_a_missing_place_is_seen(place: str) -> None:
    """A function that nobody has written is missing in each place."""
    assert not PLACES[place]("brew_coffee")


@pytest.mark.parametrize("name", ENDPOINTS)
def test_an_endpoint_has_all_its_places(name: str) -> None:
    """No place of an endpoint is forgotten; the first one that is missing is named."""
    for place, is_there in PLACES.items():
        assert is_there(name), f"{name} is missing in {place}"


def test_contributing_lists_the_places() -> None:
    """An endpoint has nine places at most, and CONTRIBUTING.md numbers as many."""
    text = (ROOT / "CONTRIBUTING.md").read_text().partition("## A new endpoint")[2]
    numbered = re.findall(r"^(\d)\. ", text.partition("\n## ")[0], re.MULTILINE)
    assert [int(number) for number in numbered] == [*range(1, len(PLACES) + 1)]
    assert len(PLACES) <= 9
