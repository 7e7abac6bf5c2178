"""`afterword batch run`: a file of submissions over the API, as anybody with a key may send it."""

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
import urllib3
from rich.progress import TextColumn
from urllib3.exceptions import HTTPError

from afterword.batches import MAX_BATCH_DEADLINE, MIN_BATCH_DEADLINE
from afterword.errors import AfterwordError
from cli.terminal import progress, result, say

POLL_SECONDS = 2.0
CHUNK_BYTES = 1024 * 1024
_RETRIES = urllib3.Retry(
    total=6,
    backoff_factor=0.5,
    status_forcelist=(429, 502, 503, 504),
    allowed_methods=None,  # all: a batch has one key, however often it is asked for
    raise_on_status=False,
)
_TIMEOUT = urllib3.Timeout(connect=10, read=60)
_ENDED = ("finished", "failed")

type Json = Mapping[str, Any]

app = typer.Typer(no_args_is_help=True, help="Run files of submissions over the API.")


@app.callback()
def batch() -> None:
    """Run files of submissions over the API."""


class BatchError(AfterwordError):
    """The API or its storage does not answer, or not as expected; the message says what it says."""


@dataclass(frozen=True)
class Api:
    """The API of a stack, and a key for it."""

    url: str
    key: str
    http: urllib3.PoolManager

    def ask(self, method: str, path: str, body: Json | None = None, **headers: str) -> Json:
        """Return the JSON of an answer; raise BatchError with what is wrong for an error."""
        sent = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        answer = self.request(
            method,
            self.url.rstrip("/") + path,
            body=None if body is None else json.dumps(body),
            headers={**sent, **headers},
        )
        found: Json = answer.json()
        return found

    def request(self, method: str, url: str, **more: Any) -> urllib3.BaseHTTPResponse:  # noqa: ANN401 - urllib3's own
        """Return a good answer; raise BatchError otherwise."""
        try:
            answer = self.http.request(method, url, timeout=_TIMEOUT, retries=_RETRIES, **more)
        except HTTPError as error:
            raise BatchError(f"{url.partition('?')[0]} does not answer: {error}") from error
        if answer.status >= 400:  # noqa: PLR2004 - the statuses of errors
            raise BatchError(f"The request was refused with {answer.status}: {_why(answer)}")
        return answer


def _why(answer: urllib3.BaseHTTPResponse) -> str:
    try:
        problem = answer.json()
        return str(problem.get("detail") or problem.get("message") or problem)
    except (ValueError, AttributeError):
        return answer.data.decode(errors="replace")[:200]


@app.command()
def run(  # noqa: PLR0913, PLR0917 - the command's options
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, help="JSON Lines: a submission a line."
        ),
    ],
    url: Annotated[
        str, typer.Option(envvar="AFTERWORD_URL", help="URL of the API: the stack's ApiUrl.")
    ],
    key: Annotated[str, typer.Option(envvar="AFTERWORD_KEY", help="A key that submits and reads.")],
    output: Annotated[
        Path | None, typer.Option(help="File for the results. Default: standard output.")
    ] = None,
    name: Annotated[str, typer.Option(help="Runs the same file once more, as another batch.")] = "",
    hours: Annotated[
        float | None,
        typer.Option(
            min=MIN_BATCH_DEADLINE / timedelta(hours=1),
            max=MAX_BATCH_DEADLINE / timedelta(hours=1),
            help="Ends the batch with what it has. Default: the stack's BatchHours.",
        ),
    ] = None,
) -> None:
    """Run a file, and write its results, in the order of its lines.

    Interrupted, the same command goes on where it was. Exit code 1 unless all lines have succeeded.
    """
    api = Api(url, key, urllib3.PoolManager())
    batch = _ended(api, _sent(api, file, name, hours))
    if batch["status"] == "failed":
        raise BatchError(f"The batch failed: {batch['error']['message']}")
    if output is None:
        for line in api.request("GET", batch["results_url"]).data.decode().splitlines():
            result(line)
    else:
        _save(api, batch["results_url"], output)
    counts = batch["counts"]
    say(f"{batch['lines']} lines: " + ", ".join(f"{n} {what}" for what, n in counts.items() if n))
    if counts["succeeded"] < batch["lines"]:
        raise typer.Exit(1)


def _sent(api: Api, file: Path, name: str, hours: float | None) -> Json:
    """Send a file unless it is there already; return its batch."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256")
        digest.update(name.encode())
        key = {"idempotency-key": f"file-{digest.hexdigest()}"}
        asked: dict[str, object] = {"upload": True}
        if hours is not None:
            asked["deadline_seconds"] = round(hours * 3600)
        batch = api.ask("POST", "/v1/batches", asked, **key)
        if "upload_url" in batch:
            content.seek(0)
            size = os.fstat(content.fileno()).st_size
            say(f"Sending {size} bytes.")
            headers = {"content-length": str(size)}
            api.request("PUT", batch["upload_url"], body=content, headers=headers)
        else:
            say(f"Batch {batch['id']} is there already.")
    return batch


def _ended(api: Api, batch: Json) -> Json:
    """Wait until a batch has ended, with a bar on a terminal; return it."""
    say(f"Batch {batch['id']}.")
    with progress(TextColumn("{task.description}")) as bar:
        task = bar.add_task("", total=None)
        while batch["status"] not in _ENDED:
            time.sleep(POLL_SECONDS)
            batch = api.ask("GET", f"/v1/batches/{batch['id']}")
            bar.update(
                task, total=batch["lines"], completed=batch["ended"], description=_pace(batch)
            )
        if batch["status"] == "finished" and batch["results_url"] is None:
            batch = api.ask("GET", f"/v1/batches/{batch['id']}")  # for the URL
    return batch


def _pace(batch: Json) -> str:
    """Return how fast a batch is, and when it ends at this rate."""
    if batch.get("window") is None:
        return str(batch["status"])
    pace = f"{batch['open']} of {batch['window']} open, {batch['lines_per_minute']:.0f} a minute"
    end = batch["expected_end_at"]
    return pace if end is None else f"{pace}, until {end[:16].replace('T', ' ')} UTC"


def _save(api: Api, url: str, output: Path) -> None:
    """Write the results to a file, whole or not at all."""
    draft = output.with_name(f"{output.name}.part")
    answer = api.request("GET", url, preload_content=False)
    try:
        with draft.open("wb") as written:
            for chunk in answer.stream(CHUNK_BYTES):
                written.write(chunk)
        draft.replace(output)
    except OSError as error:
        raise BatchError(f"{output}: {error.strerror}") from error
    finally:
        answer.release_conn()
