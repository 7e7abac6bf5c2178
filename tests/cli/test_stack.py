"""Which stack the command line is about, and what it says when it cannot be reached."""

from pathlib import Path

import pytest

from afterword.tenants.registry import Registry
from tests.cli.conftest import Afterword, CloudFormation, announce
from tests.harness.deployment import REGION

LIST = ("key", "list", "demo")


@pytest.mark.usefixtures("stack")
def test_the_stack_is_found_by_its_name(
    afterword: Afterword,
    registry: Registry,
    cloudformation: CloudFormation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stack is the one of --stack, else of AFTERWORD_STACK, else `afterword`."""
    registry.create_tenant("demo", "Demo")
    assert afterword(*LIST).exit_code == 0
    cloudformation.outputs["prod"] = cloudformation.outputs.pop("afterword")
    assert afterword("--stack", "prod", *LIST).exit_code == 0
    assert afterword(*LIST).exit_code == 1
    monkeypatch.setenv("AFTERWORD_STACK", "prod")
    assert afterword(*LIST).exit_code == 0


@pytest.mark.usefixtures("stack")
def test_the_region_is_the_one_asked_for(
    afterword: Afterword, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--region comes before the environment's; without any, one line says so."""
    registry.create_tenant("demo", "Demo")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert afterword("--region", REGION, *LIST).exit_code == 0
    result = afterword(*LIST)
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "afterword: There is no AWS region: name a --region, or set AWS_DEFAULT_REGION.\n",
    )


@pytest.mark.usefixtures("cloudformation")
def test_a_stack_that_is_not_deployed(afterword: Afterword) -> None:
    """Without the stack, one line says what to do."""
    result = afterword(*LIST)
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        (
            "afterword: There is no stack afterword in eu-west-1: deploy it with `make deploy`,"
            " or name another with --stack or --region.\n"
        ),
    )


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize(
    "output", ["QuotasTable", "NotifyQueueUrl", "ContentsTable", "ContentsBucket"]
)
def test_a_stack_of_an_older_version(
    afterword: Afterword, cloudformation: CloudFormation, output: str
) -> None:
    """A stack that lacks one of this version's parts is told by the output that it has not."""
    outputs = dict(cloudformation.outputs["afterword"])
    del outputs[output]
    cloudformation.outputs["afterword"] = outputs
    result = afterword(*LIST)
    assert (result.exit_code, result.stderr) == (
        1,
        (
            f"afterword: Stack afterword (CREATE_COMPLETE) has no output {output}: the stack"
            " is not afterword's, or this version is not deployed yet.\n"
        ),
    )


def test_a_stack_without_the_outputs(afterword: Afterword, cloudformation: CloudFormation) -> None:
    """A stack of something else, or one that is still being made, is told from afterword's."""
    cloudformation.outputs["afterword"] = {}
    cloudformation.status = "CREATE_IN_PROGRESS"
    result = afterword(*LIST)
    assert (result.exit_code, result.stderr) == (
        1,
        (
            "afterword: Stack afterword (CREATE_IN_PROGRESS) has no output RegistryTable:"
            " the stack is not afterword's, or this version is not deployed yet.\n"
        ),
    )


@pytest.mark.usefixtures("stack")
def test_no_credentials(afterword: Afterword, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials, one line says where they may come from."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    result = afterword(*LIST)
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        (
            "afterword: There are no AWS credentials: run `aws configure`, name a --profile,"
            " or use --local for the embedded stack.\n"
        ),
    )


@pytest.mark.usefixtures("stack")
def test_an_unknown_profile(afterword: Afterword) -> None:
    """A profile that is not configured is one line."""
    result = afterword("--profile", "nobody", *LIST)
    assert (result.exit_code, result.stderr) == (
        1,
        "afterword: The config profile (nobody) could not be found\n",
    )


@pytest.mark.usefixtures("stack")
def test_a_table_that_is_gone(afterword: Afterword, cloudformation: CloudFormation) -> None:
    """A refusal of AWS is one line with its code and message."""
    outputs = dict(cloudformation.outputs["afterword"])
    cloudformation.outputs["afterword"] = {**outputs, "RegistryTable": "gone"}
    result = afterword(*LIST)
    assert (result.exit_code, result.stderr) == (
        1,
        "afterword: AWS refused GetItem: ResourceNotFoundException: Requested resource not found\n",
    )


@pytest.mark.parametrize("how", ["option", "environment"])
@pytest.mark.usefixtures("stack")
def test_the_embedded_stack_is_the_one_announced(
    afterword: Afterword,
    registry: Registry,
    announced: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    """--local and AFTERWORD_LOCAL=1 use the stack of dev.json, whatever is configured for AWS."""
    registry.create_tenant("demo", "Demo")
    announce(announced)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    if how == "environment":
        monkeypatch.setenv("AFTERWORD_LOCAL", "1")
        assert afterword(*LIST).exit_code == 0
    else:
        assert afterword("--local", *LIST).exit_code == 0


@pytest.mark.parametrize("content", [None, "", "[]", '{"url": "http://127.0.0.1:8080"}'])
def test_no_embedded_stack_is_announced(
    afterword: Afterword, announced: Path, content: str | None
) -> None:
    """Without a dev.json that says where it is, one line says how to start one."""
    if content is not None:
        announced.write_text(content)
    result = afterword("--local", *LIST)
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        "afterword: No embedded stack is running: start one with `make dev`.\n",
    )


def test_the_embedded_stack_is_gone(afterword: Afterword, announced: Path) -> None:
    """A stack that is announced but does not answer is told so."""
    announce(announced, "http://127.0.0.1:9")
    result = afterword("--local", *LIST)
    assert (result.exit_code, result.stderr) == (
        1,
        (
            "afterword: The embedded stack does not answer: start it with `make dev`."
            ' (Could not connect to the endpoint URL: "http://127.0.0.1:9/")\n'
        ),
    )
