"""`make deploy`, with moto's STS, the CloudFormation of conftest.py, and a stand-in for sam.

The stand-in records what sam would be started with and lets the stack be there afterwards.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError, SSOTokenLoadError
from botocore.stub import Stubber
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

import deploy.__main__ as command
from deploy import account, parameters, samconfig, stacks
from deploy.parameters import Template
from deploy.problems import DeployError
from tests.cli.conftest import CloudFormation
from tests.conftest import ROOT
from tests.harness.deployment import REGION

URL = "https://abc123.execute-api.eu-west-1.amazonaws.com"
OUTPUTS = {"ApiUrl": URL}


@dataclass
class StandIn:
    """Replaces `local build` and `sam deploy`: records them, and deploys as told."""

    cloudformation: CloudFormation
    commands: list[list[str]] = field(default_factory=list)
    environments: list[Mapping[str, str]] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)
    deploys: bool = True

    def __call__(self, arguments: Sequence[str | Path], environment: Mapping[str, str]) -> int:
        """Note a command and return the exit code that it is to have."""
        texts = [str(one) for one in arguments]
        self.commands.append(texts)
        self.environments.append(environment)
        step = "deploy" if "deploy" in texts else "build"
        code = self.codes.get(step, 0)
        if step == "deploy" and self.deploys and code == 0:
            name = "afterword-prod" if "prod" in texts else "afterword"
            self.cloudformation.outputs[name] = OUTPUTS
            self.cloudformation.updated = "2026-11-11T09:00:00Z"
        return code

    @property
    def overrides(self) -> list[str]:
        """The values that sam was started with."""
        texts = self.commands[-1]
        return texts[texts.index("--parameter-overrides") + 1 :]


def parse_once(text: str) -> object:
    """Parse a template as deploy does, which takes a third of a second for the whole one."""
    return deepcopy(_parse(text))


@cache
def _parse(text: str) -> object:
    parsed: object = yaml_parse(text)
    return parsed


@pytest.fixture
def sam(cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIn:
    """Replace sam by the stand-in, over a built template with the changed values in it."""
    stand_in = StandIn(cloudformation)
    cloudformation.parameters = {}
    built = {"Globals": {"Function": {"Environment": {"Variables": {"A": "b"}}}}}
    (tmp_path / "template.yaml").write_text(json.dumps(built))
    monkeypatch.setattr(command, "run", stand_in)
    monkeypatch.setattr(command, "BUILT", tmp_path / "template.yaml")
    monkeypatch.setattr(command, "READY", tmp_path / "deployed.json")
    monkeypatch.setattr(command, "check_environments", lambda *_: None)
    monkeypatch.setattr(command, "yaml_parse", parse_once)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    return stand_in


type Typed = Callable[..., list[str]]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Return a function that sets what is typed at the questions, which it returns as they come."""

    def answer(*lines: str) -> list[str]:
        asked: list[str] = []
        left: Iterator[str] = iter(lines)

        def read(question: str) -> str:
            asked.append(question)
            line = next(left, None)
            if line is None:
                raise EOFError
            return line

        monkeypatch.setattr("builtins.input", read)
        return asked

    return answer


