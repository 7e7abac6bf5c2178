"""Celery with Redis; its worker, with a pool of threads, runs the tasks."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from celery import Celery
from celery.result import AsyncResult

from bench.peers.apps.model import URL, build_request, read_answer

app = Celery("peers", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.task_acks_late = True
app.conf.worker_prefetch_multiplier = 1
client = httpx.Client(timeout=60)


@asynccontextmanager
async def connection() -> AsyncIterator[None]:
    """Celery connects by itself."""
    yield


async def submit(text: str) -> str:
    """Send a task in a thread, since Celery's client blocks; return its id."""
    return str((await asyncio.to_thread(generate.delay, text)).id)


async def find(generation: str) -> str | None:
    """Return the text of a task that has ended."""
    result = AsyncResult(generation, app=app)
    ready = await asyncio.to_thread(result.ready)
    return str(result.result) if ready else None


@app.task
def generate(text: str) -> str:
    """Run a task."""
    return read_answer(client.post(URL, json=build_request(text)).json())
