"""`afterword batch run`, against the handlers behind a server on loopback."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import cli.batches
from afterword import clock
from afterword.batches import Batch, BatchTerms
from afterword.batches.files import BatchFiles
from afterword.runtime.clients import clients
from afterword.services import services
from tests.cli.conftest import Afterword, usage_error
from tests.conftest import Call, Event, Tenant
from tests.harness.api import invoke
from tests.harness.batches import BUCKET, MAIL, Inbox, created, file, turns
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import completion


@dataclass
class Api:
    """The other side of the command line: the API's handlers, and the bucket at plain paths."""

    inbox: Inbox
    load_event: Callable[[str], Event]
    calls: list[Call]
    url: str = ""
    uploads: int = 0
    broken: int = 0
    """How many uploads are cut off before one is taken."""
    authorizations: set[str | None] = field(default_factory=set)

    def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Answer a request."""
        if not path.startswith("/v1/"):
            self.authorizations.add(headers.get("authorization"))
            return self._file(method, path.lstrip("/"), body)
        function = "create_batch" if method == "POST" else "get_batch"
        event = self.load_event(function)
        event["headers"] = headers
        event["body"] = body.decode()
        if method == "GET":
            event["pathParameters"] = {"batchId": path.rpartition("/")[2]}
        result = invoke(function, event)
        return result["statusCode"], result["headers"], result["body"].encode()

    def _file(self, method: str, key: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if method == "GET":
            return 200, {}, clients().s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        self.uploads += 1
        if self.uploads <= self.broken:
            return 403, {}, b"<Error>Request has expired</Error>"
        self.inbox.take(created(key, body))
        self.run()
        return 200, {}, b""

    def run(self) -> None:
        """Let all generations succeed, and the batch have its next turn."""
        for item in clients().dynamodb.scan(TableName=REFERENCES["GenerationsTable"])["Items"]:
            lease = clock.now() + timedelta(minutes=1)
            claim = services().store.claim(item["tenant"]["S"], item["id"]["S"], lease)
            if claim is not None:
                services().outbox.succeed(claim, completion("Hi"))
        following, _ = turns(self.calls)[-1]
        self.inbox.take(following)


@pytest.fixture
def api(
    tenant: Tenant,
    load_event: Callable[[str], Event],
    calls: list[Call],
    log: io.StringIO,  # noqa: ARG001 - the functions' own, kept out of what is printed
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Api]:
    """Serve the API, with a key for it in the environment."""
    api = Api(Inbox(load_event("intake")), load_event, calls)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, sent, body = api.answer(
                self.command, self.path, headers, self.rfile.read(length)
            )
            self.send_response(status)
            for name, value in {**sent, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_args: object) -> None:
            """Keep the tests' output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = api.url
        monkeypatch.setattr(BatchFiles, "upload_url", lambda _, key: f"{url}/{key}")
        monkeypatch.setattr(BatchFiles, "download_url", lambda _, key: f"{url}/{key}")
        monkeypatch.setattr(cli.batches, "POLL_SECONDS", 0)
        monkeypatch.setenv("AFTERWORD_URL", f"{url}/")
        monkeypatch.setenv("AFTERWORD_KEY", tenant.key)
        yield api
        server.shutdown()
        thread.join()


@pytest.fixture
def mails(tmp_path: Path) -> Path:
    """Return a file of two good lines."""
    path = tmp_path / "mails.jsonl"
    path.write_bytes(file(MAIL, {**MAIL, "external_ref": "Zürich"}))
    return path


def rows(text: str) -> list[dict[str, Any]]:
    """Return lines of JSON, parsed."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_file_is_run(api: Api, afterword: Afterword, mails: Path) -> None:
    """A file's results are printed in the order of its lines, and the storage gets no key."""
    result = afterword("batch", "run", mails)
    assert result.exit_code == 0, result.stderr
    assert [
        (row["line"], row["status"], row["output"], row["external_ref"])
        for row in rows(result.stdout)
    ] == [(1, "succeeded", "Hi", None), (2, "succeeded", "Hi", "Zürich")]
    assert "2 lines: 2 accepted, 2 succeeded" in result.stderr
    assert api.authorizations == {None}


