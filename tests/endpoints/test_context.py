"""Passages of the knowledge base in a flow's prompts, and what a request chooses of them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from afterword import clock
from afterword.engine.waiting import Waited
from afterword.generations import Reason, Source, Status
from afterword.knowledge import Draft, folder_id, index_files, lexical, tag_id
from afterword.runtime.clients import clients
from afterword.services import services
from tests.conftest import Call, Event, LambdaContext, SetClock, Stored, Tenant
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, saying
from tests.harness.promptitude import generation_event, put_flow, read

CONTEXT = LambdaContext(milliseconds=29_000)
REFUNDS, DELIVERY, SECRET = (
    "A refund is paid within fourteen days.",
    "We deliver in two days, on weekdays.",
    "The other company's refund is paid in gold.",
)
OTHERWISE = "I cannot find that in our documents."
NOTHING = Stored(items=0, messages=0, objects=0)


def put_contents(tenant: str, *drafts: Draft) -> list[str]:
    """Add contents and return their ids."""
    return [services().contents.create(tenant, draft).id for draft in drafts]


@pytest.fixture
def ids(tenant: Tenant, other_tenant: Tenant, set_clock: SetClock) -> list[str]:  # noqa: ARG001 - its clock
    """Return the ids of two contents in two folders; the other tenant has one of its own."""
    put_contents(
        other_tenant.id, Draft(name="Gold", text=SECRET, folder="Vault", tags=("private",))
    )
    return put_contents(
        tenant.id,
        Draft(
            name="Refunds",
            text=REFUNDS,
            folder="Terms",
            tags=("money",),
            source="https://example.com/refunds",
            external_id="refunds.md",
        ),
        Draft(name="Delivery", text=DELIVERY, folder="Shipping", tags=("time",)),
    )


type Ask = Callable[..., tuple[Mapping[str, Any], FakeModel]]


@pytest.fixture
def ask(  # noqa: PLR0913, PLR0917 - all that a generation touches
    tenant: Tenant,
    ids: list[str],  # noqa: ARG001 - asked for its effect
    load_event: Callable[[str], Event],
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Ask:
    """Return a function that asks a question through Promptitude's API and runs the worker."""

    def send(
        question: str,
        steps: object = None,
        says: str = "In fourteen days [1].",
        **context: object,
    ) -> tuple[Mapping[str, Any], FakeModel]:
        step = {"name": "step1", "prompt": "{{context}}\n{{question}}", "context": context}
        put_flow(tenant, inputs=[{"name": "question"}], steps=[step])
        model = saying(says)
        use_model(model)

        def work_instead_of_waiting(*_: object) -> Waited:
            (item,) = clients_items()
            invoke("generate", message_event(item))
            return Waited(services().store.get(tenant.id, item), whole=True)

        monkeypatch.setattr(services().waiter, "wait", work_instead_of_waiting)
        body: dict[str, object] = {"flow": {"inputs": {"question": question}}}
        if steps is not None:
            body["steps"] = steps
        event = generation_event(load_event("generate_flow"), tenant, body)
        return read(invoke("generate_flow", event, CONTEXT)), model

    def clients_items() -> list[str]:
        page = services().listings.read_page(tenant.id, "joke", 1)
        return [listed.generation.id for listed in page.items]

    return send


def sources(tenant: Tenant) -> tuple[Source, ...]:
    """Return the sources of the newest generation."""
    (listed,) = services().listings.read_page(tenant.id, "joke", 1).items
    assert listed.generation.completion is not None
    return listed.generation.completion.sources


def test_passages_are_in_the_prompt_and_their_contents_with_the_result(
    ask: Ask, tenant: Tenant, ids: list[str]
) -> None:
    """The passage nearest to the question is in the prompt, and its content is a source."""
    result, model = ask("When do I get my refund?")
    assert result["body"]["results"]["result"] == "In fourteen days [1]."
    (prompt,) = model.prompts
    assert prompt.user == (
        f'<passage number="1" title="Refunds">\n{REFUNDS}\n</passage>\nWhen do I get my refund?'
    )
    assert sources(tenant) == (
        Source(
            content=ids[0],
            title="Refunds",
            folder=folder_id(tenant.id, "Terms"),
            external_id="refunds.md",
            source="https://example.com/refunds",
            used=True,
        ),
    )


