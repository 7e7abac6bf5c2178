"""`make audit`: each tool finds what is planted for it, as it is configured here."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from audit import tools
from audit.tools import AuditError, Findings
from tests.conftest import ROOT

TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Conditions:
  Never: !Equals [a, b]
Resources:
  Late:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: app.handler
      InlineCode: "def handler(event, context): ..."
      Timeout: 3
      MemorySize: 128
      Environment:
        Variables:
          KEY: AKIAIOSFODNN7EXAMPLE
          SECRET: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
      Events:
        Clock:
          Type: Schedule
          Properties: { Schedule: rate(1 minute) }
      Role: !GetAtt Absent.Arn
      DeadLetterQueue: { Type: SQS, TargetArn: !GetAtt Sometimes.Arn }
  Sometimes:
    Type: AWS::SQS::Queue
    Condition: Never
  Open:
    Type: AWS::S3::Bucket
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Properties: { AccessControl: PublicRead }
  All:
    Type: AWS::IAM::ManagedPolicy
    Condition: Never
    Properties:
      PolicyDocument:
        Version: "2012-10-17"
        Statement:
          - !If
            - Never
            - { Effect: Allow, Action: "*", Resource: "*" }
            - !Ref AWS::NoValue
"""

WORKFLOW = """
name: Planted
on: pull_request_target
jobs:
  greet:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - run: echo "${{ github.event.pull_request.title }}"
"""


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Return the path of a template with defects."""
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    return path


def found(findings: Findings) -> set[str]:
    """Return the names of the rules that found something."""
    return {line.split(": ", 1)[1].split(" ")[0] for line in findings.lines}


def test_cfn_lint_has_the_serverless_rules(planted: Path) -> None:
    """An asynchronous function whose events would be lost is found."""
    assert {"ES1007", "ES4000"} <= found(tools.cfn_lint(planted))


def test_cfn_lint_finds_what_may_not_be_there(planted: Path) -> None:
    """A mistake in template.yaml is found by cfn-lint, so its silence says something."""
    assert {"W1001", "E1010"} <= found(tools.cfn_lint(planted))


def test_cfn_lint_finds_a_mistake_in_the_edge(tmp_path: Path) -> None:
    """A property that CloudFront does not know, and a scope that WAF does not, are found."""
    path = tmp_path / "edge.yaml"
    edge = (ROOT / "deploy" / "edge.yaml").read_text()
    path.write_text(edge.replace("Scope: CLOUDFRONT", "Scope: EDGE").replace("WebACLId", "WebAcl"))
    assert len(tools.cfn_lint(path).lines) >= 2
    assert tools.cfn_lint(ROOT / "deploy" / "edge.yaml").lines == []


def test_checkov_checks_functions_buckets_and_policies(planted: Path) -> None:
    """A key in a variable, a bucket that anybody reads and a policy that allows all are found."""
    findings = tools.checkov(planted)
    assert {"CKV_AWS_45", "CKV_AWS_20", "CKV_AWS_53", "CKV_AWS_111"} <= found(findings)


def test_checkov_checks_all_of_the_template(template: Mapping[str, Any]) -> None:
    """Every function, role, policy, table and bucket of template.yaml, and the API, is checked."""
    kinds = {
        "AWS::IAM::ManagedPolicy",
        "AWS::Serverless::Function",
        "AWS::Serverless::HttpApi",
        "AWS::DynamoDB::Table",
        "AWS::S3::Bucket",
    }
    resources = template["Resources"].items()
    meant = {
        name
        for name, resource in resources
        if resource["Type"] in kinds or "Policies" in resource["Properties"]
    }
    assert meant <= tools.checkov(ROOT / "template.yaml").resources


def test_checkov_says_when_it_can_check_nothing(tmp_path: Path) -> None:
    """A template with nothing in it for checkov is no clean one."""
    path = tmp_path / "template.yaml"
    path.write_text("Resources: {}")
    with pytest.raises(AuditError, match="checkov"):
        tools.checkov(path)


def test_bandit_finds_a_shell(tmp_path: Path) -> None:
    """A command that a shell takes apart is found."""
    (tmp_path / "app.py").write_text("import os\n\n\ndef run(name):\n    os.system('ls ' + name)\n")
    assert found(tools.bandit(tmp_path)) == {"B605"}


def test_bandit_says_what_it_cannot_read(tmp_path: Path) -> None:
    """A file that bandit cannot parse is no clean one."""
    (tmp_path / "app.py").write_text("def run(:\n")
    with pytest.raises(AuditError, match=r"app\.py"):
        tools.bandit(tmp_path)


def test_zizmor_finds_a_workflow_that_strangers_can_use(tmp_path: Path) -> None:
    """A trigger with rights, an action that can change, and somebody's text as code are found."""
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (workflows / "ci.yml").write_text(WORKFLOW)
    findings = tools.zizmor(tmp_path / ".github")
    assert {"dangerous-triggers", "unpinned-uses", "template-injection", "artipacked"} <= found(
        findings
    )
    shutil.copy(ROOT / ".github" / "workflows" / "ci.yml", workflows)
    assert tools.zizmor(tmp_path / ".github").lines == []
