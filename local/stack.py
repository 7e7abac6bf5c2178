"""One embedded stack from its first process to its last."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from local import models
from local.aws import REGION, STACK
from local.bedrock import Relay
from local.build import SAM, STACK_PYTHON, build, check_environments
from local.deploy import deploy, store_secret
from local.model_server import ModelServer
from local.places import Place, announce_newest
from local.processes import LOOPBACK, Child, Nursery, hold_port, port_of
from local.template import API_ID, worker_seconds
from local.tenants import create_tenants
from local.terminal import LocalError, say
from local.warming import warm

READY_SECONDS = 30.0
STOP_SECONDS = 30.0  # the longest that a start waits for another's end
WARMS = "AFTERWORD_WARM"
"""The variable that leaves the start of functions to their first requests with 0."""

type Use = Callable[[Stack], Coroutine[Any, Any, int]]


@dataclass(frozen=True)
class Stack:
    """A stack that is ready."""

    place: Place
    url: str  # the HTTP API, as a client sees it
    endpoint: str  # the AWS that the functions and the command line talk to
    outputs: dict[str, str]  # of the CloudFormation stack
    tenants: list[dict[str, Any]]
    model: models.Choice
    pids: dict[str, int]  # of the processes that are the same for as long as it runs
    bedrock: str | None  # where functions find Amazon Bedrock, if the model is there

    def facts(self, **pids: int | None) -> dict[str, Any]:
        """Return the members of dev.json."""
        return {
            "url": self.url,
            "tenants": self.tenants,
            "endpoint": self.endpoint,
            "region": REGION,
            "stack": STACK,
            "port": int(self.url.rpartition(":")[2]),
            "pids": {**self.pids, **pids},
            "model": {"kind": self.model.kind, "model": self.model.model, "url": self.model.url},
            "bedrock": self.bedrock,
        }


async def run(
    port: int,
    use: Use,
    *,
    announce: bool,
    place: Place | None = None,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Start a stack with its API on `port` (0: any free one), use it, stop it.

    The stack writes into the place of its port, unless another is given; `environ` has its
    settings. Returns the result of `use`. Raises LocalError when the stack cannot start, or when a
    part ends that cannot be replaced. No process of the stack is left in any case.
    """
    check_environments(SAM, STACK_PYTHON)
    announce_newest()
    await stopped(place or Place.of(port))
    api = hold_port(port)
    place = place or Place.of(port_of(api))
    place.prepare()
    try:
        async with Nursery() as nursery:
            try:
                return await _run(nursery, place, api, use, environ, announce=announce)
            finally:
                place.leave()
    except LocalError:
        place.check_room()  # a full disk shows in many ways, few of which name it
        raise
    finally:
        place.withdraw()


async def _run(  # noqa: PLR0913 - what a stack is made of
    nursery: Nursery,
    place: Place,
    api: socket.socket,
    use: Use,
    environ: Mapping[str, str],
    *,
    announce: bool,
) -> int:
    worker = worker_seconds(environ)
    model = await asyncio.to_thread(models.choose, environ)
    say(f"model: {model.description}")
    relay = await asyncio.to_thread(Relay, environ) if model.kind == "bedrock" else None
    servers: list[ModelServer] = []
    if model.kind == "demo":
        servers.append(ModelServer(nursery, place))
        model = replace(model, url=servers[0].url)
    embedding = models.choose_embedding(environ)
    if embedding and not embedding.url:
        server = ModelServer(nursery, place, "embeddings", "serve_embeddings.py")
        servers.append(server)
        embedding = replace(embedding, url=server.url)
    if embedding:
        say(f"embedding model: {embedding.model}")
    gateway = hold_port(0)
    url, endpoint = (f"http://{LOOPBACK}:{port_of(held)}" for held in (api, gateway))
    aws = await start_aws(nursery, place, gateway, api, relay)

    async def start() -> Stack:
        starting = asyncio.gather(*(server.start() for server in servers))
        built, _, _ = await asyncio.gather(
            build(nursery, place), answering(f"{endpoint}/_ministack/health"), starting
        )
        say("deploying the template")
        parameters = _model_parameters(endpoint, model) | _embedding_parameters(embedding)
        outputs = await asyncio.to_thread(
            deploy_with, endpoint, built, parameters, environ, layers=place.layers, worker=worker
        )
        say("creating the tenants")
        starts = answering(f"{url}/health") if environ.get(WARMS) == "0" else warm(url, endpoint)
        tenants, _ = await asyncio.gather(
            asyncio.to_thread(create_tenants, endpoint, outputs), starts
        )
        pids = {"dev": os.getpid(), "aws": aws.pid}
        bedrock = relay.url if relay else None
        return Stack(place, url, endpoint, outputs, tenants, model, pids, bedrock)

    async def work() -> int:
        try:
            stack = await start()
        except (BotoCoreError, ClientError) as error:
            raise LocalError(f"ministack does not do as AWS would: {error}") from error

        def tell() -> None:
            if announce:
                model_pid = servers[0].pid if model.kind == "demo" else None
                place.announce(stack.facts(model=model_pid))

        tell()
        return await unless_one_ends(use(stack), *(server.keep(tell) for server in servers))

    return await unless_one_ends(work(), lost(aws))


