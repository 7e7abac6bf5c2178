"""Saving a flow through the native API: the handler with its event, under moto."""

import pytest

from afterword.errors import ConflictError, NotFoundError
from afterword.flows.drafts import Flow
from afterword.knowledge import Draft
from afterword.services import services
from afterword.tenants.registry import MAX_FLOW_BYTES, Registry
from tests.conftest import SetClock
from tests.harness.administration import (
    Administration,
    answer,
    invalid,
    problem,
)

STEP = {"name": "answer", "prompt": "Answer: {{text}}"}
CHAT = {"name": "Chat", "type": "chat", "steps": [STEP]}


def saved(version: int, minute: int, *warnings: tuple[str, str], **fields: object) -> object:
    """Return the answer to a chat that was saved."""
    body = {
        "id": "chat",
        "version": version,
        "created_at": f"2026-11-10T09:{minute:02}:00.000Z",
        "flow": {"id": "chat", **CHAT, **fields},
        "warnings": [{"field": field, "message": message} for field, message in warnings],
    }
    return answer(200, body)


def test_a_flow_is_saved_as_its_next_version(
    administration: Administration, set_clock: SetClock
) -> None:
    """A flow is saved, answered and read as it was sent; a change is the next version."""
    assert administration.call("put_flow", CHAT, flowId="chat") == saved(1, 0)
    set_clock.advance(minutes=1)
    renamed = {**CHAT, "id": "chat", "name": "Talk"}
    assert administration.call("put_flow", renamed, flowId="chat") == saved(2, 1, name="Talk")
    stored = services().registry.get_flow("demo", "chat")
    assert Flow.model_validate_json(stored.document).name == "Talk"
    assert administration.call("get_flow", flowId="chat")["body"]["flow"] == renamed


def test_the_same_flow_again_is_no_new_version(
    administration: Administration, set_clock: SetClock
) -> None:
    """A request that is repeated, because its answer was lost, changes nothing."""
    first = administration.call("put_flow", CHAT, flowId="chat")
    set_clock.advance(minutes=1)
    assert administration.call("put_flow", CHAT, flowId="chat") == first == saved(1, 0)


def test_each_wrong_field_is_named(administration: Administration) -> None:
    """All that is wrong is told at once, by field, and nothing is saved."""
    steps = [{"name": "a b", "prompt": "Hi"}, {"name": "next", "max_tokens": "many"}]
    rule = "1 to 64 letters, digits, '-' or '_', the first a letter or digit"
    assert administration.call(
        "put_flow", {"steps": steps, "colour": "red"}, flowId="chat"
    ) == invalid(
        ("colour", "must be left out: there is no such field."),
        ("name", "must be present."),
        ("steps[0].name", f"must be {rule}."),
        ("steps[1].max_tokens", "must be a valid integer."),
    )
    with pytest.raises(NotFoundError):
        services().registry.get_flow("demo", "chat")


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({**CHAT, "id": "talk"}, "id", "must be the id in the path, or left out."),
        (
            {**CHAT, "steps": [{**STEP, "prompt": "{{who}}"}]},
            "steps[0].prompt",
            "must name inputs and earlier steps alone, not who.",
        ),
        ({**CHAT, "steps": []}, "steps", "must have 1 to 20 steps, not 0."),
        (
            {**CHAT, "steps": [{"name": "answer"}]},
            "steps[0]",
            "must have instructions or a prompt.",
        ),
    ],
)
def test_what_does_not_fit_together_is_named(
    administration: Administration, body: object, field: str, message: str
) -> None:
    """A fault between fields is told at the field to change."""
    assert administration.call("put_flow", body, flowId="chat") == invalid((field, message))


@pytest.mark.parametrize("body", ["", "[]", "{", '{"name": NaN}', '{"name": "\\ud800"}'])
def test_a_body_that_is_no_flow(administration: Administration, body: str) -> None:
    """A body that is no JSON object is refused as such."""
    refused = administration.call("put_flow", body, flowId="chat")
    assert (refused["statusCode"], refused["body"]["title"]) == (400, "Bad Request")


