"""Blank prompts: refused when they are submitted, else before a model is paid for them."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import pytest

from afterword.errors import UnprocessableError
from afterword.flows.drafts import Flow
from afterword.generations import Reason, Submission
from afterword.services import services
from tests.conftest import FLOW, Event, Stored, Tenant
from tests.harness.api import invoke
from tests.harness.fake_model import FakeModel, saying
from tests.harness.genai_stack import Client
from tests.harness.native_generations import Native, invalid
from tests.harness.promptitude import generation_event, put_flow
from tests.harness.unless import Visitor

ZERO_WIDTH = "\u200b \ufeff\u2060"
"""Characters that nobody sees, and that are no blanks to Python."""
NOTHING = Stored(items=0, messages=0, objects=0)
MESSAGE = "must have a text, or a file: the prompt is blank."
OPTIONAL = [
    {"name": "text", "required": False},
    {"name": "paper", "kind": "file", "required": False},
]


def save(*steps: Mapping[str, object]) -> None:
    """Save the flow `blank`, which asks for no input."""
    flow = Flow.model_validate({"id": "blank", "name": "Blank", "inputs": OPTIONAL, "steps": steps})
    services().registry.put_flow("demo", "blank", flow.model_dump_json(exclude_unset=True))


def submit(inputs: Mapping[str, str | list[str]]) -> str:
    """Submit inputs to the flow, as a dialect does."""
    submission = Submission(
        dialect="native", flow="blank", inputs=inputs, template=None, external={}
    )
    return services().submitter.submit("demo", submission)


@pytest.mark.usefixtures("tenant")
@pytest.mark.parametrize(
    ("step", "inputs", "blank"),
    [
        ({"prompt": "{{text}}"}, {}, True),
        ({"prompt": " {{text}}\n"}, {"text": " \n\t\u3000"}, True),
        ({"prompt": "{{text}}"}, {"text": ZERO_WIDTH}, True),
        ({"prompt": "{{text}}"}, {"text": ["", " "]}, True),
        ({"prompt": "{{text}}"}, {"text": ["", "x"]}, False),
        ({"prompt": "{{text}}"}, {"text": "."}, False),
        ({"prompt": "Write a haiku. {{text}}"}, {}, False),
        ({"instructions": "Answer."}, {}, True),
        ({"instructions": "Answer."}, {"text": ZERO_WIDTH}, True),
        ({"instructions": "Answer."}, {"text": "Hi"}, False),
        ({"prompt": "{{text}}", "context": {}}, {}, False),  # the worker can tell
    ],
)
def test_a_blank_prompt_is_refused_when_it_is_submitted(
    step: Mapping[str, object],
    inputs: Mapping[str, str | list[str]],
    stored: Callable[[], Stored],
    *,
    blank: bool,
) -> None:
    """A first prompt that its inputs leave without a visible character is no submission."""
    save({"name": "one", **step})
    if not blank:
        assert submit(inputs)
        return
    with pytest.raises(UnprocessableError) as refused:
        submit(inputs)
    assert str(refused.value) == f"inputs: {MESSAGE}"
    assert stored() == NOTHING


def test_each_api_refuses_it_in_its_way(
    native: Native,
    client: Client,
    visitor: Visitor,
    submission_event: Event,
) -> None:
    """Each API answers with an error of its own shape, and with 400 or 422."""
    body = {"flow": FLOW, "inputs": {"text": ZERO_WIDTH}}
    assert native.submit(body) == invalid("inputs", MESSAGE)
    stack_app = client.submit(("text", ZERO_WIDTH))
    assert stack_app["statusCode"] == HTTPStatus.UNPROCESSABLE_ENTITY
    submission_event["body"] = json.dumps({"subject": ZERO_WIDTH, "body": ZERO_WIDTH})
    mail = invoke("submit_mail_generation", submission_event)
    assert mail["statusCode"] in {400, 422}
    assert MESSAGE in json.loads(mail["body"])["message"]
    question = visitor.ask(ZERO_WIDTH)
    assert question["statusCode"] in {400, 422}


def test_promptitude_refuses_it(tenant: Tenant, load_event: Callable[[str], Event]) -> None:
    """A run with a blank prompt is refused by the code and the message of its shape."""
    put_flow(tenant, inputs=[{"name": "text"}], steps=[{"name": "a", "prompt": "{{text}}"}])
    asked = {"userId": "u", "flow": {"inputs": {"text": ZERO_WIDTH}}}
    run = invoke("generate_flow", generation_event(load_event("generate_flow"), tenant, asked))
    assert run["statusCode"] in {400, 422}
    assert MESSAGE in json.loads(run["body"])["message"]


@pytest.fixture
def work(
    message_event: Callable[[str], Event], use_model: Callable[[Any], None]
) -> Callable[[str, FakeModel], None]:
    """Return a function that lets a model work on a generation."""

    def run(generation_id: str, model: FakeModel) -> None:
        use_model(model)
        assert invoke("generate", message_event(generation_id)) == {"batchItemFailures": []}

    return run


@pytest.mark.usefixtures("tenant")
def test_a_prompt_that_turns_out_to_be_blank_is_not_paid_for(
    work: Callable[[str, FakeModel], None],
) -> None:
    """Without passages, a prompt of a context alone is blank: the model is not asked."""
    save({"name": "one", "prompt": "{{context}} {{text}}", "context": {}})
    generation_id = submit({"text": ""})
    model = saying("Hello! How can I help you?")
    work(generation_id, model)
    generation = services().store.get("demo", generation_id)
    assert (generation.reason, generation.message) == (
        Reason.BLANK_PROMPT,
        "The prompt of the flow's step one is blank: send an input with a text, or a file.",
    )
    assert model.prompts == []
    assert generation.tokens_in is None


@pytest.mark.usefixtures("tenant")
def test_a_step_with_an_earlier_result_is_not_blank(
    work: Callable[[str, FakeModel], None],
) -> None:
    """Results of earlier steps are texts like those of inputs."""
    save({"name": "one", "prompt": "A haiku."}, {"name": "two", "instructions": "Translate."})
    generation_id = submit({})
    model = saying("The old pond")
    work(generation_id, model)
    assert len(model.prompts) == 2
