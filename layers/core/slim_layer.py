"""Remove unused files from the core layer: `slim_layer.py <the layer's python folder>`.

The build runs this script. Each path named here must exist. Otherwise an upgrade that moves a file
would ship that file again.
"""

import gzip
import json
import shutil
import sys
from pathlib import Path

type Json = dict[str, Json] | list[Json] | str | float | bool | None

SERVICES = (
    "bedrock-agent-runtime",
    "bedrock-runtime",
    "dynamodb",
    "events",
    "s3",
    "s3vectors",
    "secretsmanager",
    "sqs",
    "ssm",
)
"""The AWS services of clients.py; the layer's botocore has no others."""

POWERTOOLS_UTILITIES = ("__init__.py", "jmespath_utils", "typing")
"""The utilities that Powertools' Logger and Metrics import."""

UNUSED = (
    "aws_lambda_powertools/event_handler",  # HTTP is afterword.handlers.http's
    "multipart",  # python-multipart's old name
)
UNUSED_PATTERNS = ("__pycache__", "*.pyi", "py.typed")

DOCUMENTED = {"operations", "shapes"}
"""The parts of a service's model whose documentation is removed."""

KEPT_OF_DIST_INFO = ("METADATA", "LICENSE*", "NOTICE*", "licenses", "sboms", "entry_points.txt")
"""Scanners read the versions there, and licences must go with the code."""


def slim(site: Path) -> None:
    """Remove the unused parts of the packages in `site`."""
    for path in UNUSED:
        _remove(site / path)
    for pattern in UNUSED_PATTERNS:
        for found in list(site.rglob(pattern)):
            _remove(found)
    _keep_only(site / "aws_lambda_powertools" / "utilities", POWERTOOLS_UTILITIES)
    for dist_info in site.glob("*.dist-info"):
        _keep_only(dist_info, KEPT_OF_DIST_INFO)
    slim_botocore_data(site / "botocore" / "data")


def slim_botocore_data(data: Path) -> None:
    """Keep the newest model of each of SERVICES, without its documentation and not compressed.

    Saves about a quarter of the time in which botocore makes two clients (bench/).
    """
    for folder in [path for path in data.iterdir() if path.is_dir()]:
        if folder.name not in SERVICES:
            _remove(folder)
    for service in SERVICES:
        *older, newest = sorted((data / service).iterdir())
        for version in older:
            _remove(version)
        for path in list(newest.glob("examples-*")):
            _remove(path)
        for path in sorted(newest.glob("*.json.gz")):
            model = json.loads(gzip.decompress(path.read_bytes()))
            for part in DOCUMENTED & model.keys():
                model[part] = _without_documentation(model[part])
            _write(path.with_suffix(""), model)
            path.unlink()
    endpoints = json.loads((data / "endpoints.json").read_text("utf-8"))
    for partition in endpoints["partitions"]:
        known = partition["services"]
        partition["services"] = {name: known[name] for name in SERVICES if name in known}
    _write(data / "endpoints.json", endpoints)


def _without_documentation(value: Json) -> Json:
    match value:
        case dict():
            return {
                key: _without_documentation(item)
                for key, item in value.items()
                if not (key == "documentation" and isinstance(item, str))
            }
        case list():
            return [_without_documentation(item) for item in value]
        case _:
            return value


def _write(path: Path, value: Json) -> None:
    path.write_text(json.dumps(value, separators=(",", ":")), "utf-8")


def _keep_only(folder: Path, patterns: tuple[str, ...]) -> None:
    for path in list(folder.iterdir()):
        if not any(path.match(pattern) for pattern in patterns):
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


if __name__ == "__main__":
    if sys.version_info[:2] != (3, 13):
        sys.exit(
            f"The layer is compiled for Python 3.13 and this is {sys.version.split()[0]}: "
            "put the bin folder of Python 3.13 first on PATH."
        )
    slim(Path(sys.argv[1]))