def test_an_id_has_its_rule(administration: Administration) -> None:
    """A path that can be no flow's id is refused, before anything is stored."""
    rule = "1 to 64 letters, digits, '-' or '_', the first a letter or digit"
    refused = administration.call("put_flow", CHAT, flowId="my chat")
    assert refused == invalid(("id", f"must be {rule}."))


def test_a_flow_that_is_too_big(administration: Administration) -> None:
    """A flow too big for an item is refused, and not answered by a fault."""
    steps = [{"name": f"s{number}", "prompt": "x" * 90_000} for number in range(4)]
    refused = administration.call("put_flow", {**CHAT, "steps": steps}, flowId="chat")
    what = f"A flow must have at most {MAX_FLOW_BYTES} bytes."
    assert refused == problem(413, "Content Too Large", what)


def test_a_flow_far_too_big_is_refused_unread(
    administration: Administration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document that can be no flow is refused before its fields are looked at."""

    def fail(*_: object, **__: object) -> None:
        pytest.fail("The fields were looked at.")

    monkeypatch.setattr(Flow, "model_validate_json", fail)
    result = administration.call("put_flow", {**CHAT, "name": "x" * 1_500_000}, flowId="chat")
    assert result == problem(413, "Content Too Large", "A flow must have at most 350000 bytes.")


def test_a_folder_that_is_not_there_is_a_warning(administration: Administration) -> None:
    """Folders and tags that no content has made are told of, and the flow is saved all the same."""
    services().contents.create("demo", Draft(name="A", text="B", folder="Terms"))
    context = {"folders": ["Terms", "Help"], "tags": ["shop"]}
    steps = [{**STEP, "context": context}]
    told = (
        "There is no {} yet: the step finds nothing in it until a content is added to it."
    ).format
    assert administration.call("put_flow", {**CHAT, "steps": steps}, flowId="chat") == saved(
        1,
        0,
        ("steps[0].context.folders", told("folder Help")),
        ("steps[0].context.tags", told("tag shop")),
        steps=steps,
    )


def test_two_at_the_same_moment(
    administration: Administration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loser of a race between two saves is told so."""

    def lose(*_: object, **__: object) -> None:
        raise ConflictError("Another request saved flow chat: try again.")

    monkeypatch.setattr(Registry, "put_flow", lose)
    what = "Another request saved flow chat: try again."
    refused = administration.call("put_flow", CHAT, flowId="chat")
    assert refused == problem(409, "Conflict", what)


def ranked(ranking: str) -> dict[str, object]:
    """Return a flow whose step ranks passages in this way."""
    return {**CHAT, "steps": [{**STEP, "context": {"ranking": ranking}}]}


@pytest.mark.parametrize("ranking", ["semantic", "hybrid"])
def test_a_ranking_by_meaning_needs_an_embedding_model(
    administration: Administration, monkeypatch: pytest.MonkeyPatch, ranking: str
) -> None:
    """Without a model, or a knowledge base, the flow is refused with what to do; else saved."""
    assert administration.call("put_flow", ranked(ranking), flowId="chat") == invalid(
        (
            "steps[0].context.ranking",
            (
                "must be lexical, since the deployment has no embedding model: its owner sets the"
                " stack's parameters EmbeddingProvider and EmbeddingModel."
            ),
        )
    )
    for name, value in (("EMBEDDING_PROVIDER", "bedrock"), ("KNOWLEDGE_BASE_ID", "ABCDEF0123")):
        with monkeypatch.context() as patch:
            patch.setenv(f"AFTERWORD_{name}", value)
            saved_flow = administration.call("put_flow", ranked(ranking), flowId="chat")
            assert saved_flow["body"]["flow"] == {"id": "chat", **ranked(ranking)}


def test_words_are_the_ranking_by_default(administration: Administration) -> None:
    """A flow without a ranking, as older ones are, ranks by words; other names are refused."""
    assert administration.call("put_flow", ranked("lexical"), flowId="chat")["statusCode"] == 200
    step = {**STEP, "context": {}}
    older = Flow.model_validate({"id": "chat", **CHAT, "steps": [step]})
    assert older.steps[0].context is not None
    assert older.steps[0].context.ranking == "lexical"
    assert "ranking" not in older.model_dump_json(exclude_unset=True)
    refused = administration.call("put_flow", ranked("best"), flowId="chat")
    assert refused["statusCode"] == 422