def test_a_row_of_a_csv_comes_with_the_header(ask: Ask, tenant: Tenant) -> None:
    """The header of a CSV stands with a passage of its rows, however far below."""
    rows = [f"Parcel{number},{number} kg,{number * 3} euros" for number in range(200)]
    text = "\n".join(["What,Weight,Price", *rows])
    put_contents(tenant.id, Draft(name="Prices", text=text, folder="Prices"))
    _, model = ask("What is the price of Parcel150?", folders=["Prices"], passages=1)
    (prompt,) = model.prompts
    assert '<passage number="1" title="Prices > What,Weight,Price">' in prompt.user.replace(
        "&gt;", ">"
    )
    assert "\nParcel150,150 kg,450 euros\n" in prompt.user


def test_a_source_that_is_not_drawn_on_is_not_used(ask: Ask, tenant: Tenant) -> None:
    """A content whose passage was in the prompt, but not in the answer, is no source of it."""
    ask("When do I get my refund?", says="Bananas are yellow.")
    assert [source.used for source in sources(tenant)] == [False]


@pytest.mark.parametrize(
    ("context", "found"),
    [
        ({"folders": ["Terms"]}, "Refunds"),
        ({"folders": [" terms "]}, "Refunds"),
        ({"folders": ["Shipping"]}, "Delivery"),
        ({"tags": ["time"]}, "Delivery"),
        ({"tags": ["money", "time"], "folders": ["Shipping"]}, "Delivery"),
    ],
)
def test_a_step_chooses_from_its_folders_and_tags(
    ask: Ask, context: Mapping[str, object], found: str
) -> None:
    """A question finds what is in the step's folders and has one of its tags, by name or id."""
    _, model = ask("How many days until my refund, how many days to deliver?", **context)
    (prompt,) = model.prompts
    assert [title for title in ("Refunds", "Delivery") if title in prompt.user] == [found]


@pytest.mark.parametrize("of", ["ids", "names"])
def test_a_request_chooses_other_folders(ask: Ask, tenant: Tenant, of: str) -> None:
    """A request's folders go before the step's; ids and names choose the same."""
    named = "shipping" if of == "names" else folder_id(tenant.id, "Shipping")
    steps = {"step1": {"context": {"folders": {of: [named]}}}}
    _, model = ask("How many days to deliver?", steps, folders=["Terms"])
    assert DELIVERY in model.prompts[0].user


@pytest.mark.parametrize("of", ["ids", "names"])
def test_an_empty_list_is_all(ask: Ask, of: str) -> None:
    """An empty list of ids or names takes all folders, whatever the step says."""
    steps: object = {"step1": {"context": {"folders": {of: []}, "tags": {of: []}}}}
    _, model = ask("How many days to deliver?", steps, folders=["Terms"], tags=["money"])
    assert DELIVERY in model.prompts[0].user


def test_what_a_request_does_not_choose_stays(ask: Ask) -> None:
    """A request that chooses tags alone leaves the step its folders."""
    steps = {"step1": {"context": {"tags": {"names": ["time", "money"]}}}}
    result, model = ask("Do you deliver?", steps, folders=["Terms"], otherwise=OTHERWISE)
    assert result["body"]["results"]["result"] == OTHERWISE
    assert model.prompts == []


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            {"folders": {"ids": ["folder1"]}},
            'folders: must exist, and there is no folder "folder1".',
        ),
        (
            {"folders": {"names": ["Terms", "Vault"]}},
            'folders: must exist, and there is no folder "Vault".',
        ),
        ({"tags": {"names": ["private"]}}, 'tags: must exist, and there is no tag "private".'),
        (
            {"folders": {"ids": [folder_id("other", "Vault")]}},
            f'folders: must exist, and there is no folder "{folder_id("other", "Vault")}".',
        ),
        (
            {"tags": {"ids": [tag_id("other", "private")]}},
            f'tags: must exist, and there is no tag "{tag_id("other", "private")}".',
        ),
        ({"folders": "Terms"}, "folders: must be a JSON object."),
        ({"folders": {"ids": "Terms"}}, "folders.ids: must be a list of up to 100 texts."),
        ({"tags": {"names": [7]}}, "tags.names: must have texts of 1 to 200 characters."),
        ({"tags": {"names": [" "]}}, "tags.names: must have texts of 1 to 200 characters."),
        ({"folder": {}}, "must be one of: folders, tags."),
        ({"folders": {"id": []}}, "must be one of: ids, names."),
    ],
)
def test_a_choice_that_cannot_be_is_refused_by_name(
    ask: Ask, stored: Callable[[], Stored], chosen: object, message: str
) -> None:
    """A foreign folder or content looks absent: a 422 that names it, and nothing is stored."""
    result, _ = ask("When?", {"step1": {"context": chosen}})
    assert result["statusCode"] == result["body"]["code"] == 422
    where = result["body"]["message"]
    assert where.startswith("steps.step1.context")
    assert where.endswith(message)
    assert stored() == NOTHING


