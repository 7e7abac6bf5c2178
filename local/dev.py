"""`make dev`: a stack to work with, until Ctrl-C."""

import asyncio
import json
import os
import shlex
from typing import Any

from local.model_check import check_model
from local.stack import Stack, run
from local.terminal import say

MAIL = {
    "subject": "Refund after a cancelled policy",
    "body": "Hello, I cancelled my travel insurance on 2 September, but 46 euros were still"
    " taken from my account. When will I get them back? Best regards, Jane Miller",
    "metadata": {"date": "2026-09-11", "policy_number": "123456789"},
    "external_ref": "case-457",
}
QUESTION = {
    "query": "How many days is a text kept?",
    "sessionId": "session-1",
    "visitorId": "visitor-1",
}
CHECKS_MODEL = "AFTERWORD_MODEL_CHECK"
"""The variable that leaves the check of the model out with 0."""


async def command(port: int) -> int:
    """Run a stack until cancelled."""
    return await run(port, until_stopped, announce=True)


async def until_stopped(stack: Stack) -> int:
    """Say how to use the stack, and wait."""
    say("ready")
    print(introduction(stack), flush=True)
    if os.environ.get(CHECKS_MODEL) != "0":
        say(f"checking the model, as `afterword --local model check` does ({CHECKS_MODEL}=0: not)")
        await check_model(stack)
    await asyncio.Event().wait()
    return 0


def introduction(
    stack: Stack,
    form: str = "-F question='What is it about?' -F document=@README.md",
    logs: str = "Follow the logs with `make logs`.",
) -> str:
    """Return the URLs, keys and curl lines of the stack.

    `form` is how curl sends a question to GenAI Stack's API, `logs` says where the logs are.
    """
    tenant = stack.tenants[0]
    mails = f"{stack.url}{mail_path(tenant)}"
    key = f"-H 'Authorization: Bearer {tenant['api_key']}'"
    app_key = f"-H 'Authorization: Bearer {tenant['genai_stack']['api_key']}'"
    joke = tenant["promptitude"]
    website = (
        f"-H 'x-api-key: {tenant['api_key']}' -H 'x-website-id: {tenant['unless']['website']}'"
    )
    generations = f"{stack.url}/api/v1/generations"
    return f"""
  API     {stack.url}
  key     {tenant["api_key"]}   (tenant {tenant["id"]})
  model   {stack.model.description}
  AWS     {stack.endpoint}

Submit a mail:
  curl {mails} {key} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(MAIL))}

Read the reply, with the process_cuid that this answers in place of ID:
  curl {mails}/ID {key}

Ask about a document, through GenAI Stack's API:
  curl {generations} {app_key} {form}
  curl {generations} {app_key}

Run a flow and wait for its text, through Promptitude's API:
  curl {stack.url}/v1/flows/{joke["flow"]}/generate {key} -H 'Content-Type: application/json' \\
    -d {shlex.quote(json.dumps({"flow": {"inputs": joke["inputs"]}}))}

Ask the documents in docs/faq, through Unless's API, and read the answer with its questionId:
  curl {stack.url}/api/v1/ai/async/query {website} -H 'Content-Type: application/json' \\
    -d {shlex.quote(json.dumps(QUESTION))}
  curl '{stack.url}/api/v1/ai/async/answer?questionId=ID' {website}

{logs} Stop with Ctrl-C.
"""


def mail_path(tenant: dict[str, Any]) -> str:
    """Return the path where a tenant's mails are submitted."""
    orchestrator = tenant["flows"]["dialonce"]["orchestrator"]
    return f"/api/companies/{tenant['id']}/orchestrators/{orchestrator}/generation-async"


def classification_path(tenant: dict[str, Any]) -> str:
    """Return the path where a tenant's mails are submitted to be classified."""
    orchestrator = tenant["flows"]["dialonce"]["classifier"]
    return f"/api/companies/{tenant['id']}/orchestrators/{orchestrator}/classification-async"
