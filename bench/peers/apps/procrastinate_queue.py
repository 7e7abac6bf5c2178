"""procrastinate with PostgreSQL; `work` runs the jobs, once `prepare` has made the tables.

procrastinate keeps no results: a table beside its own has the texts.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from procrastinate import App, PsycopgConnector
from psycopg_pool import AsyncConnectionPool

from bench.peers.apps.model import AT_ONCE, URL, build_request, read_answer

DSN = os.environ["POSTGRES_DSN"]
app = App(connector=PsycopgConnector(conninfo=DSN, max_size=10))
_pools: list[AsyncConnectionPool] = []
_clients: list[httpx.AsyncClient] = []


@asynccontextmanager
async def connection() -> AsyncIterator[None]:
    """Connect to PostgreSQL."""
    async with app.open_async(), AsyncConnectionPool(DSN, max_size=10) as pool:
        _pools.append(pool)
        yield


async def submit(text: str) -> str:
    """Defer a job; return its id."""
    return str(await generate.defer_async(text=text))


async def find(generation: str) -> str | None:
    """Return the text of a job that has ended."""
    async with _pools[0].connection() as connected:
        query = "SELECT text FROM texts WHERE job = %s"
        row = await (await connected.execute(query, (int(generation),))).fetchone()
    return None if row is None else str(row[0])


@app.task(pass_context=True)
async def generate(context: object, text: str) -> None:
    """Run a job, and keep its text."""
    response = await _clients[0].post(URL, json=build_request(text))
    job = context.job.id  # type: ignore[attr-defined]
    async with _pools[0].connection() as connected:
        insert = "INSERT INTO texts VALUES (%s, %s)"
        await connected.execute(insert, (job, read_answer(response.json())))


async def prepare() -> None:
    """Make the tables."""
    async with connection():
        await app.schema_manager.apply_schema_async()
        async with _pools[0].connection() as connected:
            await connected.execute("CREATE TABLE texts (job bigint PRIMARY KEY, text text)")


async def work() -> None:
    """Run jobs until the process is ended."""
    async with connection(), httpx.AsyncClient(timeout=60) as client:
        _clients.append(client)
        await app.run_worker_async(concurrency=AT_ONCE, fetch_job_polling_interval=0.5)
