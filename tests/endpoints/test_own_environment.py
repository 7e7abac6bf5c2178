"""Each function with its own environment and its own permissions, as template.yaml has them."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace

import boto3
import pytest

from afterword import clock, generations
from afterword.dialects import unless
from afterword.engine import waiting
from afterword.flows.drafts import Flow
from afterword.generations import Submission, SubmissionOptions
from afterword.generations.store import GenerationStore
from afterword.knowledge import Draft
from afterword.limits import Admission, Limits
from afterword.limits.quotas import Quotas
from afterword.models import ModelUnavailableError
from afterword.runtime import deadline, settings
from afterword.runtime.clients import clients
from afterword.runtime.payloads import Payloads
from afterword.services import services
from afterword.tenants import registry
from afterword.tenants.keys import Scope
from tests.conftest import FLOW, FLOW_DOCUMENT, Call, Event, LambdaContext, SetClock, Tenant
from tests.endpoints.test_list_generations import forget_the_index
from tests.harness import roles
from tests.harness.administration import Administration
from tests.harness.api import Api, invoke, routes
from tests.harness.belongings import generation_parameters, make_belongings, submitted
from tests.harness.classes import CLASSES, CLASSES_DOCUMENT, submit_classification
from tests.harness.deployment import REFERENCES, Deployment, parsed_template
from tests.harness.fake_model import FakeModel, completion, raising, saying
from tests.harness.genai_stack import Client
from tests.harness.long_texts import LONG
from tests.harness.native_generations import Native
from tests.harness.roles import Grant, is_lambdas_own
from tests.harness.webhooks import ENDPOINTS

pytestmark = pytest.mark.usefixtures("greedy_tenant")

ID, OTHER_ID = "019a6f3e-7c00-7000-8000-000000000001", "019a6f3e-7c00-7000-8000-000000000002"
FILLED_ID = "019a6f3e-7c00-7000-8000-000000000003"
BIG = "x" * 20_000
SLOT = "1794301200000-00000000"
SHARED = frozenset[str](parsed_template()["Globals"]["Function"]["Environment"]["Variables"])
"""The variables that all functions have."""

CHAT_FLOW = {
    "name": "Chat",
    "steps": [{"name": "answer", "prompt": "{{text}}", "context": {"folders": ["Help"]}}],
}
CHOSEN = {"context": {"folders": {"names": ["help"]}}}
RUNS: Mapping[str, object] = {
    "generate_flow": {
        "userId": "x" * 200,
        "flow": {"inputs": {"text": BIG}},
        "steps": {"answer": CHOSEN},
    },
    "generate_prompt": {
        "endUserId": "x" * 200,
        "prompt": {"promptId": FLOW, "inputs": {"text": BIG}},
        **CHOSEN,
    },
}
"""The requests that wait for a text with a chosen context, by function."""
LISTING = {"s3:ListBucket", "s3:ListBucketVersions"}
OPEN = ("get_root", "health", "get_openapi", "get_docs", "get_docs_file", "refuse_route")
"""The functions that take no key."""
BODIES = {"put_flow": CHAT_FLOW}
"""The bodies that show more of a function than that of its sample event."""
SHOWN_AT_LENGTH = frozenset(
    {
        *ENDPOINTS,
        *OPEN,
        *("submit_mail_generation", "get_mail_generation"),
        *("submit_mail_classification", "get_mail_classification"),
        *("get_stack_app", "list_text_generations", "create_text_generation"),
        *("get_text_generation", "update_text_generation"),
        *("create_chat_session", "list_chat_sessions", "get_chat_session", "send_chat_message"),
        *("generate_flow", "generate_prompt", "get_flow_log", "rate_flow_log"),
        *("submit_query", "get_answer"),
        *("answer_query", "give_feedback"),
        *("create_content", "update_content", "list_folders", "list_folder_contents"),
        *("submit_generation", "retry_generation", "get_generation", "list_generations"),
        *("cancel_generation", "delete_generation", "create_batch", "get_batch"),
        *("put_flow", "create_key"),
    }
)
"""The functions that need more than one good request, and have tests of their own."""
PLAIN = sorted({*routes().values()} - SHOWN_AT_LENGTH)


@dataclass
class Recorder(Mapping[str, str]):
    """An environment that notes which of its variables are asked for, but for those of all."""

    variables: Mapping[str, str]
    asked: set[str]

    def __getitem__(self, name: str) -> str:
        """Return a variable, and note that it was asked for."""
        self.asked |= {name} - SHARED
        return self.variables[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self.variables)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.variables)


@pytest.fixture
def run_alone(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], set[str]]:
    """Return a function that leaves only one function's variables, and gives those asked for."""

    def leave_only(folder: str) -> set[str]:
        variables = deployment.functions[folder].environment
        recorder = Recorder(variables, set())
        monkeypatch.setattr(settings, "os", SimpleNamespace(environ=recorder))
        services.cache_clear()
        return recorder.asked

    return leave_only


