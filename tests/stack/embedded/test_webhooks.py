"""Webhooks to a receiver that fails, hangs and hangs up, from a stack of their own."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

import httpx
import pytest
import standardwebhooks
import svix

from afterword.flows.drafts import Flow, Step
from afterword.tenants.keys import Scope
from afterword.webhooks import SEND_SECONDS
from tests.harness.seeds import SEEDS, seeded
from tests.stack.embedded.driver import Account, Dev, Json, Tenant, running, until

GENERATIONS = 200
CLIENTS = 5
RETRIES = "1,1,2,2,3,3,5,5,5,5,5,5"
"""Seconds after each try that fails, instead of the standard schedule's 28 hours."""
FAILS, HANGS, HANGS_UP = 0.25, 0.02, 0.03
DELIVERED_SECONDS = 400.0
FLOW = Flow(
    id="hooks",
    name="Hooks",
    steps=(Step(name="reply", instructions="Answer the mail.", max_tokens=4),),
)
REFUSED = (standardwebhooks.WebhookVerificationError, svix.WebhookVerificationError)


def is_signed(secret: str, body: bytes, headers: dict[str, str]) -> bool:
    """Whether both libraries take a webhook, which they do for five minutes."""
    taken = []
    for oracle in (standardwebhooks.Webhook, svix.Webhook):
        try:
            oracle(secret).verify(body, headers)
        except REFUSED:
            taken.append(False)
        else:
            taken.append(True)
    assert len(set(taken)) == 1
    return taken[0]


@dataclass(frozen=True)
class Post:
    """A webhook as it came, and what was done: a status, or None for no answer.

    `secrets` are those, of the receiver's own, that it was signed with.
    """

    path: str
    headers: dict[str, str]
    body: bytes
    status: int | None
    secrets: list[str]

    @property
    def id(self) -> str:
        """Its `webhook-id`."""
        return self.headers["webhook-id"]

    @property
    def data(self) -> Json:
        """The event in its body."""
        data: Json = json.loads(self.body)["data"]
        return data


@dataclass
class Receiver:
    """A receiver on loopback, whose host the stack may send to."""

    chance: Random
    host: str = ""
    steady: bool = False
    status: int = 200
    secrets: list[str] = field(default_factory=list)
    posts: list[Post] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def taken(self, path: str) -> list[Post]:
        """Return the deliveries that came at a path and were taken."""
        return [post for post in list(self.posts) if (post.path, post.status) == (path, 200)]

    def answer(self) -> int | None:
        """Return the status to answer with; None to hang up, after a while or at once."""
        if self.steady:
            return self.status
        number = self.chance.random()
        if number < HANGS:
            self.ended.wait(SEND_SECONDS + 5)
            return None
        if number < HANGS + HANGS_UP:
            return None
        return 500 if number < HANGS + HANGS_UP + FAILS else self.status


@contextmanager
def receiving(chance: Random) -> Iterator[Receiver]:
    """Serve a receiver."""
    receiver = Receiver(chance)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): text for name, text in self.headers.items()}
            secrets = [each for each in receiver.secrets if is_signed(each, body, headers)]
            status = receiver.answer()
            receiver.posts.append(Post(self.path, headers, body, status, secrets))
            if status is None:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Keep the tests' output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver.host = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            receiver.ended.set()
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class Owner:
    """A tenant's owner, with a key for its webhooks."""

    tenant: Tenant
    key: str

    def ask(self, method: str, path: str, body: Json | None = None) -> httpx.Response:
        """Send a request to the native API."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.request(method, self.tenant.url + path, json=body, headers=headers, timeout=60)

    def said(self, method: str, path: str, body: Json | None = None, *, status: int = 200) -> Json:
        """Return the body of an answer, which must have this status."""
        answer = self.ask(method, path, body)
        assert answer.status_code == status, answer.text
        said: Json = answer.json()
        return said

    def log(self, webhook: str) -> list[Json]:
        """Return all of an endpoint's deliveries, newest first, page by page."""
        path: str | None = f"/v1/webhooks/{webhook}/deliveries?limit=50"
        found: list[Json] = []
        while path is not None:
            answer = self.ask("GET", path)
            assert answer.status_code == 200, answer.text
            found += answer.json()["deliveries"]
            path = answer.links.get("next", {}).get("url")
        return found


def own(account: Account, name: str) -> Owner:
    """Create a tenant and its owner's key."""
    tenant = account.create_tenant(name, FLOW)
    return Owner(tenant, account.registry().create_key(name, [Scope.ADMIN, Scope.READ])[1])


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Return the receiver of this file's stack."""
    with receiving(seeded(SEEDS[-1])) as receiver:
        yield receiver


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Dev]:
    """Start a stack whose webhooks are retried soon."""
    settings = {
        "AFTERWORD_FETCH_ALLOWED": receiver.host,
        "AFTERWORD_WEBHOOK_RETRIES": RETRIES,
    }
    folder = tmp_path_factory.mktemp("webhooks")
    with running(folder, **settings) as dev:
        yield dev


def submit(tenant: Tenant, numbers: range) -> list[str]:
    """Submit mails that no model is needed for, one after the other."""
    return [
        tenant.submit(subject=f"Mail {number}", body="Hello", template=f"Reply {number}.")
        for number in numbers
    ]


