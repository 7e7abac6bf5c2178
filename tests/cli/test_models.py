"""`afterword model check`, with models that do as they are told."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

import cli.models
from afterword.generations import Completion, FailedError, Reason
from afterword.models import (
    LENGTH,
    STOP,
    Model,
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
    Prompt,
)
from afterword.services import Services
from cli.model_checks import CHECKS, Verdict, check_model, describe
from tests.cli.conftest import Afterword, CloudFormation, usage_error

CHECK = ("model", "check")
NAMED = (*CHECK, "--url", "http://user:secret@127.0.0.1:9/v1", "--model", "test-model")
ANSWERS = {
    "text": "A warranty is a promise.",
    "array": '{"items": ["red", "green", "blue"]}',
    "json": '{"name": "Jane Miller", "age": 41}',
    "template": '{"the_customer_s_full_name": "Jane Miller", "the_subject": "a lamp"}',
    "one_token": "One",
}


def kind_of(prompt: Prompt) -> str:
    """Return the question that a prompt asks, by what it wants."""
    if prompt.schema is None:
        return "one_token" if prompt.max_tokens == 1 else "text"
    properties = prompt.schema["properties"]
    assert isinstance(properties, dict)
    return "array" if "items" in properties else "json" if "age" in properties else "template"


@dataclass
class ToldModel:
    """A model that can do all, but for what `failures` and `texts` say of a question."""

    failures: dict[str, Exception] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    repaired: dict[str, str] = field(default_factory=dict)
    stops: dict[str, str] = field(default_factory=lambda: {"one_token": LENGTH})
    learns: dict[str, str] = field(default_factory=dict)
    estimated: bool = False
    documents: tuple[str, ...] = ()
    asked: list[tuple[str, Prompt, float]] = field(default_factory=list)

    def generate(self, prompt: Prompt, timeout: float) -> Completion:
        """Answer as told."""
        kind = kind_of(prompt)
        self.asked.append((kind, prompt, timeout))
        if kind in self.failures:
            raise self.failures[kind]
        again = self.repaired if "cannot be used" in prompt.user else {}
        return Completion(
            text={**ANSWERS, **self.texts, **again}[kind],
            model=prompt.model,
            stop_reason=self.stops.get(kind, STOP),
            tokens_in=11,
            tokens_out=3,
            estimated=self.estimated,
        )

    def describe_adaptations(self, model: str) -> Sequence[str]:
        """Return the adaptations that the questions so far have taught."""
        assert model == "test-model"
        return [self.learns[kind] for kind, _, _ in self.asked if kind in self.learns]


type Use = Callable[[ToldModel], list[str]]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Put a model in the place of that at an endpoint; return where it was looked for."""
    for name in ("AFTERWORD_MODEL", "AFTERWORD_MODEL_URL", "AFTERWORD_MODEL_PROVIDER"):
        monkeypatch.delenv(name, raising=False)

    def put(model: ToldModel) -> list[str]:
        urls: list[str] = []

        def build(url: str, api_key: Callable[[], str | None], _pool: int) -> Model:
            urls.append(f"{url} {api_key()}")
            return model

        monkeypatch.setattr(cli.models, "OpenAIModel", build)
        return urls

    return put


def verdicts(model: ToldModel) -> dict[str, Verdict]:
    """Return the verdict of each check."""
    return {each.check: each.verdict for each in check_model(model, "test-model", 60)}


def test_a_model_that_can_all(afterword: Afterword, use: Use) -> None:
    """Each check has a line with seconds, tokens and answer; the URL's password is not shown."""
    urls = use(ToldModel())
    result = afterword(*NAMED)
    assert (result.exit_code, result.stderr) == (0, "test-model at http://127.0.0.1:9/v1\n")
    assert result.stdout.splitlines() == [
        "text       yes         0.0 s  11 + 3 tokens      A warranty is a promise.",
        'array      yes         0.0 s  11 + 3 tokens      ["red", "green", "blue"]',
        'JSON       yes         0.0 s  11 + 3 tokens      {"name": "Jane Miller", "age": 41}',
        (
            "template   yes         0.0 s  11 + 3 tokens      Dear Jane Miller, thank you for your"
            " mail about a lamp."
        ),
        "one token  yes         0.0 s  11 + 3 tokens      cut, and told so",
    ]
    assert urls == ["http://user:secret@127.0.0.1:9/v1 None"]