def put(
    inputs: Mapping[str, str],
    external: Mapping[str, str],
    generation_id: str = ID,
    slot: str = SLOT,
    template: str | None = None,
) -> None:
    """Queue the generation of the sample events, which has limits and is to be made known."""
    submission = Submission(
        dialect="dialonce", flow=FLOW, inputs=inputs, template=template, external=external
    )
    options = SubmissionOptions(
        flow_version=1, retention=timedelta(days=30), slot=slot, notify=generation_id == ID
    )
    services().store.put("demo", generation_id, submission, options)


def ask_after_another() -> None:
    """Queue a question of a conversation, about a content that is kept in the bucket."""
    draft = Draft(name="Refunds", text="Refunds take two weeks. " * 1_000, folder="Help")
    services().contents.create("demo", draft)
    step = {"name": "answer", "prompt": "{{text}}", "context": {"folders": ["Help"]}}
    flow = Flow.model_validate({"id": "ask", "name": "Ask", "steps": [step]})
    services().registry.put_flow("demo", "ask", flow.model_dump_json(exclude_unset=True))
    question = Submission(
        dialect="unless",
        flow="ask",
        inputs={"text": "When are refunds made?"},
        template=None,
        external={},
        conversation="session-1",
    )
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30), slot=SLOT)
    for generation_id in (generations.new_id(), OTHER_ID):
        services().store.put("demo", generation_id, question, options)


def unused(folder: str) -> set[str]:
    """Return the grants that a function has not used in this test; Lambda uses some of them."""
    deployed = roles.deployed()
    own = {grant for grant in deployed.in_force(folder) if not is_lambdas_own(grant)}
    elsewhere = {grant for grant in own if is_of_gone_texts(grant) or is_of_indexes(grant)}
    return {str(grant) for grant in own - deployed.used - elsewhere}


def is_of_gone_texts(grant: Grant) -> bool:
    """Tell whether a grant is one of those in test_own_environment_of_gone_texts.py."""
    if is_of_indexes(grant):
        return False
    if grant.function == "delete_generation":
        return grant.action in LISTING
    deletes = (grant.action, grant.resource) in {
        ("s3:DeleteObject", "${Bucket.Arn}/*"),
        ("dynamodb:DeleteItem", "${GenerationsTable.Arn}"),
    }
    return deletes or grant.action in LISTING


def is_of_indexes(grant: Grant) -> bool:
    """Tell whether a grant is one of those in test_own_environment_of_indexes.py."""
    return any("_indexes/" in each for each in (grant.resource, *dict(grant.keys).values()))


def messages_in(queue: str) -> int:
    """Return how many messages wait in a queue of the template."""
    attributes = clients().sqs.get_queue_attributes(
        QueueUrl=REFERENCES[queue], AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])


def ours(deployment: Deployment, folder: str) -> set[str]:
    """Return the names of the variables of ours that a function has and others have not."""
    environment = deployment.functions[folder].environment
    return {name for name in environment if name.startswith("AFTERWORD_")} - SHARED


@pytest.mark.parametrize("folder", OPEN)
def test_what_is_open_to_everybody_has_and_needs_nothing(
    deployment: Deployment,
    load_event: Callable[[str], Event],
    monkeypatch: pytest.MonkeyPatch,
    calls: list[Call],
    folder: str,
) -> None:
    """A function that takes no key runs without any setting and may do nothing."""
    monkeypatch.setattr(settings, "os", SimpleNamespace(environ={}))
    services.cache_clear()
    status = 404 if folder == "refuse_route" else 200
    assert invoke(folder, load_event(folder))["statusCode"] == status
    assert calls == []
    assert ours(deployment, folder) == set()
    assert unused(folder) == set()