def test_a_first_time_owner_is_walked_to_a_url_and_a_key(
    sam: StandIn, typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first deployment asks what it needs, deploys that, and says where the API is."""
    asked = typed("arm64", "", "", "90", "ops@example.com", "y")
    assert command.main([]) == 0
    names = [question.strip().split(" ")[0] for question in asked[:-1]]
    assert names == ["Architecture", "ModelProvider", "ModelId", "RetentionDays", "AlarmEmail"]
    build, deployed = sam.commands
    assert build[1:] == ["-m", "local", "build"]
    assert sam.environments[0]["BUILD_ARCH"] == "arm64"
    assert deployed[1] == "deploy"
    assert "--guided" not in deployed
    assert {'Architecture="arm64"', 'RetentionDays="90"', 'AlarmEmail="ops@example.com"'} <= set(
        sam.overrides
    )
    out = capsys.readouterr().out
    assert "123456789012" in out
    assert f"curl {URL}/health" in out
    afterword = f"uv run afterword --stack afterword --region {REGION}"
    assert f"{afterword} model check" in out
    assert f"{afterword} key create acme" in out
    assert "ops@example.com: alarms come once it is confirmed" in out


def test_every_parameter_is_passed(
    sam: StandIn, typed: Typed, template: Mapping[str, object]
) -> None:
    """The value of each parameter is given to sam, since what it is given replaces all else."""
    typed("", "", "", "", "", "y")
    assert command.main([]) == 0
    definitions = template["Parameters"]
    assert isinstance(definitions, dict)
    assert {one.partition("=")[0] for one in sam.overrides} == definitions.keys()


def test_a_later_deployment_keeps_what_is_deployed(sam: StandIn, typed: Typed) -> None:
    """Architecture and all other values stay as they are, and only the go-ahead is asked for."""
    sam.cloudformation.outputs["afterword"] = OUTPUTS
    sam.cloudformation.parameters = {"Architecture": "arm64", "RetentionDays": "7", "Gone": "x"}
    asked = typed("y")
    assert command.main(["--parameters", "AlarmEmail=ops@example.com"]) == 0
    assert len(asked) == 1
    assert sam.environments[0]["BUILD_ARCH"] == "arm64"
    values = set(sam.overrides)
    assert {'Architecture="arm64"', 'RetentionDays="7"', 'AlarmEmail="ops@example.com"'} <= values
    assert not any(value.startswith("Gone=") for value in values)


def test_an_architecture_is_built_and_deployed_alike(
    sam: StandIn, typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    """ARCH changes the processor of a stack, of its build and its deployment, and says so."""
    sam.cloudformation.outputs["afterword"] = OUTPUTS
    sam.cloudformation.parameters = {"Architecture": "x86_64"}
    typed("y")
    assert command.main(["--architecture", "arm64"]) == 0
    assert sam.environments[0]["BUILD_ARCH"] == "arm64"
    assert 'Architecture="arm64"' in sam.overrides
    assert "arm64  (was x86_64)" in capsys.readouterr().out


def test_an_environment_has_its_own_values(sam: StandIn, typed: Typed) -> None:
    """A value of samconfig.toml holds over a deployed one, and is not asked for."""
    sam.cloudformation.outputs["afterword-prod"] = OUTPUTS
    sam.cloudformation.parameters = {"RetentionDays": "7"}
    typed("y")
    assert command.main(["--env", "prod"]) == 0
    assert 'RetentionDays="90"' in sam.overrides
    texts = sam.commands[-1]
    assert texts[texts.index("--config-env") + 1] == "prod"


def test_a_changed_value_reaches_the_functions(sam: StandIn, tmp_path: Path, typed: Typed) -> None:
    """Another value of a parameter changes every function, so that a version is made of it."""
    digests = []
    for days in ("7", "8", "8"):
        typed("y")
        sam.cloudformation.outputs["afterword"] = OUTPUTS
        assert command.main(["--parameters", f"RetentionDays={days}"]) == 0
        ready = json.loads((tmp_path / "deployed.json").read_text())
        variables = ready["Globals"]["Function"]["Environment"]["Variables"]
        assert variables["A"] == "b"
        digests.append(variables["AFTERWORD_PARAMETERS"])
    assert digests[0] != digests[1] == digests[2]


def test_nobody_is_asked_in_a_pipeline(sam: StandIn, typed: Typed) -> None:
    """YES=1 takes the defaults, and sam asks nothing either."""
    asked = typed()
    assert command.main(["--yes"]) == 0
    assert asked == []
    assert "--no-confirm-changeset" in sam.commands[-1]


@pytest.mark.parametrize("lines", [("", "", "", "", "", "n"), ("", "", "", "", "")])
def test_without_a_yes_nothing_is_done(
    sam: StandIn, typed: Typed, lines: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A no, or a missing terminal, builds and deploys nothing."""
    typed(*lines)
    assert command.main([]) == 1
    assert sam.commands == []
    assert capsys.readouterr().out.endswith("Nothing was deployed.\n")


def test_questions_need_somebody(
    sam: StandIn, typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    """A first deployment without a terminal says how it goes without."""
    typed()
    assert command.main([]) == 1
    assert sam.commands == []
    assert "YES=1" in capsys.readouterr().err


def test_a_wrong_answer_is_asked_again(sam: StandIn, typed: Typed) -> None:
    """A value that CloudFormation would refuse is refused at once, and asked for again."""
    url = "https://models.example.com/v1"
    typed("riscv", "x86_64", "openai", "", url, "llama", "", "0", "30", "me", "", "y")
    assert command.main([]) == 0
    assert {'ModelProvider="openai"', f'ModelBaseUrl="{url}"', 'ModelId="llama"'} <= set(
        sam.overrides
    )
    assert {'RetentionDays="30"', 'AlarmEmail=""'} <= set(sam.overrides)


def test_declining_the_changes_is_no_success(
    sam: StandIn, typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    """Declining the change set, which is no failure of sam, is not taken for a deployment."""
    sam.deploys = False
    typed("", "", "", "", "", "y")
    assert command.main([]) == 1
    out = capsys.readouterr().out
    assert "Nothing was deployed." in out
    assert "curl" not in out


def test_nothing_to_change_is_said(
    sam: StandIn, typed: Typed, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stack that is up to date, or whose changes were declined, was not changed."""
    sam.cloudformation.outputs["afterword"] = OUTPUTS
    sam.deploys = False
    typed("y")
    assert command.main([]) == 0
    out = capsys.readouterr().out
    assert "Stack afterword was not changed." in out
    assert "is deployed" not in out


@pytest.mark.parametrize(
    ("step", "said"), [("build", "the build has failed"), ("deploy", "sam deploy failed (exit")]
)
def test_a_failure_is_no_success(
    sam: StandIn, typed: Typed, step: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the build or sam fails, so does the command, and nothing is said to be there."""
    sam.codes = {step: 1}
    typed("", "", "", "", "", "y")
    assert command.main([]) == 1
    printed = capsys.readouterr()
    assert said in printed.err
    assert "curl" not in printed.out
    assert len(sam.commands) == (1 if step == "build" else 2)


def test_a_first_deployment_that_failed_says_how_to_go_on(
    sam: StandIn,
    typed: Typed,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """After a failed first deployment the commands are shown that make room for another."""
    sam.codes = {"deploy": 1}
    sam.cloudformation.status = "ROLLBACK_COMPLETE"

    def fails(arguments: Sequence[str | Path], environment: Mapping[str, str]) -> int:
        code = sam(arguments, environment)
        sam.cloudformation.outputs["afterword"] = {}
        return code

    monkeypatch.setattr(command, "run", fails)
    typed("", "", "", "", "", "y")
    assert command.main([]) == 1
    err = capsys.readouterr().err
    assert "Stack afterword is ROLLBACK_COMPLETE" in err
    assert f"aws cloudformation delete-stack --stack-name afterword --region {REGION}" in err


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("ROLLBACK_COMPLETE", "delete-stack"),
        ("DELETE_FAILED", "delete-stack"),
        ("ROLLBACK_FAILED", "update-table --no-deletion-protection-enabled"),
        ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
        ("UPDATE_IN_PROGRESS", "wait until that has ended"),
    ],
)
def test_a_stack_that_cannot_be_deployed_is_said_first(
    sam: StandIn, status: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stack that CloudFormation would refuse is named before anything is asked or built."""
    sam.cloudformation.outputs["afterword"] = OUTPUTS
    sam.cloudformation.status = status
    assert command.main([]) == 1
    assert sam.commands == []
    err = capsys.readouterr().err
    assert status in err
    assert said in err


def test_an_interruption_is_no_success(
    sam: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends with 130, and a word on what may go on in AWS."""

    def interrupted(_: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("builtins.input", interrupted)
    assert command.main([]) == 130
    assert sam.commands == []
    assert "Interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--parameters", "Retention=3"], "there is no parameter Retention"),
        (["--parameters", "RetentionDays=0"], "RetentionDays is a whole number from 1 to 3650"),
        (["--parameters", "RetentionDays"], "Write parameters as Name=value"),
        (["--architecture", "i386"], "Architecture is one of x86_64, arm64"),
        (["--env", "prod", "--parameters", "RetentionDays=7"], "change it there"),
        (["--env", "test"], "no environment test; there are: default, prod"),
    ],
)
def test_what_cannot_be_is_said_first(
    sam: StandIn, arguments: Sequence[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong argument is named before anything is asked or built."""
    assert command.main(arguments) == 1
    assert sam.commands == []
    assert said in capsys.readouterr().err


def test_a_region_is_needed(
    sam: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a region nothing is begun."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert command.main([]) == 1
    assert sam.commands == []
    assert "There is no AWS region" in capsys.readouterr().err


def test_credentials_are_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without credentials nothing is asked or built, and it is said how to get some."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(command, "check_environments", lambda *_: None)
    assert command.main([]) == 1
    assert "There are no AWS credentials" in capsys.readouterr().err
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert command.main([]) == 1
    assert "(work) could not be found" in capsys.readouterr().err


def refusal(code: str) -> ClientError:
    """Return an error of GetCallerIdentity."""
    return ClientError({"Error": {"Code": code, "Message": "No."}}, "GetCallerIdentity")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refusal("ExpiredToken"), "The AWS credentials have expired"),
        (refusal("InvalidClientTokenId"), "AWS does not know these credentials"),
        (refusal("AccessDenied"), "AWS refused GetCallerIdentity: AccessDenied: No."),
        (SSOTokenLoadError(error_msg="expired"), "run `aws sso login`"),
    ],
)
def test_credentials_that_do_not_work_are_told_apart(error: ClientError, said: str) -> None:
    """Expired, unknown and refused credentials, and an ended session, each have a sentence."""
    assert said in account.explain(error)


def test_credentials_are_asked_of_aws() -> None:
    """Whether they work is AWS's word: credentials that are there may have expired."""
    session = boto3.Session(
        botocore_session=botocore.session.Session(),
        aws_access_key_id="a",
        aws_secret_access_key="b",  # noqa: S106 - of nobody
        region_name=REGION,
    )
    client = session.client("sts")
    session.client = lambda *_args, **_options: client  # type: ignore[method-assign]
    with Stubber(client) as stubber:
        stubber.add_client_error("get_caller_identity", "ExpiredToken")
        with pytest.raises(DeployError, match="have expired"):
            account.check(session)


def test_a_stack_that_only_has_a_change_set_is_none(
    sam: StandIn,
) -> None:
    """A first deployment that was declined leaves a stack in review: the next is a first one."""
    sam.cloudformation.outputs["afterword"] = {}
    sam.cloudformation.status = "REVIEW_IN_PROGRESS"
    assert stacks.find(boto3.Session(region_name=REGION), "afterword") is None


def test_samconfig_is_read_in_each_form(tmp_path: Path) -> None:
    """Overrides may be a list, a text or a table, and the section of deploy counts most."""
    path = tmp_path / "samconfig.toml"
    for written in ('["A=1", "B=\'x y\'"]', '"A=1 B=\\"x y\\""', '{ A = 1, B = "x y" }'):
        path.write_text(
            '[t.global.parameters]\nstack_name = "a"\nregion = "eu-west-1"\n'
            f'[t.deploy.parameters]\nstack_name = "b"\nparameter_overrides = {written}\n'
        )
        read = samconfig.load(path, "t")
        assert (read.stack, read.region, read.profile) == ("b", "eu-west-1", None)
        assert read.parameters == {"A": "1", "B": "x y"}


def test_the_committed_samconfig_names_parameters_that_there_are(
    template: Mapping[str, dict[str, dict[str, object]]],
) -> None:
    """Every value in samconfig.toml is one that the template takes."""
    known = Template(template["Parameters"])
    for name in ("default", "prod"):
        parameters.merge(known, {}, samconfig.load(ROOT / "samconfig.toml", name).parameters, {})


def test_values_are_quoted_for_sam() -> None:
    """Empty values, spaces and quotes reach sam as they are."""
    assert parameters.overrides({"B": 'x "y"', "A": ""}) == ['A=""', r'B="x \"y\""']
