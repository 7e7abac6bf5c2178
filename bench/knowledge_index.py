"""`python -m bench.knowledge_index`: the first question of a new worker to many passages.

Each worker is a process of its own. DynamoDB and S3 are a server on loopback in another process,
without TLS, whose time is not in the figures. Before: each worker reads all contents and builds an
index in its memory, as with `StoredIndexes=false`. After: the first worker builds it as a file and
puts it into the bucket, and the next one fetches it.
"""

import argparse
import json
import multiprocessing
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import batched, count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.session
from botocore.config import Config
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from afterword.generations import FailedError, new_id
from afterword.knowledge import folder_id, index_files
from afterword.knowledge.passages import cut_passages
from afterword.runtime.clients import Clients
from afterword.runtime.settings import Settings
from afterword.services import Services
from bench.recall import corpus
from bench.results import write_results

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

SIZES = (10_000, 100_000)
"""Passages of the selections."""
OF_A_CONTENT = 12
"""Passages that a content is made of."""
PAGE_BYTES = 1_000_000
"""The most that DynamoDB returns of a query."""
TENANT, BUCKET = "bench", "contents"
FIGURES = ("first, CPU s", "by the clock", "next, CPU ms", "memory, MB", "peak, MB")
"""The first question and the next ones, the memory that they take, and the peak of the process.

The peak has the mapped pages of files and the imports.
"""
QUESTIONS = (
    "How do I delete the policy of a bucket?",
    "For how many days are the events of a log group kept?",
    "Which instance types can a cluster have?",
    "What does the with statement do with an exception?",
)


def main() -> None:
    """Measure the workers, print the table, and write its figures beside it."""
    parser = argparse.ArgumentParser(prog="python -m bench.knowledge_index", description=__doc__)
    parser.add_argument("--passages", type=int, nargs="*", default=SIZES)
    parser.add_argument("--ask", nargs=2, metavar=("URL", "STORED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ask:
        print(json.dumps(_ask(*arguments.ask)))
        return
    rows = [row for passages in arguments.passages for row in _measure(passages)]
    table = Table(
        Column("passages"),
        Column("worker"),
        *map(Column, FIGURES),
        box=SIMPLE,
    )
    for row in rows:
        table.add_row(f"{row['passages']:,}", row["worker"], *map(str, row["figures"].values()))
    Console().print(table)
    cases = {f"{row['passages']}, {row['worker']}": row["figures"] for row in rows}
    first = {case: figures[FIGURES[0]] for case, figures in cases.items()}
    measured = {case: seconds for case, seconds in first.items() if seconds != "refused"}
    write_results("knowledge_index", {"CPU s": measured})


def _measure(passages: int) -> Iterator[dict[str, Any]]:
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(passages, theirs), daemon=True)
    server.start()
    url: str = ours.recv()
    for worker, stored in (
        ("before: builds in memory", "false"),
        ("after: builds the file", "true"),
        ("after: fetches it", "true"),
    ):
        command = [sys.executable, "-m", "bench.knowledge_index", "--ask", url, stored]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own # nosec B603
        figures = json.loads(done.stdout.splitlines()[-1])
        yield {"passages": passages, "worker": worker, "figures": figures}
    server.terminate()
    server.join()


def _ask(url: str, stored: str) -> dict[str, object]:
    """Ask the questions as a new worker, and return its figures: seconds and megabytes."""
    session = botocore.session.get_session()
    session.set_credentials("access", "secret")
    create = partial(session.create_client, region_name="eu-west-1", endpoint_url=url)

    def build(service: str, config: Config) -> object:
        return create(service, config=config)

    index_files.BUILD_SECONDS = float("inf")  # by the clock, which others on the machine slow down
    clients = Clients(build)
    settings = {
        "AFTERWORD_CONTENTS_TABLE": "contents",
        "AFTERWORD_CONTENTS_BUCKET": BUCKET,
        "AFTERWORD_STORED_INDEXES": stored,
    }
    services = Services(clients, Settings(settings))
    assert clients.dynamodb  # noqa: S101 - a worker has it before the first message
    assert clients.s3  # noqa: S101
    seconds: list[float] = []
    before = _memory()
    for question in QUESTIONS:
        began, clock = time.process_time(), time.perf_counter()
        try:
            services.knowledge.find_passages(TENANT, [], [], [question], 5)
        except FailedError:
            return dict.fromkeys(FIGURES, "refused")
        if not seconds:
            waited = time.perf_counter() - clock
        seconds.append(time.process_time() - began)
    figures = (
        round(seconds[0], 3),
        round(waited, 2),
        round(sum(seconds[1:]) / len(seconds[1:]) * 1_000, 1),
        round(_memory() - before, 1),
        round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024, 1),
    )
    return dict(zip(FIGURES, figures, strict=True))


