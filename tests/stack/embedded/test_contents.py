"""The knowledge base as its owner fills it: over HTTP and with the command line, then asked."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from afterword.flows.drafts import Flow
from afterword.tenants.keys import Scope
from local.aws import session
from tests.conftest import ROOT
from tests.stack.embedded.conftest import FileHost
from tests.stack.embedded.driver import Dev, Json

TERMS = "# Terms\n\nA refund is paid within fourteen days of the return of the goods.\n"
NOTHING = "Nothing found."
HTML = b"<!doctype html><title>Opening hours</title><h1>Hours</h1><p>We open at seven.</p>"


class Owner(httpx.Client):
    """A client of Promptitude's API with a key that may do everything, for a tenant of its own."""

    def __init__(self, dev: Dev) -> None:
        flow = Flow.model_validate(
            {
                "id": "ask",
                "name": "Ask",
                "inputs": [{"name": "question"}],
                "steps": [
                    {
                        "name": "step1",
                        "instructions": "Answer the question in one short sentence.",
                        "max_tokens": 40,
                        "temperature": 0,
                        "context": {"passages": 1, "otherwise": NOTHING},
                    }
                ],
            }
        )
        self.tenant = f"t-{uuid.uuid4().hex[:12]}"
        account = dev.account()
        account.create_tenant(self.tenant, flow)
        _, self.key = account.registry().create_key(self.tenant, Scope)
        super().__init__(
            base_url=dev.facts()["url"],
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=60,
        )

    def ask(self, question: str, **chosen: object) -> Json:
        """Ask the flow, which looks in all folders unless others are chosen."""
        body: Json = {"flow": {"inputs": {"question": question}}}
        if chosen:
            body["steps"] = {"step1": {"context": chosen}}
        answer: Json = self.post("/v1/flows/ask/generate", json=body).json()
        return answer


@pytest.fixture
def connect(dev: Dev) -> Iterator[Callable[[], Owner]]:
    """Return a function that makes a new tenant, and its client."""
    owners: list[Owner] = []

    def make() -> Owner:
        owners.append(Owner(dev))
        return owners[-1]

    yield make
    for owner in owners:
        owner.close()


def results(response: httpx.Response) -> Json:
    """Return the results of an answer that is good."""
    body: Json = response.json()
    assert (response.status_code, body["code"], body["error"]) == (200, 200, False), body
    found: Json = body["results"]
    return found


def test_a_content_is_added_listed_and_asked(connect: Callable[[], Owner]) -> None:
    """A new content is in its folder, which is made, and a question finds it at once."""
    owner = connect()
    assert results(owner.get("/v1/content/folders")) == {"foldersCount": 0, "folders": []}
    assert owner.ask("When is a refund paid?")["results"]["result"] == NOTHING
    added = results(
        owner.post(
            "/v1/content",
            json={"name": "Terms", "text": TERMS, "folder": "Legal", "tags": "money, returns"},
        )
    )
    (folder,) = results(owner.get("/v1/content/folders"))["folders"]
    assert (folder["name"], folder["contentsCount"], folder["type"]) == ("Legal", 1, "manual")
    listed = results(owner.get(f"/v1/content/folders/{folder['id']}/contents"))
    assert listed["contentsCount"] == 1
    assert [each["id"] for each in listed["contents"]] == [added["id"]]
    assert results(owner.get("/v1/content/folders/name/legal/contents")) == listed
    answer = owner.ask("When is a refund paid?", folders={"ids": [folder["id"]]})
    assert answer["results"]["result"] not in {"", NOTHING}
    assert results(owner.delete(f"/v1/content/{added['id']}")) == {"id": added["id"]}
    assert owner.ask("When is a refund paid?")["results"]["result"] == NOTHING


def test_files_and_forms_come_in(connect: Callable[[], Owner]) -> None:
    """A form may bring a file; the text of a page is read; a name tells the folder."""
    owner = connect()
    files = {"file": ("hours.html", HTML, "text/html")}
    added = results(
        owner.post("/v1/content", data={"folder": "Shop", "externalId": "hours"}, files=files)
    )
    assert (added["externalId"], added["folder"]["name"]) == ("hours", "Shop")
    answer = owner.ask("When do you open?", folders={"names": ["shop"]})
    assert answer["results"]["result"] not in {"", NOTHING}
    assert owner.ask("When do you close?")["results"]["result"] == NOTHING
    changed = results(owner.post("/v1/content/hours", json={"text": "We close at noon."}))
    assert changed["id"] == added["id"]
    assert owner.ask("When do you close?")["results"]["result"] != NOTHING


