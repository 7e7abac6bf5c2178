"""IAM on the embedded stack: a function that loses an action cannot do its work until it is back.

That every single action is needed is shown by tests/template/test_every_action_is_needed.py.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any, cast

import pytest

from afterword.tenants.keys import Scope
from local.aws import session
from tests.harness.deployment import as_list
from tests.stack.embedded.driver import Dev, Tenant, running, until
from tests.stack.embedded.test_webhooks import Receiver, receiving

DONE_SECONDS = 60.0
MAIL = {"subject": "A", "body": "B", "template": "Zeppelin."}  # answered without a model

type Policy = Mapping[str, Sequence[Mapping[str, Any]]]


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """Serve a receiver of webhooks that takes them all."""
    with receiving(Random(0)) as receiver:  # noqa: S311 - not asked for
        receiver.steady = True
        yield receiver


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Dev]:
    """Start a stack from whose roles nobody else's tests need anything."""
    folder = tmp_path_factory.mktemp("privileges")
    with running(folder, AFTERWORD_FETCH_ALLOWED=receiver.host) as dev:
        yield dev


@pytest.fixture(scope="module")
def tenant(dev: Dev) -> Tenant:
    return dev.tenants()[0]


@contextmanager
def without(dev: Dev, role: str, action: str) -> Iterator[None]:
    """Take an action from a role of template.yaml; put it back in the end.

    A policy that others have, too, is detached, and the role keeps what else it allows.
    """
    iam = cast("Any", session()).client("iam", endpoint_url=dev.account().endpoint)
    (name,) = [
        each["RoleName"]
        for page in iam.get_paginator("list_roles").paginate()
        for each in page["Roles"]
        if each["RoleName"].startswith(f"{dev.account().stack}-{role}-")
    ]
    own = {
        policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
    }
    attached = {
        policy["PolicyArn"]: document(iam, policy["PolicyArn"])
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    }

    def put(policy: str, document: Policy) -> None:
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=json.dumps(document))

    with ExitStack() as back:
        for policy in allowing(action, own):
            put(policy, less(own[policy], action))
            back.callback(put, policy, own[policy])
        for number, policy in enumerate(allowing(action, attached)):
            rest = f"rest-{number}"
            put(rest, less(attached[policy], action))
            back.callback(iam.delete_role_policy, RoleName=name, PolicyName=rest)
            iam.detach_role_policy(RoleName=name, PolicyArn=policy)
            back.callback(iam.attach_role_policy, RoleName=name, PolicyArn=policy)
        assert allowing(action, own | attached)
        yield


def document(iam: Any, policy: str) -> Policy:  # noqa: ANN401 - a client without stubs
    """Return the document of a managed policy."""
    version = iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"]
    got = iam.get_policy_version(PolicyArn=policy, VersionId=version)["PolicyVersion"]
    found: Policy = got["Document"]
    return found


def allowing(action: str, policies: Mapping[str, Policy]) -> list[str]:
    """Return the names of the policies that allow an action."""
    return [
        name
        for name, policy in policies.items()
        if any(action in as_list(statement["Action"]) for statement in policy["Statement"])
    ]


def less(policy: Policy, action: str) -> Policy:
    """Return a policy without an action that it allows."""
    statements = [
        {**statement, "Action": [each for each in as_list(statement["Action"]) if each != action]}
        for statement in policy["Statement"]
    ]
    return {**policy, "Statement": [each for each in statements if each["Action"]]}


def wait_for_denial(dev: Dev, action: str) -> None:
    """Wait until a function's log says that it may not do something."""
    log = dev.folder / "ministack.log"
    until(lambda: f"is not authorized to perform: {action}" in log.read_text(), DONE_SECONDS)


def test_an_endpoint_that_loses_an_action_is_out_of_order(dev: Dev, tenant: Tenant) -> None:
    """Without the right to store generations none is accepted, and with it they are again."""
    content, headers = json.dumps(MAIL).encode(), {"Content-Type": "application/json"}
    with without(dev, "SubmitMailGenerationRole", "dynamodb:PutItem"):
        answer = tenant.request("POST", tenant.mails, content=content, headers=headers)
        assert answer.status_code == 503
        assert answer.json()["message"] == "Try again in a moment."
    assert tenant.finish(tenant.submit(**MAIL))["response"] == "Zeppelin."


def test_a_worker_that_loses_an_action_does_not_work(dev: Dev, tenant: Tenant) -> None:
    """Without the right to claim generations they stay open, and with it they are run."""
    with without(dev, "GenerateRole", "dynamodb:UpdateItem"):
        process = tenant.submit(**MAIL)
        wait_for_denial(dev, "dynamodb:UpdateItem")
        assert tenant.read(process)["status"] == "started"
    sqs = session().client("sqs", endpoint_url=dev.account().endpoint)
    message = json.dumps({"tenant": tenant.id, "id": process})  # as the sweeper would, in time
    sqs.send_message(QueueUrl=dev.account().outputs()["QueueUrl"], MessageBody=message)
    assert tenant.finish(process)["response"] == "Zeppelin."


def test_a_sender_that_loses_an_action_sends_nothing(
    dev: Dev, tenant: Tenant, receiver: Receiver
) -> None:
    """Without the right to read secrets no webhook is sent, and with it they are again."""
    _, key = dev.account().registry().create_key(tenant.id, [Scope.ADMIN])
    owner = Tenant(tenant.url, tenant.id, key, tenant.flow)
    headers = {"Content-Type": "application/json"}
    content = json.dumps({"url": f"http://{receiver.host}/"}).encode()
    created = owner.request("POST", "/v1/webhooks", content=content, headers=headers)
    assert created.status_code == 201, created.text
    test = f"/v1/webhooks/{created.json()['id']}/test"
    with without(dev, "SendWebhookRole", "ssm:GetParameter"):
        assert owner.request("POST", test).status_code == 202
        wait_for_denial(dev, "ssm:GetParameter")
        assert receiver.posts == []
    assert owner.request("POST", test).status_code == 202
    until(lambda: receiver.posts, DONE_SECONDS)
