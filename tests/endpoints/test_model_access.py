"""The models that a tenant may use: in its flows, and at each attempt."""

import json
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from afterword.errors import InvalidRequestError, NotFoundError
from afterword.generations import Generation, Reason, Status, Submission
from afterword.limits import Rules
from afterword.services import services
from afterword.tenants import rules
from afterword.tenants.registry import Registry
from tests.conftest import Event, Tenant
from tests.harness.administration import Administration, invalid
from tests.harness.api import invoke
from tests.harness.fake_model import FakeModel, saying

FORBIDDEN = "steps[1].model: must be a model that the tenant may use: large, small."
LIST = frozenset({"small", "large"})


def make_flow(*models: str | None) -> dict[str, object]:
    """Return a flow with a step for each model."""
    steps = [
        {"name": f"s{number}", "prompt": "{{text}}", **({"model": model} if model else {})}
        for number, model in enumerate(models)
    ]
    return {"id": "talk", "name": "Talk", "steps": steps}


@pytest.fixture
def generate(
    tenant: Tenant,
    message_event: Callable[[str], Event],
    use_model: Callable[[FakeModel], None],
) -> Callable[..., Generation]:
    """Return a function that saves a flow of these models, and runs a generation of it."""
    use_model(saying("Hello"))

    def run(*models: str | None) -> Generation:
        services().registry.put_flow(tenant.id, "talk", json.dumps(make_flow(*models)))
        submission = Submission(
            dialect="native", flow="talk", inputs={"text": "Hi"}, template=None, external={}
        )
        generation_id = services().submitter.submit(tenant.id, submission)
        invoke("generate", message_event(generation_id))
        return services().store.get(tenant.id, generation_id)

    return run


def test_a_tenant_may_use_every_model_at_first(generate: Callable[..., Generation]) -> None:
    """Without a list a flow may name any model."""
    assert generate("huge").status is Status.SUCCEEDED


def test_a_model_of_the_list_may_be_used(
    generate: Callable[..., Generation], tenant: Tenant
) -> None:
    """With a list a flow may name its models, and the deployment's own."""
    services().registry.set_models(tenant.id, LIST)
    assert generate("small", None, "test-model").status is Status.SUCCEEDED


def test_another_model_fails_before_any_call(
    generate: Callable[..., Generation], tenant: Tenant
) -> None:
    """A saved flow with a model that was taken away fails with a reason that tells what to do."""
    services().registry.set_models(tenant.id, LIST)
    generation = generate("small", "huge")
    assert (generation.status, generation.reason, generation.message) == (
        Status.FAILED,
        Reason.MODEL_ACCESS_DENIED,
        f"{FORBIDDEN} Save the flow with such a model, or let the stack's owner allow this one.",
    )
    assert (generation.tokens_in, generation.tokens_out) == (None, None)


def test_a_list_is_read_once_a_minute(
    generate: Callable[..., Generation], tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process reads a tenant's rules once a minute, for its limits and its models alike."""
    reads: list[str] = []
    get_rules = Registry.get_rules

    def read(self: Registry, tenant_id: str) -> Rules:
        reads.append(tenant_id)
        return get_rules(self, tenant_id)

    generate(None)
    monkeypatch.setattr(Registry, "get_rules", read)
    generate(None, "test-model")
    generate("small")
    assert reads == []
    later = time.monotonic() + rules.CACHE_SECONDS
    monkeypatch.setattr(rules, "time", SimpleNamespace(monotonic=lambda: later))
    generate("small")
    generate("small")
    assert reads == [tenant.id]


def test_a_flow_with_another_model_is_not_saved(administration: Administration) -> None:
    """A flow with models that the tenant may not use is refused, with each field."""
    services().registry.set_models("demo", LIST)
    message = "must be a model that the tenant may use: large, small."
    flow = make_flow("huge", "small", "tiny")
    assert administration.call("put_flow", flow, flowId="talk") == invalid(
        ("steps[0].model", message), ("steps[2].model", message)
    )


def test_a_list_has_its_bounds(registry: Registry, tenant: Tenant) -> None:
    """A list has 1 to 100 models, and belongs to a tenant."""
    with pytest.raises(InvalidRequestError, match="must be 1 to 100, not 0"):
        registry.set_models(tenant.id, [])
    with pytest.raises(InvalidRequestError, match="must be 1 to 100, not 101"):
        registry.set_models(tenant.id, [str(number) for number in range(101)])
    with pytest.raises(NotFoundError, match="There is no tenant nobody"):
        registry.set_models("nobody", ["small"])