def test_a_file_is_fetched(connect: Callable[[], Owner], file_host: FileHost) -> None:
    """The file at an address is fetched and read; one that is not there is refused by its field."""
    owner = connect()
    file_host.files["/help/hours.html"] = HTML
    url = f"http://{file_host.host}/help/hours.html"
    added = results(owner.post("/v1/content", json={"fileUrl": url, "folder": "Shop"}))
    assert (added["name"], added["source"]) == ("hours.html", url)
    absent = owner.post("/v1/content", json={"fileUrl": f"http://{file_host.host}/none"})
    assert (absent.status_code, absent.json()["message"].partition(":")[0]) == (422, "fileUrl")


def test_bad_contents_name_what_is_wrong(connect: Callable[[], Owner]) -> None:
    """A file that cannot be read, a field that is none, an unknown folder: named, never a 500."""
    owner, other = connect(), connect()
    theirs = results(other.post("/v1/content", json={"name": "A", "text": "B", "folder": "C"}))
    broken = {"file": ("a.pdf", b"%PDF-1.7 nothing", "application/pdf")}
    answers = [
        (owner.post("/v1/content", files=broken), 422),
        (owner.post("/v1/content", json={"name": "A"}), 422),
        (owner.post("/v1/content", json={"name": "A", "text": ""}), 422),
        (owner.post("/v1/content", json={"text": "A", "colour": "red"}), 422),
        (owner.post("/v1/content", json={"fileUrl": "https://127.0.0.1/"}), 422),
        (owner.post("/v1/content", content=b"\xff"), 400),
        (owner.post(f"/v1/content/{theirs['id']}", json={"name": "B"}), 404),
        (owner.get(f"/v1/content/folders/{theirs['folder']['id']}/contents"), 404),
        (httpx.get(f"{owner.base_url}/v1/content/folders"), 401),
    ]
    for answer, code in answers:
        assert answer.status_code == answer.json()["code"] == code, answer.text
        assert answer.json()["error"] is True
    unknown = owner.ask("When?", folders={"names": ["Legal"]})
    assert (unknown["code"], unknown["message"]) == (
        422,
        'steps.step1.context.folders: must exist, and there is no folder "Legal".',
    )
    assert results(owner.get("/v1/content/folders"))["foldersCount"] == 0


def afterword(dev: Dev, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line against the stack, as against one in AWS."""
    account = dev.account()
    credentials = session().get_credentials()
    assert credentials is not None
    return subprocess.run(  # noqa: S603 - our own command
        [Path(sys.executable).parent / "afterword", "--stack", account.stack, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "AWS_ENDPOINT_URL": account.endpoint,
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_DEFAULT_REGION": session().region_name,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_folder_of_documents_is_added_once(
    dev: Dev, connect: Callable[[], Owner], tmp_path: Path
) -> None:
    """The command line adds a folder's files, and a second run finds that nothing has changed."""
    owner = connect()
    (tmp_path / "help").mkdir()
    (tmp_path / "help" / "terms.md").write_text(TERMS)
    (tmp_path / "help" / "hours.html").write_bytes(HTML)
    first = afterword(dev, "content", "add", owner.tenant, str(tmp_path / "help"))
    assert first.returncode == 0, first.stderr
    second = afterword(dev, "content", "add", owner.tenant, str(tmp_path / "help"))
    assert second.returncode == 0, second.stderr
    assert "2 unchanged" in second.stdout + second.stderr
    listed = json.loads(afterword(dev, "content", "list", owner.tenant, "--json").stdout)
    assert [each["external_id"] for each in listed["contents"]] == ["hours.html", "terms.md"]
    assert owner.ask("When is a refund paid?")["results"]["result"] != NOTHING
    removed = afterword(dev, "content", "remove", owner.tenant, "terms.md", "hours.html", "--yes")
    assert removed.returncode == 0, removed.stderr
    assert owner.ask("When is a refund paid?")["results"]["result"] == NOTHING


def test_a_flow_is_tested_with_its_sources(dev: Dev, connect: Callable[[], Owner]) -> None:
    """`flow test` runs a flow for real, and shows its prompt, its result and its sources."""
    owner = connect()
    results(owner.post("/v1/content", json={"name": "Terms", "text": TERMS, "folder": "Legal"}))
    tested = afterword(
        dev, "flow", "test", owner.tenant, "ask", "--input", "question=When is a refund paid?"
    )
    assert tested.returncode == 0, tested.stderr
    assert "Terms" in tested.stderr
    assert tested.stdout.strip()
