"""`make demo`: one mail through the whole of a stack, from submission to the model's reply."""

import asyncio
import shutil
import time

import httpx

from afterword.generations import Generation, Status
from afterword.payloads import Payloads
from afterword.store import GenerationStore
from local.aws import session
from local.dev import MAIL, mail_path
from local.stack import Stack, run
from local.terminal import LocalError, say

TEMPLATE = (
    "Dear [the customer's full name],\n\n"
    "Thank you for your message about [the subject of the mail in a few words]."
    " We look into it and answer within two working days.\n\n"
    "Kind regards,\nYour customer service"
)
FINISHED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELED)
GIVE_UP_SECONDS = 120.0


async def command(port: int) -> int:
    """Start a stack on `port` (0: any), generate one reply, stop; 0 if a text came back."""
    try:
        return await run(port, one_reply, announce=False)
    except httpx.HTTPError as error:
        raise LocalError(f"the API does not answer as it should: {error}") from error


async def one_reply(stack: Stack) -> int:
    """Submit a mail, tell each status as it changes, and print the reply."""
    tenant = stack.tenants[0]
    say(f"ready at {stack.url}")
    print(f"\nThe mail: {MAIL['subject']}\n\n{MAIL['body']}\n", flush=True)
    async with httpx.AsyncClient(
        base_url=stack.url,
        headers={"Authorization": f"Bearer {tenant['api_key']}"},
        timeout=35,
    ) as client:
        answer = await client.post(mail_path(tenant), json={**MAIL, "template": TEMPLATE})
        if answer.is_error:
            raise LocalError(f"the mail was not accepted: {answer.status_code} {answer.text}")
        process = answer.json()["process_cuid"]
        say(f"submitted: process {process}")
        await follow(stack, client, f"{mail_path(tenant)}/{process}", tenant["id"], process)
    generation = await asyncio.to_thread(stored, stack, tenant["id"], process)
    if generation.completion is None:
        raise LocalError(
            f"no reply: {generation.reason}: {generation.message} (see {stack.place.folder})"
        )
    print(f"\nThe reply:\n\n{generation.completion.text}\n")
    print(summary(generation), flush=True)
    shutil.rmtree(stack.place.folder, ignore_errors=True)
    return 0


async def follow(
    stack: Stack, client: httpx.AsyncClient, path: str, tenant: str, process: str
) -> None:
    """Say each status until it is the last one, as the API and as the item give it."""
    said = ""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < deadline:
        answer = await client.get(path)
        answer.raise_for_status()
        generation = await asyncio.to_thread(stored, stack, tenant, process)
        status = answer.json()["status"]
        if status != "started":
            say(f"status: {status}")
            return
        if generation.status not in (said, *FINISHED):
            said = generation.status
            say(f"status: {status} (the generation is {said})")
        await asyncio.sleep(0.1)
    raise LocalError(f"no reply within {GIVE_UP_SECONDS:.0f} s (see {stack.place.folder})")


def stored(stack: Stack, tenant: str, process: str) -> Generation:
    """Return the generation as it is stored."""
    clients = session()
    s3 = clients.client("s3", endpoint_url=stack.endpoint)
    payloads = Payloads(lambda: s3, stack.outputs["Bucket"])
    dynamodb = clients.client("dynamodb", endpoint_url=stack.endpoint)
    table = stack.outputs["GenerationsTable"]
    return GenerationStore(dynamodb, table, payloads).get(tenant, process)


def summary(generation: Generation) -> str:
    """Return one line: the model, its tokens, and the seconds from submission to result."""
    completion, finished = generation.completion, generation.finished_at
    if completion is None or finished is None:
        raise LocalError("the generation is not finished")
    seconds = (finished - generation.created_at).total_seconds()
    return (
        f"{completion.model}: {completion.tokens_in} tokens in, {completion.tokens_out} out,"
        f" {seconds:.1f} seconds"
    )
