"""CloudWatch's embedded metric format, for tests: reads metric lines, and refuses what it would.

The schema and the rules beside it follow
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html;
the rules for the values of dimensions follow
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Dimension.html.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

from jsonschema import Draft202012Validator

MAX_BYTES = 256 * 1024
_VISIBLE = re.compile(r"[\x20-\x7e]*[\x21-\x7e][\x20-\x7e]*")
SCHEMA = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "additionalProperties": False,
            "properties": {
                "Timestamp": {"type": "integer", "minimum": 1},
                "CloudWatchMetrics": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "additionalProperties": False,
                        "properties": {
                            "Namespace": {"type": "string", "minLength": 1, "maxLength": 1024},
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {
                                    "type": "array",
                                    "maxItems": 30,
                                    "uniqueItems": True,
                                    "items": {
                                        "type": "string",
                                        "minLength": 1,
                                        "maxLength": 250,
                                        "pattern": "^[^:]",
                                    },
                                },
                            },
                            "Metrics": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name", "Unit"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "Name": {"type": "string", "minLength": 1},
                                        "Unit": {"enum": ["Milliseconds", "Count"]},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}
NUMBERS = {
    "oneOf": [
        {"type": "number"},
        {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 100},
    ]
}
DIMENSION = {"type": "string", "minLength": 1, "maxLength": 1024}

type Line = dict[str, Any]
type MetricLines = Callable[[], list[Line]]
"""A function that gives the metric lines that were written since it was asked last."""


def read(text: str) -> Line:
    """Return the values of a metric line; fails if CloudWatch would not take all of it."""
    assert len(text.encode()) <= MAX_BYTES
    line: Line = json.loads(text, parse_constant=_no_number)
    Draft202012Validator(SCHEMA).validate(line)
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for name in {name for names in directive["Dimensions"] for name in names}:
            Draft202012Validator(DIMENSION).validate(line[name])
            assert _VISIBLE.fullmatch(line[name])
        names = [metric["Name"] for metric in directive["Metrics"]]
        assert len(names) == len(set(names))
        for name in names:
            Draft202012Validator(NUMBERS).validate(line[name])
    return line


def _no_number(text: str) -> NoReturn:
    raise AssertionError(f"JSON has no {text}.")
