"""`make demo`: one text through each dialect, and through the whole of a stack."""

import asyncio
import shutil
import time
from typing import Any

import httpx

from afterword.generations import Generation, Status
from afterword.generations.store import GenerationStore
from afterword.runtime.payloads import Payloads
from local.aws import session
from local.dev import MAIL, QUESTION, classification_path, mail_path
from local.model_check import check_model
from local.stack import Stack, run
from local.terminal import LocalError, say

TEMPLATE = (
    "Dear [the customer's full name],\n\n"
    "Thank you for your message about [the subject of the mail in a few words]."
    " We look into it and answer within two working days.\n\n"
    "Kind regards,\nYour customer service"
)
DOCUMENT = "# Invoice 2026-117\n\nFor: Jane Miller\nAmount: 240 euros\nDue date: 15 December 2026\n"
DUE = "When is the invoice due?"
FINISHED = (Status.SUCCEEDED, Status.FAILED, Status.CANCELED)
GIVE_UP_SECONDS = 120.0


async def command(port: int) -> int:
    """Start a stack on `port` (0: any), show each dialect, stop; 0 if the texts came back."""
    try:
        return await run(port, one_of_each, announce=False)
    except httpx.HTTPError as error:
        raise LocalError(f"the API does not answer as it should: {error}") from error


async def one_of_each(stack: Stack) -> int:
    """Check the model, then have mails and questions answered, each through its own API."""
    say(f"ready at {stack.url}")
    print("\nThe model, as `afterword model check` sees it\n", flush=True)
    await check_model(stack)
    tenant = stack.tenants[0]
    await reply(stack, tenant)
    await classify(stack, tenant)
    await answer(stack, tenant)
    await chat(stack, tenant)
    await joke(stack, tenant)
    await question(stack, tenant)
    shutil.rmtree(stack.place.folder, ignore_errors=True)
    return 0


async def reply(stack: Stack, tenant: dict[str, Any]) -> None:
    """Submit a mail through Dialonce's API, tell each status as it changes, print the reply."""
    print(f"\nDialonce's API. The mail: {MAIL['subject']}\n\n{MAIL['body']}\n", flush=True)
    async with api(stack, tenant["api_key"]) as client:
        response = await client.post(mail_path(tenant), json={**MAIL, "template": TEMPLATE})
        if response.is_error:
            raise LocalError(f"the mail was not accepted: {response.status_code} {response.text}")
        process = response.json()["process_cuid"]
        say(f"submitted: process {process}")
        path = f"{mail_path(tenant)}/{process}"
        await follow(stack, client, path, tenant["id"], process, "started")
    print_text(stack, await asyncio.to_thread(stored, stack, tenant["id"], process))


async def classify(stack: Stack, tenant: dict[str, Any]) -> None:
    """Submit the mail to be classified, and print its class with the confidence."""
    print("\nDialonce's API. The class of the same mail", flush=True)
    path = classification_path(tenant)
    async with api(stack, tenant["api_key"]) as client:
        mail = {"subject": MAIL["subject"], "body": MAIL["body"]}
        response = await client.post(path, json={"mail": mail})
        if response.is_error:
            raise LocalError(f"the mail was not accepted: {response.status_code} {response.text}")
        process = response.json()["process_cuid"]
        say(f"submitted: process {process}")
        await follow(stack, client, f"{path}/{process}", tenant["id"], process, "started")
        answered = (await client.get(f"{path}/{process}")).json()
    if answered["result"] is None:
        raise LocalError(f"no class: {answered['status']}")
    print(f"{answered['result']['classification']} ({answered['result']['confidence']})")


async def answer(stack: Stack, tenant: dict[str, Any]) -> None:
    """Submit a question and a document through GenAI Stack's API, and print the answer."""
    print(f"\nGenAI Stack's API. The document:\n\n{DOCUMENT}\nThe question: {DUE}\n", flush=True)
    async with api(stack, tenant["genai_stack"]["api_key"]) as client:
        response = await client.post(
            "/api/v1/generations",
            data={"input_key": ["question", "document"], "input_value": DUE},
            files={"input_value": ("invoice.md", DOCUMENT)},
        )
        if response.is_error:
            raise LocalError(f"the form was not accepted: {response.status_code} {response.text}")
        generation_id = response.json()["id"]
        say(f"submitted: generation {generation_id}")
        path = f"/api/v1/generations/{generation_id}"
        await follow(stack, client, path, tenant["id"], generation_id, "pending", "processing")
    print_text(stack, await asyncio.to_thread(stored, stack, tenant["id"], generation_id))


