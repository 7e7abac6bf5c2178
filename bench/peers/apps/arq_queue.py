"""arq with Redis; `arq bench.peers.apps.arq_queue.Worker` runs the jobs."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.jobs import Job, JobStatus

from bench.peers.apps.model import AT_ONCE, URL, build_request, read_answer

SETTINGS = RedisSettings.from_dsn(os.environ["REDIS_URL"])
_pools: list[ArqRedis] = []


@asynccontextmanager
async def connection() -> AsyncIterator[None]:
    """Connect to Redis."""
    _pools.append(await create_pool(SETTINGS))
    try:
        yield
    finally:
        await _pools.pop().aclose()


async def submit(text: str) -> str:
    """Enqueue a job; return its id."""
    job = await _pools[0].enqueue_job("generate", text)
    return "" if job is None else str(job.job_id)  # None only for an id of the caller's


async def find(generation: str) -> str | None:
    """Return the text of a job that has ended."""
    job = Job(generation, _pools[0])
    if await job.status() is not JobStatus.complete:
        return None
    return str(await job.result(timeout=5))


async def generate(context: dict[str, Any], text: str) -> str:
    """Run a job."""
    response = await context["client"].post(URL, json=build_request(text))
    return read_answer(response.json())


async def open_client(context: dict[str, Any]) -> None:
    """Give all jobs of a worker one client."""
    context["client"] = httpx.AsyncClient(timeout=60)


class Worker:
    """The worker's settings."""

    functions = (generate,)
    on_startup = open_client
    redis_settings = SETTINGS
    max_jobs = AT_ONCE
    poll_delay = 0.05