def test_each_of_200_ends_reaches_a_receiver_that_fails(
    dev: Dev, receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each end is delivered at least once, with the same id on each try, and truly signed.

    The receiver answers 500, hangs for longer than a try may take, and hangs up, at random. Half
    way the secret is rotated: from then on both sign.
    """
    owner = own(dev.account(), "receiver")
    url = f"http://{receiver.host}/ends"
    created = owner.said("POST", "/v1/webhooks", {"url": url}, status=201)
    webhook, old = created["id"], created["secret"]
    receiver.secrets = [old]
    started = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as threads:
        half = GENERATIONS // 2
        first = threads.map(
            lambda start: submit(owner.tenant, range(start, half, CLIENTS)), range(CLIENTS)
        )
        ids = {process for each in first for process in each}
        new = owner.said("POST", f"/v1/webhooks/{webhook}/rotate")["secret"]
        receiver.secrets.append(new)
        rotated_at = time.time()
        second = threads.map(
            lambda start: submit(owner.tenant, range(half + start, GENERATIONS, CLIENTS)),
            range(CLIENTS),
        )
        ids |= {process for each in second for process in each}
    assert len(ids) == GENERATIONS

    def delivered() -> bool:
        return {post.data["id"] for post in receiver.taken("/ends")} == ids

    until(delivered, DELIVERED_SECONDS, every=1)
    until(
        lambda: {each["status"] for each in owner.log(webhook)} == {"delivered"},
        DELIVERED_SECONDS,
        every=1,
    )
    seconds = time.monotonic() - started
    posts = [post for post in receiver.posts if post.path == "/ends"]
    answers = Counter(str(post.status) for post in posts)
    with capsys.disabled():
        print(f"\n  {len(posts)} tries, answers {dict(answers)}, {seconds:.0f} s")  # noqa: T201 - totals
    assert answers["500"] > 0
    assert answers["None"] > 0
    assert [post for post in posts if old not in post.secrets] == []
    late = [post for post in posts if int(post.headers["webhook-timestamp"]) > rotated_at + 1]
    assert late
    assert {tuple(post.secrets) for post in late} == {(old, new)}
    by_generation: dict[str, set[tuple[str, bytes]]] = {}
    for post in posts:
        by_generation.setdefault(post.data["id"], set()).add((post.id, post.body))
    assert {len(same) for same in by_generation.values()} == {1}
    log = owner.log(webhook)
    assert len(log) == GENERATIONS
    assert {each["generation"] for each in log} == ids
    assert owner.said("GET", f"/v1/webhooks/{webhook}")["enabled"] is True


def test_a_test_and_a_replay(dev: Dev, receiver: Receiver) -> None:
    """A test goes the way of all webhooks, and a replay has the same id and the same bytes."""
    receiver.steady = True
    owner = own(dev.account(), "replays")
    url = f"http://{receiver.host}/replays"
    created = owner.said("POST", "/v1/webhooks", {"url": url}, status=201)
    receiver.secrets = [created["secret"]]
    webhook = f"/v1/webhooks/{created['id']}"
    begun = owner.said("POST", f"{webhook}/test", status=202)
    until(lambda: receiver.taken("/replays"), 60)
    until(lambda: owner.log(created["id"])[0]["status"] == "delivered", 60)
    owner.said("POST", f"{webhook}/deliveries/{begun['id']}/replay", status=202)
    until(lambda: len(receiver.taken("/replays")) == 2, 60)
    first, second = receiver.taken("/replays")
    assert (first.id, first.body) == (second.id, second.body) == (begun["id"], second.body)
    assert json.loads(first.body)["type"] == "webhook.test"
    assert first.secrets == second.secrets == [created["secret"]]


def test_gone_is_the_end(dev: Dev, receiver: Receiver) -> None:
    """An endpoint that answers 410 is disabled, and hears of nothing until it is enabled."""
    receiver.steady = True
    account = dev.account()
    owner = own(account, "gone")
    url = f"http://{receiver.host}/gone"
    created = owner.said("POST", "/v1/webhooks", {"url": url}, status=201)
    webhook = f"/v1/webhooks/{created['id']}"
    receiver.status = 410
    owner.said("POST", f"{webhook}/test", status=202)
    until(lambda: not owner.said("GET", webhook)["enabled"], 60)
    receiver.status = 200
    assert owner.said("GET", webhook)["disabled_reason"] == "gone"
    ends = account.subscribe(owner.tenant)
    unheard = submit(owner.tenant, range(1))[0]
    until(lambda: account.received(ends), 60)
    assert owner.said("PATCH", webhook, {"enabled": True})["disabled_reason"] is None
    heard = submit(owner.tenant, range(1, 2))[0]
    until(lambda: receiver.taken("/gone"), 60)
    assert {post.data["id"] for post in receiver.taken("/gone")} == {heard} != {unheard}


def test_an_address_inside_is_never_sent_to(dev: Dev) -> None:
    """The stack's own endpoint of AWS, on loopback, is refused as a webhook, and so are names."""
    owner = own(dev.account(), "inside")
    endpoint = dev.facts()["endpoint"]
    private = ("https://127.0.0.1/", "http://169.254.169.254/", "https://localhost/")
    for url in (endpoint, *private, "file:///etc/passwd"):
        answer = owner.ask("POST", "/v1/webhooks", {"url": url})
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["field"] == "url"
