"""Passages ranked by meaning on the embedded stack, with a real embedding model."""

import json
from collections.abc import Iterator

import pytest

from tests.stack.embedded.driver import Dev, Json, until
from tests.stack.embedded.test_contents import NOTHING, Owner, afterword


@pytest.fixture(scope="module")
def owner(dev: Dev) -> Iterator[Owner]:
    """Return the owner of a tenant with a flow for each ranking."""
    with Owner(dev) as owner:
        put_flows(owner)
        yield owner


def put_flows(owner: Owner) -> None:
    """Save a flow for each ranking."""
    for ranking in ("lexical", "semantic", "hybrid"):
        step = {
            "name": "step1",
            "instructions": "Answer the question in one short sentence.",
            "max_tokens": 40,
            "temperature": 0,
            "context": {"passages": 1, "otherwise": NOTHING, "ranking": ranking},
        }
        flow = {"name": ranking, "inputs": [{"name": "question"}], "steps": [step]}
        answer = owner.put(f"/v1/flows/{ranking}", json=flow)
        assert answer.status_code == 200, answer.text


def sources(owner: Owner, ranking: str, question: str) -> list[str]:
    """Return the titles of the contents that a question finds."""
    submitted = owner.post(
        "/v1/generations",
        json={"flow": ranking, "inputs": {"question": question}},
        headers={"Prefer": "wait=25"},
    ).json()

    def ended() -> Json | None:
        found: Json = owner.get(f"/v1/generations/{submitted['id']}").json()
        return found if found["status"] in {"succeeded", "failed"} else None

    done = until(ended, 120)
    assert done is not None
    assert done["status"] == "succeeded", done
    return [source["title"] for source in done.get("sources", [])]


def test_a_question_finds_what_says_it_in_other_words(dev: Dev, owner: Owner) -> None:
    """A content that comes over HTTP is embedded, and found by a question without its words."""
    for name, text in (
        ("Returns", "Shoes may be sent back within thirty days. You are reimbursed in full."),
        ("Opening hours", "The shop opens at nine o'clock, and is closed at weekends."),
    ):
        added = owner.post("/v1/content", data={"name": name, "text": text, "folder": "Help"})
        assert added.status_code == 200, added.text

    def listed() -> list[Json]:
        shown = afterword(dev, "content", "list", owner.tenant, "--json").stdout
        contents: list[Json] = json.loads(shown)["contents"]
        return contents

    until(lambda: all(each["embedded"] for each in listed()), 60, every=1)
    of_a_passage = {"model": "all-minilm-l6-v2", "vectors": 1, "missing": 0}
    assert [each["embedded"] for each in listed()] == [of_a_passage, of_a_passage]
    question = "How do I get my money again?"
    assert sources(owner, "lexical", question) == []
    assert sources(owner, "semantic", question) == ["Returns"]
    assert sources(owner, "hybrid", question) == ["Returns"]
    assert sources(owner, "hybrid", "What is the capital of Mongolia?") == []