async def start_aws(
    nursery: Nursery,
    place: Place,
    gateway: socket.socket,
    api: socket.socket,
    relay: Relay | None,
) -> Child:
    """Start ministack on the two sockets, which are its own from then on.

    Its environment is what the functions inherit, so nothing of the user's goes in.
    """
    folder = place.folder
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "TMPDIR": str(place.tmp),
        "S3_DATA_DIR": str(place.tmp / "s3"),
        "STATE_DIR": str(place.tmp / "state"),
        "DOCKER_HOST": f"unix://{place.tmp}/no-docker.sock",
        "GATEWAY_PORT": str(port_of(gateway)),
        "MINISTACK_HOST": LOOPBACK,
        "MINISTACK_REGION": REGION,
        "AUTH": "true",  # the functions' roles are enforced
        "LAMBDA_ACCOUNT_CONCURRENCY": "0",  # front.py bounds it, without refusing anybody
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
    }
    if relay:
        environment["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"] = relay.url
    child = await nursery.start(
        "ministack",
        [
            *(STACK_PYTHON, "-m", "local.serve_aws"),
            *(str(gateway.fileno()), str(api.fileno()), str(port_of(api)), API_ID),
        ],
        env=environment,
        log=place.log("ministack"),
        sockets=(gateway, api),
    )
    gateway.close()
    api.close()
    return child


def deploy_with(  # noqa: PLR0913 - what a stack is made of
    endpoint: str,
    built: Path,
    parameters: Mapping[str, str],
    environ: Mapping[str, str],
    *,
    layers: Path,
    worker: int | None,
) -> dict[str, str]:
    """Deploy the template for these models and settings; return the stack's outputs."""
    return deploy(
        endpoint,
        built,
        {
            **parameters,
            "EventBusName": "default",
            "IntakeBusName": "default",
            "FetchAllowed": environ.get("AFTERWORD_FETCH_ALLOWED", ""),
            "AllowedOrigins": environ.get("AFTERWORD_ALLOWED_ORIGINS", ""),
            **_webhook_retries(environ),
            "LogLevel": "INFO",
            "Monitoring": "false",  # ministack's alarms never ring
        },
        layers=layers,
        worker=worker,
    )


def _model_parameters(endpoint: str, model: models.Choice) -> dict[str, str]:
    return {
        "ModelProvider": "bedrock" if model.kind == "bedrock" else "openai",
        "ModelId": model.model,
        "ModelBaseUrl": model.url,
        "ModelApiKeySecretArn": store_secret(endpoint, model.api_key),
    }


def _embedding_parameters(embedding: models.Embedding | None) -> dict[str, str]:
    if embedding is None:
        return {}
    return {
        "EmbeddingProvider": "openai",
        "EmbeddingModel": embedding.model,
        "EmbeddingBaseUrl": embedding.url,
    }


def _webhook_retries(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the schedule that the environment asks for, nothing for the template's own."""
    retries = environ.get("AFTERWORD_WEBHOOK_RETRIES")
    return {"WebhookRetries": retries} if retries else {}


async def stopped(place: Place, seconds: float = STOP_SECONDS) -> None:
    """Wait while a stack is being stopped in this place, but no longer than some seconds."""
    deadline = time.monotonic() + seconds
    if place.is_left():
        say("a stack on this port is stopping, waiting for it")
    while place.is_left() and time.monotonic() < deadline:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.05)


async def answering(url: str) -> None:
    """Wait until GET answers; raise LocalError when it does not in time, or not with 200."""
    deadline = time.monotonic() + READY_SECONDS
    async with httpx.AsyncClient(timeout=READY_SECONDS) as client:
        while True:
            try:
                answer = await client.get(url)
                break
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise LocalError(f"GET {url} is not answered: {error}") from error
                await asyncio.sleep(0.05)
    if answer.status_code != httpx.codes.OK:
        raise LocalError(f"GET {url} answers {answer.status_code}: {answer.text[:200]}")


async def lost(child: Child) -> NoReturn:
    """Wait for a process that cannot be replaced, and raise LocalError when it ends."""
    how = await child.ended()
    raise LocalError(f"{child.name} ended ({how}), and its state with it: see {child.log}")


async def unless_one_ends(
    work: Coroutine[Any, Any, int], *guards: Coroutine[Any, Any, NoReturn]
) -> int:
    """Return the result of `work`, or raise the error of a guard that fails before."""
    task = asyncio.ensure_future(work)
    watching = [asyncio.ensure_future(guard) for guard in guards]
    try:
        done, _ = await asyncio.wait([task, *watching], return_when=asyncio.FIRST_COMPLETED)
        for guard in watching:
            if guard in done:
                guard.result()
        return task.result()
    finally:
        for running in (task, *watching):
            running.cancel()
        await asyncio.gather(task, *watching, return_exceptions=True)
