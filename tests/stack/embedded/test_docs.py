"""The documentation page in a real browser: its contents, all of which are our own."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from playwright.sync_api import Browser, Page, Route, sync_playwright

from tests.conftest import ROOT
from tests.stack.embedded.driver import Dev

SECONDS = 30.0


@dataclass
class Visit:
    """The page as it is open, what it has asked for, and what it has complained about."""

    page: Page
    url: str
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def ask(self, route: Route) -> None:
        """Note a request, and let it go on if it is one to the API."""
        url = route.request.url
        self.asked.append(url)
        if urlsplit(url).netloc == urlsplit(self.url).netloc:
            route.continue_()
        else:
            route.abort()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start Chromium without a window."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.fail("There is no Chromium: apt-get install chromium, and try again.")
    with sync_playwright() as playwright:
        # The sandbox needs rights that root in a container has not; the pages it opens are our own.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, dev: Dev) -> Iterator[Visit]:
    """Open the page, and wait until it shows the operations."""
    page = chromium.new_page()
    page.set_default_timeout(SECONDS * 1000)
    visit = Visit(page, dev.facts()["url"])
    page.on("console", lambda message: visit.complaints.append(message.text))
    page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    page.route("**/*", visit.ask)
    page.goto(f"{visit.url}/docs")
    page.wait_for_selector(".opblock-summary")
    yield visit
    page.close()


def test_the_page_shows_each_operation(visit: Visit) -> None:
    """The page says what the API is, and shows each operation of openapi.yaml with its summary."""
    described = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    page = visit.page
    assert page.title() == "afterword: the API"
    assert described["info"]["title"] in page.locator(".info .title").inner_text()
    assert "one stored result" in page.locator(".info .description").inner_text()
    shown = {
        (
            block.locator(".opblock-summary-method").inner_text(),
            block.locator(".opblock-summary-path").get_attribute("data-path"),
            block.locator(".opblock-summary-description").inner_text(),
        )
        for block in page.locator(".opblock").all()
    }
    assert shown == {
        (method.upper(), path, operation["summary"])
        for path, item in described["paths"].items()
        for method, operation in item.items()
    }


def test_an_operation_can_be_read(visit: Visit) -> None:
    """An operation opens on a click, with its parameters, an example and what it answers."""
    block = visit.page.locator("#operations-Dialonce-submit_mail_generation")
    block.locator(".opblock-summary").click()
    block.locator(".responses-table").wait_for()
    text = block.inner_text()
    for said in (
        "Submit a mail to be answered",
        "[Nom du Client]",
        "companyCuid",
        "Idempotency-Key",
        "The key is missing, misplaced, malformed, unknown or revoked",
        '"process_cuid"',
    ):
        assert said in text


def test_an_operation_can_be_tried(visit: Visit) -> None:
    """A request from the page goes to the API that serves it, and the answer is shown."""
    block = visit.page.locator("#operations-Service-health")
    block.locator(".opblock-summary").click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .response")
    answer.wait_for()
    assert "200" in answer.inner_text()
    assert '"status": "ok"' in answer.inner_text()
    assert visit.asked[-1] == f"{visit.url}/health"
    assert visit.complaints == []


def test_nothing_comes_from_elsewhere(visit: Visit) -> None:
    """The page asks its own API alone, and the browser has nothing to complain about."""
    assert sorted(url.removeprefix(visit.url) for url in visit.asked) == [
        "/docs",
        "/docs/page.css",
        "/docs/page.js",
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
        "/openapi.json",
    ]
    assert visit.complaints == []


def test_a_complaint_would_be_seen(visit: Visit) -> None:
    """The browser stops a breach of the page's policy, and these tests see it."""
    run = "s = document.createElement('script'); s.textContent = 'window.ran = 1';"
    visit.page.evaluate(f"{run} document.body.append(s)")
    visit.page.wait_for_function("() => window.ran === undefined")
    assert [text for text in visit.complaints if "Content Security Policy" in text]


def test_the_page_is_the_same_without_a_browser(dev: Dev) -> None:
    """The parts come compressed, say how long they are good for, and are not sent twice."""
    with httpx.Client(base_url=dev.facts()["url"], timeout=SECONDS) as client:
        for path in ("/docs", "/docs/swagger-ui-bundle.js", "/openapi.json"):
            first = client.get(path)
            assert first.status_code == 200
            assert first.headers["content-encoding"] == "gzip"
            assert first.headers["cache-control"] == "public, max-age=300"
            again = client.get(path, headers={"if-none-match": first.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
        described = yaml.safe_load((ROOT / "openapi.yaml").read_text())
        assert client.get("/openapi.json").json() == described
        assert client.get("/docs/swagger-ui.css").text.startswith(".swagger-ui")
        assert client.get("/docs/absent.js").status_code == 404
