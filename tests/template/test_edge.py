"""`deploy/edge.yaml`: CloudFront with AWS WAF before the API."""

from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from tests.conftest import ROOT
from tests.harness.deployment import Deployment

EDGE = yaml_parse((ROOT / "deploy" / "edge.yaml").read_text())
BODY_RULES = {
    "AWSManagedRulesKnownBadInputsRuleSet": {"Log4JRCE_BODY", "JavaDeserializationRCE_BODY"},
    "AWSManagedRulesCommonRuleSet": {
        "SizeRestrictions_BODY",
        "EC2MetaDataSSRF_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
        "CrossSiteScripting_BODY",
    },
}
"""The rules of AWS's groups that look at bodies, by the groups' documentation."""


def properties(kind: str, **parameters: str) -> dict[str, Any]:
    """Return the properties of the one resource of a type, resolved."""
    (resource,) = Deployment(EDGE, parameters).resources(kind).values()
    return dict(resource["Properties"])


def distribution(**parameters: str) -> dict[str, Any]:
    """Return the configuration of the distribution."""
    found: dict[str, Any] = properties("AWS::CloudFront::Distribution", **parameters)
    return dict(found["DistributionConfig"])


def test_every_request_passes_the_waf() -> None:
    """The distribution has the web ACL, whose rate rule counts by address."""
    assert distribution()["WebACLId"] == "WebAcl.Arn"
    rules = properties("AWS::WAFv2::WebACL", RequestsPerAddress="100")["Rules"]
    (rate,) = (rule for rule in rules if "RateBasedStatement" in rule["Statement"])
    assert rate["Action"] == {"Block": {}}
    assert rate["Statement"]["RateBasedStatement"]["Limit"] == "100"
    assert [rule["Priority"] for rule in rules] == list(range(len(rules)))


def test_a_prompt_may_quote_anything() -> None:
    """No rule refuses a request for the text in its body."""
    groups = [
        rule["Statement"]["ManagedRuleGroupStatement"]
        for rule in properties("AWS::WAFv2::WebACL")["Rules"]
        if "ManagedRuleGroupStatement" in rule["Statement"]
    ]
    for group in groups:
        counted = {
            override["Name"]
            for override in group.get("RuleActionOverrides", ())
            if override["ActionToUse"] == {"Count": {}}
        }
        assert counted >= BODY_RULES.get(group["Name"], set())
    assert {group["Name"] for group in groups} >= BODY_RULES.keys()


def test_the_edge_passes_what_the_api_takes(deployment: Deployment) -> None:
    """Every method of the API passes, and an answer has the time that API Gateway gives it."""
    config = distribution()
    methods = {
        route.partition(" ")[0]
        for function in deployment.functions.values()
        for route in function.operations
    }
    assert set(config["DefaultCacheBehavior"]["AllowedMethods"]) >= methods | {"OPTIONS"}
    (origin,) = config["Origins"]
    assert origin["CustomOriginConfig"]["OriginReadTimeout"] > 30
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"


@pytest.mark.parametrize("domain", ["", "api.example.com"])
def test_a_domain_of_ones_own_has_a_certificate(domain: str) -> None:
    """The owner's host is served with TLS 1.2 and its certificate; without one, CloudFront's is."""
    config = distribution(DomainName=domain, CertificateArn="arn" if domain else "")
    if domain:
        assert config["Aliases"] == [domain]
        assert config["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"
        assert config["ViewerCertificate"]["AcmCertificateArn"] == "arn"
    else:
        assert config["ViewerCertificate"] == {"CloudFrontDefaultCertificate": True}