async def chat(stack: Stack, tenant: dict[str, Any]) -> None:
    """Ask a question in a chat session of GenAI Stack's API, and print the answer's events."""
    print(f"\nGenAI Stack's chat. The message: {QUESTION['query']}\n", flush=True)
    async with api(stack, tenant["api_key"]) as client:
        wanted = {"scopes": ["submit", "read"], "flow": tenant["unless"]["website"]}
        key = (await client.post("/v1/keys", json=wanted)).raise_for_status().json()["key"]
    async with api(stack, key) as client:
        created = (await client.post("/api/v1/chat_sessions", json={})).raise_for_status()
        path = f"/api/v1/chat_sessions/{created.json()['id']}"
        say(f"created: {path}")
        message = {"chatKey": "question", "inputs": {"question": QUESTION["query"]}}
        answered = await client.post(f"{path}/messages", json=message)
    if answered.is_error:
        raise LocalError(f"no answer: {answered.status_code} {answered.text}")
    print(answered.text.strip(), flush=True)


async def joke(stack: Stack, tenant: dict[str, Any]) -> None:
    """Run a flow through Promptitude's API, which waits for the text, and print it."""
    flow, inputs = tenant["promptitude"]["flow"], tenant["promptitude"]["inputs"]
    print(f"\nPromptitude's API. The flow {flow} with {inputs}\n", flush=True)
    async with api(stack, tenant["api_key"]) as client:
        request = {"userId": "user-1", "flow": {"inputs": inputs}}
        response = await client.post(f"/v1/flows/{flow}/generate", json=request)
    if response.is_error:
        raise LocalError(f"no text: {response.status_code} {response.text}")
    say(f"answered: {response.status_code}")
    log_id = response.json()["results"]["logId"]
    print_text(stack, await asyncio.to_thread(stored, stack, tenant["id"], log_id))


async def question(stack: Stack, tenant: dict[str, Any]) -> None:
    """Ask the documents a question through Unless's API, and print the answer and its sources."""
    print(f"\nUnless's API. The question: {QUESTION['query']}\n", flush=True)
    headers = {"x-account-id": tenant["id"], "x-website-id": tenant["unless"]["website"]}
    async with api(stack, tenant["api_key"]) as client:
        client.headers.update({**headers, "x-api-key": tenant["api_key"]})
        response = await client.post("/api/v1/ai/async/query", json=QUESTION)
        if response.is_error:
            raise LocalError(f"the question was refused: {response.status_code} {response.text}")
        question_id = response.json()["questionId"]
        say(f"submitted: question {question_id}")
        path = f"/api/v1/ai/async/answer?questionId={question_id}"
        await follow(stack, client, path, tenant["id"], question_id, "PENDING", "PROCESSING")
        answered = (await client.get(path)).json()
        judged = {"questionId": question_id, "feedback": "positive"}
        response = await client.post("/api/v1/ai/feedback", json=judged)
        if response.is_error:
            raise LocalError(f"the feedback was refused: {response.status_code} {response.text}")
        say(f"feedback: {response.json()['feedback']}")
    print_text(stack, await asyncio.to_thread(stored, stack, tenant["id"], question_id))
    *_, turn = answered["chatData"]["history"]
    for source in turn["metadata"]:
        used = "used" if source["isUsedForAnswer"] else "not used"
        print(f"source: {source['title']} ({source['source']}), {used}", flush=True)


def api(stack: Stack, key: str) -> httpx.AsyncClient:
    """Return a client of the stack's API with a key."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.AsyncClient(base_url=stack.url, headers=headers, timeout=35)


def print_text(stack: Stack, generation: Generation) -> None:
    """Print a finished generation's text and what it took; raise LocalError if it has none."""
    if generation.completion is None:
        raise LocalError(
            f"no text: {generation.reason}: {generation.message} (see {stack.place.folder})"
        )
    print(f"\n{generation.completion.text}\n\n{summary(generation)}", flush=True)


async def follow(
    stack: Stack,
    client: httpx.AsyncClient,
    path: str,
    tenant: str,
    process: str,
    *unfinished: str,
) -> None:
    """Say each status until it is none of the unfinished, as the API and as the item give it."""
    said = ""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < deadline:
        response = await client.get(path)
        response.raise_for_status()
        generation = await asyncio.to_thread(stored, stack, tenant, process)
        status = response.json()["status"]
        if status not in unfinished:
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