def _memory() -> float:
    """Return the megabytes of the process that are no mapped files."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+)", status)
    assert found is not None  # noqa: S101 - Linux has it
    return int(found[1]) / 1_024


# --- DynamoDB and S3 -----------------------------------------------------------------------------


def _serve(passages: int, ready: "Connection") -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Stand)
    server.pages = list(_pages(passages))  # type: ignore[attr-defined]
    server.objects = {}  # type: ignore[attr-defined]
    ready.send(f"http://127.0.0.1:{server.server_port}")
    server.serve_forever()


def _pages(passages: int) -> Iterator[str]:
    """Yield the items of contents with so many passages in all, as DynamoDB pages them."""
    page: list[str] = []
    for item in _items(passages):
        page.append(json.dumps(item))
        if sum(map(len, page)) > PAGE_BYTES:
            yield ",".join(page)
            page.clear()
    yield ",".join(page)


def _items(passages: int) -> Iterator[dict[str, object]]:
    folder = folder_id(TENANT, "All")
    left = passages
    for title, text in _texts():
        found = len(cut_passages(text))
        if found > left:
            return
        left -= found
        content = new_id()
        yield {
            "pk": {"S": TENANT},
            "sk": {"S": f"text#{folder}#{content}"},
            "id": {"S": content},
            "name": {"S": title},
            "folder": {"S": folder},
            "revision": {"N": "1"},
            "object": {"S": f"{TENANT}/{content}/text.txt"},
            "text": {"S": text},
        }


def _texts() -> Iterator[tuple[str, str]]:
    """Yield the references of AWS's services and of Python by parts, in ever new editions."""
    parts = [
        (document.title, some)
        for document in corpus.references()
        for some in batched(cut_passages(document.text), OF_A_CONTENT, strict=False)
    ]
    for edition in count():
        for title, some in parts:
            yield (
                title,
                "\n\n".join(
                    f"# {each.heading}\n\n{each.text}\n\nEdition {edition}." for each in some
                ),
            )


class _Stand(BaseHTTPRequestHandler):
    """One connection to DynamoDB and S3."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer DynamoDB's requests, and S3's for many deletions."""
        body = self.rfile.read(int(self.headers["content-length"]))
        match self.headers.get("x-amz-target", "").partition(".")[2]:
            case "BatchGetItem":
                item = {
                    "pk": {"S": TENANT},
                    "sk": {"S": "all"},
                    "version": {"N": "1"},
                    "contents": {"N": "1"},
                }
                found = {"Responses": {"contents": [item]}, "UnprocessedKeys": {}}
                self._send(json.dumps(found).encode())
            case "Query":
                start = json.loads(body).get("ExclusiveStartKey")
                at = int(start["sk"]["S"]) if start else 0
                pages = self.server.pages  # type: ignore[attr-defined]
                rest: dict[str, object] = {"Count": 0, "ScannedCount": 0}
                if at + 1 < len(pages):
                    rest["LastEvaluatedKey"] = {"pk": {"S": TENANT}, "sk": {"S": str(at + 1)}}
                self._send(f'{{"Items": [{pages[at]}], {json.dumps(rest)[1:]}'.encode())
            case _:
                for key in re.findall("<Key>(.*?)</Key>", body.decode()):
                    self.server.objects.pop(key, None)  # type: ignore[attr-defined]
                self._send(b"<DeleteResult/>")

    def do_PUT(self) -> None:
        """Keep an object."""
        content = self.rfile.read(int(self.headers["content-length"]))
        self.server.objects[self._key()] = content  # type: ignore[attr-defined]
        self._send(b"")

    def do_GET(self) -> None:
        """Return an object, or the list of those with a prefix."""
        objects = self.server.objects  # type: ignore[attr-defined]
        asked = parse_qs(urlsplit(self.path).query)
        if "list-type" in asked:
            keys = [key for key in objects if key.startswith(asked["prefix"][0])]
            listed = "".join(f"<Contents><Key>{key}</Key></Contents>" for key in keys)
            self._send(f"<ListBucketResult>{listed}</ListBucketResult>".encode())
        elif self._key() in objects:
            self._send(objects[self._key()])
        else:
            self._send(b"<Error><Code>NoSuchKey</Code></Error>", status=404)

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/")

    def _send(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


if __name__ == "__main__":
    main()