def test_each_question_has_its_time(use: Use, afterword: Afterword) -> None:
    """A question has the seconds of --timeout, and the prompt is the worker's own."""
    model = ToldModel()
    use(model)
    assert afterword(*NAMED, "--timeout", "7").exit_code == 0
    assert [kind for kind, _, _ in model.asked] == list(ANSWERS)
    assert {timeout for _, _, timeout in model.asked} == {7.0}
    template = model.asked[3][1]
    assert "<template>Dear [the customer's full name],\n" in template.user
    assert "- the_subject: the subject" in template.system


def test_the_time_of_all_is_bounded() -> None:
    """Where the time of all questions is over, the others are not asked."""
    findings = list(check_model(ToldModel(), "test-model", 60, total=0))
    assert {each.verdict for each in findings} == {Verdict.NOT_ASKED}
    assert len(findings) == len(CHECKS)
    assert describe(findings[0]) == "text       not asked"


def test_what_was_renamed_stands_where_it_was_learned(use: Use, afterword: Afterword) -> None:
    """An adaptation stands once, under the first check that needed it."""
    use(ToldModel(learns={"text": "max_tokens is renamed.", "json": "No json_schema."}))
    lines = afterword(*NAMED).stdout.splitlines()
    assert lines[1] == "           adapted: max_tokens is renamed."
    assert lines[4] == "           adapted: No json_schema."
    assert sum("adapted" in line for line in lines) == 2


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (
            ModelUnavailableError("The model endpoint cannot be reached."),
            "The model endpoint cannot be reached.",
        ),
        (ModelTimedOutError("No answer."), "timed_out: No answer."),
        (
            ModelRefusedError(Reason.MODEL_NOT_FOUND, "Check the\x1b model's name."),
            "model_not_found: Check the\ufffd model's name.",
        ),
    ],
)
def test_without_a_text_no_other_is_asked(
    use: Use, afterword: Afterword, failure: Exception, line: str
) -> None:
    """A model that gives no text fails with its reason, and exit code 1."""
    model = ToldModel(failures={"text": failure})
    use(model)
    result = afterword(*NAMED)
    assert result.exit_code == 1
    first, *others = result.stdout.splitlines()
    assert first == f"text       no          0.0 s  {line}"
    assert others == [f"{check.name:<10} not asked" for check in CHECKS[1:]]
    assert len(model.asked) == 1


def test_a_blank_text_is_none(use: Use, afterword: Afterword) -> None:
    """A text is judged as the worker judges it."""
    use(ToldModel(texts={"text": " "}))
    result = afterword(*NAMED)
    assert result.exit_code == 1
    assert result.stdout.startswith("text       no          0.0 s  empty_output: The model")


def test_what_a_model_cannot_leaves_the_rest(use: Use, afterword: Afterword) -> None:
    """A model that only has texts says so, with the reason of each, and exit code 0."""
    refused = ModelRefusedError(Reason.INVALID_REQUEST, "The model endpoint answered 400.")
    model = ToldModel(texts={"array": "Red.", "template": "{}"}, failures={"json": refused})
    use(model)
    result = afterword(*NAMED)
    assert result.exit_code == 0
    _, array, as_json, template, one_token = result.stdout.splitlines()
    assert array.startswith("array      no          0.0 s  invalid_output: ")
    assert (
        as_json == "JSON       no          0.0 s  invalid_request: The model endpoint answered 400."
    )
    assert template.startswith("template   no          0.0 s  ")
    assert one_token.startswith("one token  yes")


def test_an_answer_may_be_repaired_once(use: Use, afterword: Afterword) -> None:
    """A structured answer that does not fit is asked for once more, as the worker does."""
    model = ToldModel(texts={"json": '{"name": "Jane"}'}, repaired={"json": ANSWERS["json"]})
    use(model)
    result = afterword(*NAMED)
    line = result.stdout.splitlines()[2]
    assert line.startswith(
        "JSON       yes         0.0 s  22 + 6 tokens      after a repair question: "
    )
    assert [kind for kind, _, _ in model.asked].count("json") == 2