def test_the_same_command_goes_on(api: Api, afterword: Afterword, mails: Path) -> None:
    """Run again, a file is the same batch, whose results are fetched; with a name it is another."""
    first = afterword("batch", "run", mails)
    second = afterword("batch", "run", mails)
    assert (second.exit_code, second.stdout) == (0, first.stdout)
    assert "is there already" in second.stderr
    assert api.uploads == 1
    other = afterword("batch", "run", mails, "--name", "once more")
    assert (other.exit_code, api.uploads) == (0, 2)
    assert rows(other.stdout)[0]["id"] != rows(first.stdout)[0]["id"]


def test_an_upload_that_was_cut_off_is_done_again(
    api: Api, afterword: Afterword, mails: Path
) -> None:
    """When the file did not get there, the same command sends it once more."""
    api.broken = 1
    result = afterword("batch", "run", mails)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "The request was refused with 403: <Error>Request has expired</Error>" in result.stderr
    assert afterword("batch", "run", mails).exit_code == 0
    assert api.uploads == 2


@pytest.mark.usefixtures("api")
def test_a_batch_gets_so_many_hours(
    afterword: Afterword, mails: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --hours a batch ends after these, whatever the stack's own hours are."""
    terms: list[timedelta | None] = []
    new = BatchTerms.new

    def noted(*args: Any) -> Batch:  # noqa: ANN401 - the method's own
        terms.append(args[4])
        return new(*args)

    monkeypatch.setattr(BatchTerms, "new", noted)
    assert afterword("batch", "run", mails, "--hours", "1.5").exit_code == 0
    assert terms == [timedelta(minutes=90)]


@pytest.mark.parametrize(
    ("end", "text"),
    [
        ("2026-11-10T09:41:58.950Z", ", until 2026-11-10 09:41 UTC"),
        (None, ""),
    ],
)
def test_the_bar_says_how_fast_a_batch_is(end: str | None, text: str) -> None:
    """Beside the bar are the open lines, the rate, and the end at this rate."""
    batch = {"window": 20, "open": 16, "lines_per_minute": 80.4, "expected_end_at": end}
    assert cli.batches._pace(batch) == f"16 of 20 open, 80 a minute{text}"  # noqa: SLF001 - no terminal here
    batch = {"window": None, "status": "writing"}
    assert cli.batches._pace(batch) == "writing"  # noqa: SLF001 - no terminal here


@pytest.mark.usefixtures("api")
def test_results_go_to_a_file(afterword: Afterword, mails: Path, tmp_path: Path) -> None:
    """With --output the results are a file, and nothing else is left."""
    output = tmp_path / "results.jsonl"
    result = afterword("batch", "run", mails, "--output", output)
    assert (result.exit_code, result.stdout) == (0, "")
    assert [row["line"] for row in rows(output.read_text())] == [1, 2]
    assert sorted(tmp_path.iterdir()) == [mails, output]


@pytest.mark.usefixtures("api")
def test_a_bad_line_is_an_exit_code(afterword: Afterword, mails: Path) -> None:
    """Unless all lines have succeeded the exit code is 1, and the results are printed anyway."""
    mails.write_bytes(file(MAIL, "{"))
    result = afterword("batch", "run", mails)
    assert result.exit_code == 1
    assert [row["line"] for row in rows(result.stdout)] == [1, 2]
    assert "2 lines: 1 accepted, 1 bad, 1 succeeded" in result.stderr


@pytest.mark.usefixtures("api")
def test_a_file_without_lines_fails(
    afterword: Afterword, mails: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that failed says why, in one line."""
    monkeypatch.setattr(Api, "run", lambda _: None)
    mails.write_bytes(b"")
    result = afterword("batch", "run", mails)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "The batch failed: Its file does not have 1 to 50000 lines." in result.stderr


@pytest.mark.usefixtures("api")
def test_a_wrong_key_is_one_line(afterword: Afterword, mails: Path) -> None:
    """A refusal of the API is told in its own words."""
    result = afterword("batch", "run", mails, "--key", "aw_wrong")
    assert result.exit_code == 1
    assert result.stderr == (
        "afterword: The request was refused with 401: The API key is malformed or mistyped.\n"
    )


def test_a_missing_file_is_a_mistake(afterword: Afterword, tmp_path: Path) -> None:
    """A file that is not there is named, and nothing is asked."""
    path = tmp_path / "none.jsonl"
    result = afterword("batch", "run", path, "--url", "http://127.0.0.1:9", "--key", "a")
    assert "does not exist" in usage_error(result)
