"""The API of all peers: submit a text, get an id, come back; PEER names the queue behind it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from fastapi import FastAPI, Response
from pydantic import BaseModel

queue = import_module(f"bench.peers.apps.{os.environ['PEER']}_queue")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the queue's connections with the process, and close them with it."""
    async with queue.connection():
        yield


app = FastAPI(lifespan=lifespan)


class Submission(BaseModel):
    """A request for a text."""

    text: str


@app.post("/generations", status_code=202)
async def submit(submission: Submission) -> dict[str, str]:
    """Accept a submission."""
    return {"id": await queue.submit(submission.text)}


@app.get("/generations/{generation}")
async def get(generation: str, response: Response) -> dict[str, str | None]:
    """Return the text, None while there is none."""
    text = await queue.find(generation)
    if text is None:
        response.status_code = 202
    return {"id": generation, "output": text}
