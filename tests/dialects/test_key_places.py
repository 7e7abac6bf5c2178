"""The places of the API key in each dialect, and what a 401 says of a key elsewhere."""

import io
from collections.abc import Mapping
from http import HTTPStatus

import pytest

from afterword.dialects import dialonce, genai_stack, native, promptitude, unless
from afterword.handlers import http
from afterword.handlers.http import KeyPlace, Request, Response
from afterword.tenants.keys import ApiKey, Scope
from tests.conftest import Event, LambdaContext, Tenant
from tests.harness.api import parsed
from tests.harness.refusals import Result, refusal

DIALECTS: Mapping[str, http.Dialect] = {
    "POST /api/companies/{companyCuid}": dialonce,
    "GET /api/v1/apps": genai_stack,
    "GET /v1/flows": native,
    "GET /v1/content/folders": promptitude,
    "POST /api/v1/ai/async/query": unless,
}
"""By a route of each."""
SECRET = "aw_not_a_key"  # noqa: S105 - no key of anybody
PROMPTITUDE, GENAI_STACK, UNLESS = (
    "Authorization: Bearer",
    "Authorization: Bearer or the parameter token",
    "x-api-key or Authorization: Bearer",
)
OTHERS = "Authorization: Bearer or x-api-key"
MALFORMED = "The API key is malformed or mistyped."
NEEDED = "An API key is needed."
EMPTY = "The API key must not be empty in x-api-key."
ALONE = "The API key must stand alone, without a 'Bearer' of its own."


def ask(
    dialect: http.Dialect,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> Result:
    """Return the result of a request with these headers and this query."""

    def serve(_request: Request, _key: ApiKey) -> Response:
        return Response(status=HTTPStatus.OK, body="{}")

    event: Event = {"headers": dict(headers or {}), "queryStringParameters": dict(query or {})}
    return parsed(http.endpoint(dialect, Scope.READ)(serve)(event, LambdaContext()))


@pytest.mark.parametrize("route", DIALECTS)
def test_a_key_is_taken_from_each_place(tenant: Tenant, route: str) -> None:
    """A dialect takes a good key from each place that it names, and from no other."""
    dialect = DIALECTS[route]
    for place in KeyPlace:
        match place:
            case KeyPlace.BEARER:
                result = ask(dialect, {"Authorization": f"Bearer {tenant.key}"})
            case KeyPlace.X_API_KEY:
                result = ask(dialect, {"X-Api-Key": tenant.key})
            case KeyPlace.TOKEN:
                result = ask(dialect, query={"token": tenant.key})
        assert result["statusCode"] == (200 if place in dialect.KEY_PLACES else 401)


@pytest.mark.usefixtures("tenant")
@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        ("", "Authorization: must be 'Bearer' and the API key, not empty."),
        (" ", "Authorization: must be 'Bearer' and the API key, not empty."),
        ("Bearer", "Authorization: must have the API key after 'Bearer'."),
        ("bearer  ", "Authorization: must have the API key after 'Bearer'."),
        (SECRET, "Authorization: must have 'Bearer' before the API key."),
        (f"Basic {SECRET}", "Authorization: must have the scheme 'Bearer', not another one."),
        (f"{SECRET} and more", "Authorization: must have the scheme 'Bearer', not another one."),
        (f"Bearer {SECRET}", MALFORMED),
        (f"Bearer Bearer {SECRET}", ALONE),
    ],
)
@pytest.mark.parametrize("route", DIALECTS)
def test_a_wrong_authorization_is_explained(
    log: io.StringIO, route: str, authorization: str, message: str
) -> None:
    """Each dialect says what is wrong with `Authorization`, and nobody repeats its text."""
    result = ask(DIALECTS[route], {"authorization": authorization})
    assert result == refusal(route, 401, message, www_authenticate="Bearer")
    assert "refused a request" in log.getvalue()
    assert SECRET not in log.getvalue()


@pytest.mark.usefixtures("tenant")
@pytest.mark.parametrize(
    ("headers", "query", "messages"),
    [
        ({}, {}, (NEEDED,) * 5),
        (
            {"x-api-key": ""},
            {},
            (EMPTY, NEEDED, EMPTY, NEEDED, EMPTY),
        ),
        (
            {"x-api-key": SECRET},
            {},
            (
                MALFORMED,
                f"The API key must be in {GENAI_STACK}, not in x-api-key.",
                MALFORMED,
                f"The API key must be in {PROMPTITUDE}, not in x-api-key.",
                MALFORMED,
            ),
        ),
        (
            {"x-api-key": f"Bearer {SECRET}"},
            {},
            (
                ALONE,
                f"The API key must be in {GENAI_STACK}, not in x-api-key.",
                ALONE,
                f"The API key must be in {PROMPTITUDE}, not in x-api-key.",
                ALONE,
            ),
        ),
        (
            {},
            {"token": SECRET},
            (
                f"The API key must be in {OTHERS}, not in the parameter token.",
                MALFORMED,
                f"The API key must be in {OTHERS}, not in the parameter token.",
                f"The API key must be in {PROMPTITUDE}, not in the parameter token.",
                f"The API key must be in {UNLESS}, not in the parameter token.",
            ),
        ),
        (
            {},
            {"token": ""},
            (
                NEEDED,
                "The API key must not be empty in the parameter token.",
                NEEDED,
                NEEDED,
                NEEDED,
            ),
        ),
    ],
    ids=["none", "empty header", "header", "header with Bearer", "parameter", "empty parameter"],
)
def test_a_key_elsewhere_is_explained(
    log: io.StringIO,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    messages: tuple[str, ...],
) -> None:
    """Each dialect names its own places to a client that sent the key elsewhere."""
    for (route, dialect), message in zip(DIALECTS.items(), messages, strict=True):
        result = ask(dialect, headers, query)
        assert result == refusal(route, 401, message, www_authenticate="Bearer")
    assert SECRET not in log.getvalue()


@pytest.mark.parametrize("route", [each for each in DIALECTS if "apps" not in each])
def test_two_headers_with_different_keys_are_refused(
    tenant: Tenant, other_tenant: Tenant, route: str
) -> None:
    """Where two headers may have the key, two keys are 401 though both are good."""
    dialect = DIALECTS[route]
    headers = {"x-api-key": tenant.key, "authorization": f"Bearer {other_tenant.key}"}
    places = " and ".join(dialect.KEY_PLACES)
    message = f"The API key must be the same in {places}."
    if len(dialect.KEY_PLACES) == 1:
        assert ask(dialect, headers)["statusCode"] == 200
        return
    assert ask(dialect, headers) == refusal(route, 401, message, www_authenticate="Bearer")
    same = headers | {"authorization": f"Bearer {tenant.key}"}
    assert ask(dialect, same)["statusCode"] == 200
