"""Starts the functions that a user meets first, before a request has to wait for their start.

A process takes a third of a second of a core to start. A burst that finds none starts one for each
request that has a turn, and all of them wait for the same cores.
"""

import asyncio
from http import HTTPStatus

import httpx

from afterword.tenants.keys import generate_key
from local.aws import STACK, session
from local.front import TURNS
from local.terminal import LocalError

EXPECTED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE)
"""A machine too busy to start all functions in time goes on with their start."""
MAILS = "/api/companies/demo/orchestrators/mail-reply/generation-async"
SUBMISSIONS = (("POST", "/v1/generations"), ("POST", MAILS))
READINGS = (("GET", "/v1/generations/any"), ("GET", f"{MAILS}/any"))
WORKER, ALIAS = "GenerateFunction", "live"
SECONDS = 60.0  # the front answers in thirty


async def warm(url: str, endpoint: str) -> None:
    """Start the functions that submit, read and run generations, on the API and the AWS given.

    Raises LocalError when one does not answer as it should.
    """
    await asyncio.gather(start_api(url), start_worker(endpoint))


async def start_api(url: str) -> None:
    """Send requests at once, with a key that nobody has: each starts a process and changes nothing.

    Raises LocalError when an answer is another than EXPECTED.
    """
    _, key = generate_key()
    headers = {"Authorization": f"Bearer {key}"}
    requests = (*SUBMISSIONS * TURNS, *READINGS)
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=SECONDS) as client:
        try:
            answers = await asyncio.gather(
                *(client.request(method, path) for method, path in requests)
            )
        except httpx.TransportError as error:
            raise LocalError(f"{url} does not answer: {error!r}") from error
    for answer in answers:
        if answer.status_code not in EXPECTED:
            asked = f"{answer.request.method} {answer.url}"
            raise LocalError(f"{asked} answers {answer.status_code}: {answer.text[:200]}")


async def start_worker(endpoint: str) -> None:
    """Invoke the worker without a message, as often at once as it gets processes.

    Raises LocalError when the function fails.
    """
    cloudformation = session().client("cloudformation", endpoint_url=endpoint)
    functions = session().client("lambda", endpoint_url=endpoint)

    def invoke() -> None:
        answer = functions.invoke(FunctionName=name, Qualifier=ALIAS, Payload=b'{"Records": []}')
        if "FunctionError" in answer:
            raise LocalError(f"{WORKER} fails: {answer['Payload'].read().decode()[:200]}")

    resource = await asyncio.to_thread(
        cloudformation.describe_stack_resource, StackName=STACK, LogicalResourceId=WORKER
    )
    name = resource["StackResourceDetail"]["PhysicalResourceId"]
    await asyncio.gather(*(asyncio.to_thread(invoke) for _ in range(TURNS)))