def lose_slot(generation_id: str) -> None:
    """End a generation of a tenant with limits, by a process that dies before the dispatch."""
    limits = services().registry.get_limits("demo")
    usage = Quotas(clients().dynamodb, REFERENCES["QuotasTable"])
    slot = usage.admit("demo", generation_id, limits)
    assert isinstance(slot, Admission)
    assert slot.slot is not None
    put({"body": "B"}, {}, generation_id, slot.slot)
    services().store.cancel("demo", generation_id)


@pytest.fixture
def lose_slots(set_clock: SetClock) -> Callable[[], None]:
    """Return a function that fills the tenant's two slots with ends of two minutes ago."""

    def fill() -> None:
        services().registry.set_limits("demo", Limits(running_at_once=2))
        lose_slot(ID)
        lose_slot(OTHER_ID)
        set_clock.advance(minutes=2)

    return fill


def test_submitting_has_what_it_needs(
    deployment: Deployment,
    submission_event: Event,
    lose_slots: Callable[[], None],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The submitting function uses all its variables and permissions, and no other."""
    lose_slots()
    asked = run_alone("submit_mail_generation")
    submission_event["body"] = f'{{"subject": "A", "body": "{BIG}"}}'
    submission_event["headers"]["idempotency-key"] = "case-457"
    assert invoke("submit_mail_generation", submission_event)["statusCode"] == 200
    assert messages_in("Queue") == 1
    assert asked == ours(deployment, "submit_mail_generation")
    assert unused("submit_mail_generation") == set()


def test_reading_has_what_it_needs(
    deployment: Deployment,
    reading_event: Callable[[str], Event],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The reading function uses all its variables and permissions, and no other."""
    put({"body": "B"}, {"external_metadata": f'{{"a": "{BIG}"}}'})
    asked = run_alone("get_mail_generation")
    assert invoke("get_mail_generation", reading_event(ID))["statusCode"] == 200
    assert asked == ours(deployment, "get_mail_generation")
    assert unused("get_mail_generation") == set()


def test_submitting_a_classification_has_what_it_needs(
    deployment: Deployment,
    tenant: Tenant,
    lose_slots: Callable[[], None],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The function that submits a classification uses all its variables and permissions."""
    services().registry.put_flow(tenant.id, CLASSES, CLASSES_DOCUMENT)
    lose_slots()
    asked = run_alone("submit_mail_classification")
    body = {"mail": {"subject": "A", "body": BIG}}
    headers = {"idempotency-key": "case-457"}
    answer = Api(tenant.key).call("submit_mail_classification", body, headers=headers)
    assert answer["statusCode"] == 200
    assert messages_in("Queue") == 1
    assert asked == ours(deployment, "submit_mail_classification")
    assert unused("submit_mail_classification") == set()


def test_reading_a_classification_has_what_it_needs(
    deployment: Deployment, tenant: Tenant, run_alone: Callable[[str], set[str]]
) -> None:
    """The function that reads a classification uses all its variables and permissions."""
    services().registry.put_flow(tenant.id, CLASSES, CLASSES_DOCUMENT)
    process = submit_classification(tenant, CLASSES, external_metadata=f'{{"a": "{BIG}"}}')
    asked = run_alone("get_mail_classification")
    answer = Api(tenant.key).call("get_mail_classification", processCuid=process)
    assert answer["statusCode"] == 200
    assert asked == ours(deployment, "get_mail_classification")
    assert unused("get_mail_classification") == set()


@pytest.mark.usefixtures("tenant")
def test_the_worker_may_do_what_it_does(
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
    run_alone: Callable[[str], set[str]],
    set_clock: SetClock,
    calls: list[Call],
) -> None:
    """The worker uses all its permissions, for big texts, hand-backs, passages and repairs too."""
    services().registry.set_limits("demo", Limits(tokens_per_month=1_000_000))
    put({"body": BIG}, {})
    put({"body": LONG}, {}, FILLED_ID, template="Dear [name],")
    ask_after_another()
    run_alone("generate")
    use_model(raising(ModelUnavailableError("Busy.")))
    assert invoke("generate", message_event(ID)) == {"batchItemFailures": []}
    set_clock.advance(minutes=1)
    use_model(saying(BIG))
    assert invoke("generate", message_event(ID)) == {"batchItemFailures": []}
    assert invoke("generate", message_event(OTHER_ID)) == {"batchItemFailures": []}
    model = saying("Dear Ada,")
    use_model(model)
    assert invoke("generate", message_event(FILLED_ID)) == {"batchItemFailures": []}
    assert len(model.prompts) == 2
    (delay,) = (call.params["DelaySeconds"] for call in calls if "DelaySeconds" in call.params)
    assert 1 <= delay <= 2
    assert messages_in("NotifyQueue") == 1
    assert unused("generate") == set()


@pytest.mark.usefixtures("aws")
def test_the_worker_has_the_settings_that_it_needs(
    deployment: Deployment, run_alone: Callable[[str], set[str]]
) -> None:
    """The worker, with a model at an endpoint, is built from all its variables and no other.

    Those of an embedding model are read for the first question by meaning.
    """
    asked = run_alone("generate")
    assert services().worker
    assert services().ranking
    of_embeddings = {"AFTERWORD_VECTOR_INDEX_ARN", *ours(deployment, "embed")}
    assert of_embeddings == {
        each for each in ours(deployment, "generate") if "EMBEDDING" in each or "VECTOR" in each
    }
    assert (
        asked - {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE"} == ours(deployment, "generate") - of_embeddings
    )


def test_letters_have_what_they_need(
    deployment: Deployment,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The dead letters' function uses all its variables and permissions, and no other."""
    put({"body": "B"}, {})
    put({"body": "B"}, {}, OTHER_ID)
    assert tenant.id == "demo"
    asked = run_alone("dead_letter")
    event = load_event("dead_letter")
    (letter,) = event["Records"]
    event["Records"].append({**letter, "body": letter["body"].replace(ID, OTHER_ID)})
    assert invoke("dead_letter", event) == {"batchItemFailures": []}
    assert messages_in("NotifyQueue") == 1
    assert asked == ours(deployment, "dead_letter")
    assert unused("dead_letter") == set()


@pytest.mark.usefixtures("tenant")
def test_the_sweeper_has_what_it_needs(
    deployment: Deployment,
    set_clock: SetClock,
    load_event: Callable[[str], Event],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The sweeper uses all its variables and permissions, and no other."""
    put({"body": "B"}, {})
    put({"body": "B"}, {}, OTHER_ID)
    assert services().store.cancel("demo", OTHER_ID)
    services().store.cancel("demo", ID)
    for number in range(11):  # more than a tenant's share, so that the queues' depths count
        put({"body": "B"}, {}, f"019a6f3e-7c00-7000-8000-0000000001{number:02}")
    set_clock.advance(minutes=3)
    asked = run_alone("sweep")
    assert invoke("sweep", load_event("sweep")) == {"sent": 11, "dispatched": 2}
    assert asked == ours(deployment, "sweep")
    assert unused("sweep") == set()


def test_a_list_has_what_it_needs(
    deployment: Deployment, client: Client, run_alone: Callable[[str], set[str]]
) -> None:
    """The list's function uses all its variables and permissions, and no other."""
    client.submitted(("text", BIG))
    asked = run_alone("list_text_generations")
    assert client.list()["statusCode"] == 200
    assert asked == ours(deployment, "list_text_generations")
    assert unused("list_text_generations") == set()


def test_a_form_has_what_it_needs(
    deployment: Deployment,
    form: Client,
    lose_slots: Callable[[], None],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The form's function uses all its variables and permissions, and no other."""
    lose_slots()
    asked = run_alone("create_text_generation")
    fields = (("topic", "Snow"), ("story", BIG), ("sources", ("a.txt", b"Hello")))
    assert form.submit(*fields, idempotency_key="case-457")["statusCode"] == 200
    assert messages_in("Queue") == 1
    assert asked == ours(deployment, "create_text_generation")
    assert unused("create_text_generation") == set()


def test_a_generation_has_what_it_needs(
    deployment: Deployment, client: Client, run_alone: Callable[[str], set[str]]
) -> None:
    """The reading function uses all its variables and permissions, and no other."""
    generation_id = client.submitted(("text", BIG))
    asked = run_alone("get_text_generation")
    assert client.get(generation_id)["statusCode"] == 200
    assert asked == ours(deployment, "get_text_generation")
    assert unused("get_text_generation") == set()


def test_a_title_has_what_it_needs(
    deployment: Deployment, client: Client, run_alone: Callable[[str], set[str]]
) -> None:
    """The title's function uses all its variables and permissions, and no other."""
    generation_id = client.submitted(("text", BIG))
    asked = run_alone("update_text_generation")
    assert client.set_title(generation_id, "Refunds")["statusCode"] == 200
    assert client.update(generation_id, "{}")["statusCode"] == 200
    assert asked == ours(deployment, "update_text_generation")
    assert unused("update_text_generation") == set()


def somebody_else_succeeds(generation_id: str) -> None:
    """Let a worker with clients of its own end a generation with a big text."""
    payloads = Payloads(lambda: boto3.client("s3"), REFERENCES["Bucket"])
    table = REFERENCES["GenerationsTable"]
    store = GenerationStore(boto3.client("dynamodb"), table, payloads)
    claim = store.claim("demo", generation_id, clock.now() + timedelta(minutes=1))
    assert claim is not None
    assert store.succeed(claim, completion(BIG))


@pytest.mark.parametrize("folder", RUNS)
def test_running_a_flow_has_what_it_needs(  # noqa: PLR0913, PLR0917 - fixtures
    deployment: Deployment,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    lose_slots: Callable[[], None],
    run_alone: Callable[[str], set[str]],
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
) -> None:
    """A function that waits for a text uses all its variables and permissions, and no other."""
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.0)
    lose_slots()
    event = load_event(folder)
    event["headers"] |= {"authorization": f"Bearer {tenant.key}", "idempotency-key": "case-457"}
    services().contents.create("demo", Draft(name="Refunds", text="Soon.", folder="Help"))
    step = {"name": "answer", "prompt": "{{text}}", "context": {}}
    flow = Flow.model_validate({"id": FLOW, "name": "Ask", "steps": [step]})
    services().registry.put_flow("demo", FLOW, flow.model_dump_json(exclude_unset=True))
    event["body"] = json.dumps(RUNS[folder])
    asked = run_alone(folder)
    assert invoke(folder, event)["statusCode"] == 504
    somebody_else_succeeds(generations.id_for_key("demo", "case-457"))
    assert invoke(folder, event)["statusCode"] == 200
    assert messages_in("Queue") == 1
    assert asked == ours(deployment, folder)
    assert unused(folder) == set()


@pytest.mark.parametrize("folder", ["get_flow_log", "rate_flow_log"])
def test_logs_have_what_they_need(
    deployment: Deployment,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    run_alone: Callable[[str], set[str]],
    folder: str,
) -> None:
    """The functions of a log use all their variables and permissions, and no other."""
    put({"body": "B"}, {"external_metadata": f'{{"a": "{BIG}"}}'})
    event = load_event(folder)
    event["headers"]["authorization"] = f"Bearer {tenant.key}"
    asked = run_alone(folder)
    assert invoke(folder, event)["statusCode"] in {200, 202}
    assert asked == ours(deployment, folder)
    assert unused(folder) == set()


def question(event: Event, tenant: Tenant, **changes: object) -> Event:
    """Return the sample event of a question or an answer, with the key and without a website."""
    event["headers"] |= {"x-api-key": tenant.key, "idempotency-key": "case-457"}
    del event["headers"]["x-website-id"]
    return {**event, **changes}


def test_a_question_has_what_it_needs(
    deployment: Deployment,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    lose_slots: Callable[[], None],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The question's function uses all its variables and permissions, and no other."""
    lose_slots()
    chat = json.dumps({**json.loads(FLOW_DOCUMENT), "type": "chat"})
    services().registry.put_flow("demo", FLOW, chat)
    sent = {"query": "Why?", "sessionId": "s", "visitorId": "v", "metadata": {"a": BIG}}
    event = question(load_event("submit_query"), tenant, body=json.dumps(sent))
    named = {**event, "headers": {**event["headers"], "x-website-id": FLOW}}
    asked = run_alone("submit_query")
    assert invoke("submit_query", event)["statusCode"] == 200
    assert invoke("submit_query", named)["statusCode"] == 200
    assert messages_in("Queue") == 2
    assert asked == ours(deployment, "submit_query")
    assert unused("submit_query") == set()


def test_an_answer_has_what_it_needs(
    deployment: Deployment,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    set_clock: SetClock,  # noqa: ARG001 - asked for its effect
    run_alone: Callable[[str], set[str]],
) -> None:
    """The answer's function uses all its variables and permissions, and no other."""
    submission = Submission(
        dialect="unless",
        flow=FLOW,
        inputs={"text": "Why?"},
        template=None,
        external={},
        conversation="s",
    )
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30))
    services().store.put("demo", ID, submission, options)
    somebody_else_succeeds(ID)
    event = question(load_event("get_answer"), tenant)
    asked = run_alone("get_answer")
    assert invoke("get_answer", event)["statusCode"] == 200
    assert asked == ours(deployment, "get_answer")
    assert unused("get_answer") == set()


def test_a_realtime_query_has_what_it_needs(  # noqa: PLR0913, PLR0917 - fixtures
    deployment: Deployment,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    lose_slots: Callable[[], None],
    run_alone: Callable[[str], set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The realtime query's function uses all its variables and permissions, and no other."""
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.0)
    lose_slots()
    chat = json.dumps({**json.loads(FLOW_DOCUMENT), "type": "chat"})
    services().registry.put_flow("demo", FLOW, chat)
    sent = {"query": "Why?", "sessionId": "s", "visitorId": "v", "metadata": {"a": BIG}}
    event = load_event("answer_query")
    event["headers"] |= {"x-api-key": tenant.key, "idempotency-key": "case-457"}
    event["body"] = json.dumps(sent)
    asked = run_alone("answer_query")
    assert invoke("answer_query", event)["statusCode"] == 504
    somebody_else_succeeds(generations.id_for_key("demo", "case-457"))
    assert invoke("answer_query", event)["statusCode"] == 200
    assert messages_in("Queue") == 1
    assert asked == ours(deployment, "answer_query")
    assert unused("answer_query") == set()


def test_feedback_has_what_it_needs(
    deployment: Deployment,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    set_clock: SetClock,
    run_alone: Callable[[str], set[str]],
) -> None:
    """The feedback's function uses all its variables and permissions, and no other."""
    submission = Submission(
        dialect="unless",
        flow=FLOW,
        inputs={"text": BIG},
        template=None,
        external={},
        conversation="s",
    )
    options = SubmissionOptions(flow_version=1, retention=timedelta(days=30))
    for question_id in (ID, OTHER_ID):
        services().store.put("demo", question_id, submission, options)
        somebody_else_succeeds(question_id)
        set_clock.advance(seconds=1)
    rated = {"sender": "bot", "uuid": unless.make_turn_id(ID, "bot")}
    chat = {"history": [rated], "conversationId": f"async-{OTHER_ID}"}
    event = load_event("give_feedback")
    event["headers"]["x-api-key"] = tenant.key
    event["body"] = json.dumps({"websiteId": FLOW, "chatDataJson": chat, "feedback": "positive"})
    asked = run_alone("give_feedback")
    assert invoke("give_feedback", event)["statusCode"] == 200
    assert asked == ours(deployment, "give_feedback")
    assert unused("give_feedback") == set()


def content_event(event: Event, key: str, **fields: object) -> Event:
    """Return the sample event of a content with the key, and these fields in its body."""
    event["headers"]["authorization"] = f"Bearer {key}"
    return {**event, "body": json.dumps(fields)}


def test_a_content_has_what_it_needs(
    deployment: Deployment,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The functions of contents use all their variables and permissions, and no other."""
    key = services().registry.create_key(tenant.id, [Scope.ADMIN, Scope.READ])[1]
    terms, other = (
        services().contents.create("demo", Draft(name="A", text="B", folder=folder)).folder.id
        for folder in ("Terms", "Other")
    )
    there = {"name": "A", "text": BIG, "externalId": "terms-1", "folder": terms}
    inside = "https://127.0.0.1/"
    for name, asked_for in (
        (
            "create_content",
            [(there, 200), (there, 409), ({"fileUrl": inside}, 422)],
        ),
        (
            "update_content",
            [({"text": "C", "folder": other}, 200), ({"fileUrl": inside}, 422)],
        ),
        ("list_folders", [({}, 200)]),
        ("list_folder_contents", [({}, 200)]),
    ):
        asked = run_alone(name)
        for fields, status in asked_for:
            event = content_event(load_event(name), key, **fields)
            assert invoke(name, event)["statusCode"] == status
        assert asked == ours(deployment, name)
        assert unused(name) == set()


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_endpoint_has_what_it_needs(
    deployment: Deployment,
    administration: Administration,
    tenant: Tenant,
    run_alone: Callable[[str], set[str]],
    name: str,
) -> None:
    """A function whose one good request shows all of it uses its variables and permissions."""
    parameters = make_belongings(tenant) | generation_parameters(submitted(tenant))
    api = Api(administration.key, parameters)
    asked = run_alone(name)
    assert api.call(name, BODIES.get(name))["statusCode"] in {200, 201, 202, 204}
    assert asked == ours(deployment, name)
    assert unused(name) == set()


def test_saving_a_flow_has_what_it_needs(
    deployment: Deployment,
    administration: Administration,
    tenant: Tenant,
    run_alone: Callable[[str], set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A flow that is new to a tenant without a count, and a version too many, use all of it."""
    make_belongings(tenant)
    monkeypatch.setattr(registry, "MAX_VERSIONS", 1)
    key = {"pk": {"S": f"tenant#{tenant.id}"}, "sk": {"S": "tenant"}}
    clients().dynamodb.update_item(
        TableName=REFERENCES["RegistryTable"], Key=key, UpdateExpression="REMOVE flows"
    )
    asked = run_alone("put_flow")
    assert administration.call("put_flow", CHAT_FLOW, flowId="new")["statusCode"] == 200
    changed = {**CHAT_FLOW, "name": "Talk"}
    assert administration.call("put_flow", changed, flowId="new")["statusCode"] == 200
    model = {**CHAT_FLOW, "steps": [{"name": "a", "prompt": "b", "model": "large"}]}
    assert administration.call("put_flow", model, flowId="new")["statusCode"] == 200
    assert asked == ours(deployment, "put_flow")
    assert unused("put_flow") == set()


def test_a_key_has_what_it_needs(
    deployment: Deployment,
    administration: Administration,
    tenant: Tenant,
    run_alone: Callable[[str], set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key too many, which removes a revoked one, uses all of it."""
    made, _ = services().registry.create_key(tenant.id, [Scope.READ])
    services().registry.revoke_key(tenant.id, made.id)
    keys = len(services().registry.list_keys(tenant.id))
    monkeypatch.setattr(registry, "MAX_KEYS", keys)
    monkeypatch.setattr(registry, "MAX_LIVE_KEYS", keys)
    asked = run_alone("create_key")
    assert administration.call("create_key", {})["statusCode"] == 201
    assert services().registry.get_key(made.id) is None
    assert asked == ours(deployment, "create_key")
    assert unused("create_key") == set()


def test_the_count_has_what_it_needs(
    deployment: Deployment,
    set_clock: SetClock,
    tenant: Tenant,
    load_event: Callable[[str], Event],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The count uses all its variables and permissions, and no other."""
    put({"body": "B"}, {})
    services().store.cancel(tenant.id, ID)
    set_clock.advance(hours=2)
    asked = run_alone("count_usage")
    assert invoke("count_usage", load_event("count_usage"), LambdaContext(milliseconds=600_000))[
        "hours"
    ]
    assert asked == ours(deployment, "count_usage")
    assert unused("count_usage") == set()


def test_submitting_to_the_native_api_has_what_it_needs(
    deployment: Deployment,
    native: Native,
    lose_slots: Callable[[], None],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The native API's submitting function uses all its variables and permissions, and no other."""
    lose_slots()
    services().contents.create("demo", Draft(name="Refunds", text="Soon.", folder="Help"))
    step = {"name": "answer", "prompt": "{{text}}", "context": {}}
    flow = Flow.model_validate({"id": FLOW, "name": "Ask", "steps": [step]})
    services().registry.put_flow("demo", FLOW, flow.model_dump_json(exclude_unset=True))
    chosen = {"answer": {"folders": {"names": ["help"]}}}
    body = {"flow": FLOW, "inputs": {"text": BIG}, "context": chosen}
    asked = run_alone("submit_generation")
    accepted = native.submit(body, idempotency_key="case-457")
    assert accepted["statusCode"] == 202
    somebody_else_succeeds(accepted["body"]["id"])
    assert native.submit(body, idempotency_key="case-457")["statusCode"] == 200
    assert messages_in("Queue") == 1
    assert asked == ours(deployment, "submit_generation")
    assert unused("submit_generation") == set()


def test_submitting_again_has_what_it_needs(
    deployment: Deployment,
    native: Native,
    lose_slots: Callable[[], None],
    run_alone: Callable[[str], set[str]],
) -> None:
    """The retrying function uses all its variables and permissions, and no other."""
    failed = native.submitted(inputs={"text": BIG})
    services().outbox.cancel("demo", failed)
    lose_slots()
    asked = run_alone("retry_generation")
    assert native.ask("retry_generation", failed)["statusCode"] == 202
    assert messages_in("Queue") == 2
    assert asked == ours(deployment, "retry_generation")
    assert unused("retry_generation") == set()


def test_reading_and_listing_have_what_they_need(
    deployment: Deployment,
    native: Native,
    run_alone: Callable[[str], set[str]],
) -> None:
    """The functions that show generations use all their variables and permissions."""
    generation_id = native.submitted(external_ref="case-457")
    somebody_else_succeeds(generation_id)
    for name, requests in (
        ("get_generation", [(generation_id, None)]),
        (
            "list_generations",
            [(None, {}), (None, {"flow": FLOW}), (None, {"external_ref": "case-457"})],
        ),
    ):
        asked = run_alone(name)
        for path, query in requests:
            assert native.ask(name, path, query=query)["statusCode"] == 200
        if name == "list_generations":
            forget_the_index()
            assert native.page()["statusCode"] == 200
        assert asked == ours(deployment, name)
        assert unused(name) == set()


def test_waiting_at_a_reading_has_what_it_needs(
    deployment: Deployment,
    native: Native,
    run_alone: Callable[[str], set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reading that waits may take a place and give it back."""
    generation_id = native.submitted()
    pauses: list[float] = []
    time = SimpleNamespace(monotonic=lambda: 1_000.0 + sum(pauses), sleep=pauses.append)
    monkeypatch.setattr(waiting, "time", time)
    monkeypatch.setattr(deadline, "time", time)
    asked = run_alone("get_generation")
    answer = native.ask("get_generation", generation_id, prefer="wait=3")
    assert (answer["statusCode"], answer["headers"]["preference-applied"]) == (200, "wait=3")
    assert services().quotas.take_wait("demo", 1, waiting.PLACE_TIME) is not None
    assert asked == ours(deployment, "get_generation")


def test_canceling_and_deleting_have_what_they_need(
    deployment: Deployment,
    tenant: Tenant,
    native: Native,
    run_alone: Callable[[str], set[str]],
) -> None:
    """The functions that end generations, or delete them, use all that they have."""
    services().registry.set_limits(tenant.id, Limits(running_at_once=5, reads_per_minute=1_000))
    put({"body": BIG}, {"metadata": f'{{"a": "{BIG}"}}'})
    ended = [native.submitted(inputs={"text": text}) for text in (BIG, LONG)]
    for generation_id in ended:
        services().outbox.cancel("demo", generation_id)
    for name, generation_ids, status in (
        ("cancel_generation", [ID], 200),
        ("delete_generation", ended, 204),
    ):
        asked = run_alone(name)
        for generation_id in generation_ids:
            assert native.ask(name, generation_id)["statusCode"] == status
        assert asked == ours(deployment, name)
        assert unused(name) == set()
    assert messages_in("NotifyQueue") == 1
