"""`make sam-local`: an API of containers before the stack, and nothing left at its end."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.aws import session
from local.containers import OF_SAM
from tests.stack.embedded.driver import START_SECONDS, Json, Tenant, processes_of, refused, until
from tests.stack.sam.driver import (
    SamLocal,
    command,
    containers_of,
    docker,
    free_port,
    running,
    starting,
)

MAIL = {"subject": "My policy", "body": "Hello, when does my policy end? Jane Miller"}
IMAGE = "public.ecr.aws/lambda/python:3.13-"


def touch(sam: SamLocal) -> None:
    """Have a container of this run answer."""
    tenant = sam.tenant()
    assert tenant.request("GET", "/v1/flows").status_code == 200
    assert sam.containers()


def test_a_mail_is_generated_and_read_back(tenant: Tenant) -> None:
    """What sam's API accepts, the stack's worker generates, and sam's API shows."""
    external = {"external_ref": "case-457", "external_metadata": {"n": 1.0}}
    output = tenant.finish(tenant.submit(**MAIL, **external))
    assert len(output.pop("response")) > 20
    assert output == {"status": "completed", **external}


def test_a_native_generation_is_waited_for(tenant: Tenant) -> None:
    """A request that prefers to wait has its text in the answer."""
    headers = {"content-type": "application/json", "prefer": "wait=20"}
    sent = b'{"flow": "mail-reply", "inputs": {"text": "When does my policy end?"}}'
    answer = tenant.request("POST", "/v1/generations", content=sent, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded"), answer.text
    read: Json = tenant.request("GET", f"/v1/generations/{answer.json()['id']}").json()
    assert read["status"] == "succeeded"


def test_a_text_of_300_kb_goes_through_the_bucket(tenant: Tenant) -> None:
    """The stack's S3 is there for containers, too."""
    process = tenant.submit(subject="Big", body="x" * 300_000, template="Thank you.")
    assert tenant.finish(process)["response"] == "Thank you."


def test_a_key_is_needed(tenant: Tenant) -> None:
    """Without a key the answer is 401, as from the deployed API."""
    assert httpx.get(f"{tenant.url}/v1/flows", timeout=60).status_code == 401


@pytest.fixture
def not_allowed(sam: SamLocal) -> Iterator[None]:
    """Take the policies of a function's role away for a moment."""
    account = sam.account()
    iam = session().client("iam", endpoint_url=account.endpoint)
    stack = session().client("cloudformation", endpoint_url=account.endpoint)
    found = stack.describe_stack_resource(StackName=account.stack, LogicalResourceId="ListKeysRole")
    role = found["StackResourceDetail"]["PhysicalResourceId"]
    policies = {
        name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    }
    assert policies
    for name in policies:
        iam.delete_role_policy(RoleName=role, PolicyName=name)
    yield
    for name, document in policies.items():
        text = document if isinstance(document, str) else json.dumps(document)
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=text)


def test_a_function_may_do_what_its_role_may(
    tenant: Tenant, request: pytest.FixtureRequest
) -> None:
    """A function in a container acts as its own role: without its rights it cannot answer."""
    assert tenant.request("GET", "/v1/keys").status_code == 200
    request.getfixturevalue("not_allowed")
    assert tenant.request("GET", "/v1/keys").status_code >= 500
    assert tenant.request("GET", "/v1/flows").status_code == 200


def test_a_port_in_use_is_said(sam: SamLocal) -> None:
    """A port that somebody listens on gives one line that names it."""
    assert f"port {sam.port} cannot be used" in refused(command(sam.port))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"DOCKER_HOST": "unix:///nowhere"}, "Docker does not answer at unix:///nowhere"),
        ({"PATH": "/nowhere"}, "Docker is not installed"),
    ],
)
def test_without_docker_one_line_says_what_to_do(settings: dict[str, str], line: str) -> None:
    """Docker that is not there, or not running: start it, or use what needs none."""
    said = refused(command(free_port()), **settings)
    assert line in said
    assert "use `make dev`, which needs no Docker" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_its_own_run(sam: SamLocal, tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C or SIGTERM leaves nothing of that run, and all of any other, with exit code 0."""
    touch(sam)
    others = sam.containers()
    architecture = docker("version", "--format", "{{.Server.Arch}}")
    image = IMAGE + {"amd64": "x86_64"}.get(architecture, architecture)
    foreign = docker("create", "--label", OF_SAM.removeprefix("label="), image, "app.handler")
    try:
        with running(tmp_path) as second:
            touch(second)
            second.tenant().submit(**MAIL)
            second.process.send_signal(number)
            assert second.ended() == 0
            assert second.is_gone()
        assert docker("ps", "-aq", "--no-trunc", "--filter", f"id={foreign}") == foreign
    finally:
        docker("rm", "--force", foreign)
    assert sam.containers() == others
    touch(sam)


def test_a_signal_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C while sam makes its first container is no failure, and nothing stays."""
    with starting(tmp_path) as begun:
        until(lambda: "SAM_CONTAINER_ID" in begun.sam_log(), START_SECONDS)
        begun.process.send_signal(signal.SIGINT)
        assert begun.ended() == 0
        assert "ready" not in begun.output.read_text()
        assert begun.is_gone()


def test_a_killed_run_is_removed_by_the_next_one(tmp_path: Path) -> None:
    """SIGKILL leaves containers but no process; the next start takes them away.

    That one then loses its sam: one line, nothing left, exit code 1.
    """
    with running(tmp_path) as killed:
        touch(killed)
        os.kill(killed.process.pid, signal.SIGKILL)
        killed.process.wait()
        until(lambda: not processes_of(killed.port), 10)
        left = killed.containers()
        assert left
    with running(tmp_path) as sam:
        assert containers_of(left) == []
        touch(sam)
        os.kill(sam.facts()["pids"]["sam"], signal.SIGKILL)
        assert sam.ended() == 1
        assert sam.is_gone()
        assert "afterword: sam ended (SIGKILL)" in sam.output.read_text().splitlines()[-1]


def test_a_lost_stack_stops_it(tmp_path: Path) -> None:
    """When ministack dies its state is gone: one line, nothing left, exit code 1."""
    with running(tmp_path) as sam:
        touch(sam)
        os.kill(sam.facts()["pids"]["aws"], signal.SIGKILL)
        assert sam.ended() == 1
        assert sam.is_gone()
        last = sam.output.read_text().splitlines()[-1]
        assert last.startswith("afterword: ministack ended (SIGKILL)")