@pytest.mark.parametrize(
    ("model", "verdict"),
    [
        pytest.param(ToldModel(), Verdict.YES, id="cut"),
        pytest.param(ToldModel(texts={"one_token": ""}), Verdict.YES, id="reasoning only"),
        pytest.param(ToldModel(stops={}), Verdict.NO, id="passes for whole"),
        pytest.param(
            ToldModel(
                failures={
                    "one_token": ModelRefusedError(Reason.OUTPUT_TRUNCATED, "The answer was cut.")
                }
            ),
            Verdict.YES,
            id="cut in its reasoning",
        ),
        pytest.param(
            ToldModel(failures={"one_token": ModelRefusedError(Reason.INVALID_REQUEST, "No.")}),
            Verdict.NO,
            id="refused",
        ),
    ],
)
def test_an_answer_that_is_cut_has_to_say_so(model: ToldModel, verdict: Verdict) -> None:
    """With one token, a model is right whose answer tells that it was cut."""
    assert verdicts(model)["one token"] is verdict


def test_the_findings_come_as_json(use: Use, afterword: Afterword) -> None:
    """With --json standard output has all findings and adaptations."""
    use(ToldModel(learns={"text": "max_tokens is renamed."}, estimated=True))
    result = afterword(*NAMED, "--json")
    facts = json.loads(result.stdout)
    assert (facts["model"], facts["where"]) == ("test-model", "at http://127.0.0.1:9/v1")
    assert facts["adaptations"] == ["max_tokens is renamed."]
    text = facts["checks"][0]
    assert text.pop("seconds") < 1
    assert text == {
        "check": "text",
        "verdict": "yes",
        "answer": "A warranty is a promise.",
        "stop_reason": "stop",
        "tokens_in": 11,
        "tokens_out": 3,
        "tokens_estimated": True,
        "reason": None,
        "message": None,
        "adaptations": ["max_tokens is renamed."],
    }


def test_the_environment_names_the_model(
    use: Use, afterword: Afterword, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables of `make dev` name the endpoint, its key and its model."""
    urls = use(ToldModel())
    monkeypatch.setenv("AFTERWORD_MODEL_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("AFTERWORD_MODEL", "test-model")
    monkeypatch.setenv("AFTERWORD_MODEL_API_KEY", "sk-secret")
    result = afterword(*CHECK)
    assert (result.exit_code, urls) == (0, ["http://127.0.0.1:9/v1 sk-secret"])
    assert "sk-secret" not in result.output


@pytest.mark.usefixtures("stack")
def test_the_stack_names_the_model(
    use: Use,
    afterword: Afterword,
    cloudformation: CloudFormation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without options the model is that of the stack's parameters, as the worker builds it."""
    use(ToldModel())
    cloudformation.outputs["afterword"] = {
        **cloudformation.outputs["afterword"],
        "ModelId": "test-model",
    }
    cloudformation.parameters |= {
        "ModelProvider": "openai",
        "ModelBaseUrl": "http://127.0.0.1:9/v1",
    }
    monkeypatch.setattr(Services, "model", ToldModel())
    result = afterword(*CHECK)
    assert (result.exit_code, result.stderr) == (0, "test-model at http://127.0.0.1:9/v1\n")
    cloudformation.parameters |= {"ModelProvider": "bedrock", "ModelBaseUrl": ""}
    result = afterword(*CHECK)
    assert result.stderr == "test-model on Amazon Bedrock, as the stack's worker asks it\n"
    cloudformation.parameters |= {"ModelProvider": "openai"}
    result = afterword(*CHECK)
    assert result.exit_code == 1
    assert "The stack's parameter ModelBaseUrl is empty" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--provider", "bedrock"), "for --model: name the model or inference profile"),
        (("--url", "http://127.0.0.1:9/v1"), "for --model: name the endpoint's model"),
        (("--provider", "openai"), "for --url: give the endpoint's base URL, as …/v1"),
        (("--provider", "azure"), "for --provider: 'azure' is none"),
    ],
)
def test_wrong_options_are_usage_errors(
    use: Use, afterword: Afterword, options: tuple[str, ...], message: str
) -> None:
    """Options that name no model end with exit code 2."""
    use(ToldModel())
    assert message in usage_error(afterword(*CHECK, *options))


def test_a_failure_of_the_worker_is_one_here() -> None:
    """A check ends with a verdict, whatever the model answers."""
    failures: dict[str, Exception] = {
        "array": FailedError(Reason.UNREADABLE_FILE, "No."),
        "json": ModelUnavailableError("No."),
        "template": ModelTimedOutError("No."),
    }
    assert list(verdicts(ToldModel(failures=failures)).values()) == [
        Verdict.YES,
        Verdict.NO,
        Verdict.NO,
        Verdict.NO,
        Verdict.YES,
    ]