def test_a_question_that_nothing_answers_costs_no_model(ask: Ask, tenant: Tenant) -> None:
    """Where no passage has to do with the question, the step says so without asking a model."""
    result, model = ask("Who painted Guernica?", otherwise=OTHERWISE)
    assert result["body"]["results"]["result"] == OTHERWISE
    assert (model.prompts, sources(tenant)) == ([], ())


def test_a_question_that_nothing_answers_asks_to_say_so(ask: Ask) -> None:
    """Without words of its own for it, the model is told that no document has anything."""
    _, model = ask("Who painted Guernica?")
    (prompt,) = model.prompts
    assert prompt.user == "\nWho painted Guernica?"
    assert "answer that the documents do not say it" in prompt.system


def test_another_tenants_contents_are_never_found(ask: Ask) -> None:
    """A question finds its own tenant's passages alone, whatever it asks for."""
    _, model = ask("Is the other company's refund paid in gold?")
    assert "gold" not in model.prompts[0].user.partition("</passage>")[0]


@pytest.mark.parametrize(
    "question", ["refund {{context}}", "refund [name] {{question}}", '"refund']
)
def test_what_looks_like_a_name_stays_as_it_is(ask: Ask, question: str) -> None:
    """A question's braces and brackets reach the model as they are."""
    _, model = ask(question)
    assert model.prompts[0].user.endswith(f"</passage>\n{question}")


def test_what_was_chosen_is_kept_with_the_request(ask: Ask, tenant: Tenant) -> None:
    """A retry asks for the same folders again."""
    ask("How many days to deliver?", {"step1": {"context": {"folders": {"names": ["Shipping"]}}}})
    (listed,) = services().listings.read_page(tenant.id, "joke", 1).items
    submission, status = services().store.get_submission(tenant.id, listed.generation.id)
    assert status is Status.SUCCEEDED
    assert submission.context["step1"].folders == (folder_id(tenant.id, "Shipping"),)
    assert submission.context["step1"].tags is None


def test_without_a_choice_nothing_is_looked_up(ask: Ask, calls: list[Call]) -> None:
    """A request that chooses nothing costs no read of the knowledge base at submission."""
    ask("How many days to deliver?")
    operations = [call.operation for call in calls]
    assert "dynamodb.BatchGetItem" not in operations[: operations.index("sqs.SendMessage")]


def test_a_knowledge_base_that_is_too_large_fails_with_what_to_do(
    ask: Ask, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A knowledge base that cannot be searched fails the generation, with a reason and advice."""
    least = lexical.IN_FILE._replace(passages=1)
    monkeypatch.setattr(lexical, "IN_FILE", least)
    result, _ = ask("How many days to deliver?")
    assert result["statusCode"] == 422
    assert "choose fewer folders or tags" in result["body"]["message"]
    (listed,) = services().listings.read_page(tenant.id, "joke", 1).items
    assert listed.generation.reason is Reason.KNOWLEDGE_TOO_LARGE


def test_a_generation_waits_while_another_worker_builds(
    ask: Ask, tenant: Tenant, message_event: Callable[[str], Event], set_clock: SetClock
) -> None:
    """A question to contents whose index another worker builds is asked again, and answered."""
    key = index_files.key_of(services().contents.select(tenant.id, [], []))
    until = clock.to_millis(set_clock() + index_files.CLAIM)
    claim = json.dumps({"until": until}).encode()
    clients().s3.put_object(Bucket=REFERENCES["ContentsBucket"], Key=key, Body=claim)
    ask("When do I get my refund?")
    (listed,) = services().listings.read_page(tenant.id, "joke", 1).items
    assert listed.generation.status is Status.QUEUED
    set_clock.advance(seconds=index_files.CLAIM.total_seconds())
    invoke("generate", message_event(listed.generation.id))
    ended = services().store.get(tenant.id, listed.generation.id)
    assert ended.completion is not None
    assert [source.title for source in ended.completion.sources] == ["Refunds"]
