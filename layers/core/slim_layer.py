"""Remove unused files from the core layer: `slim_layer.py <the layer's python folder>`.

The build runs this script. Each path named here must exist. Otherwise an upgrade that moves a file
would ship that file again.
"""

import gzip
import hashlib
import json
import re
import shutil
import ssl
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

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

DOCUMENTED = {"operations", "shapes"}
"""The parts of a service's model whose documentation is removed."""

AMAZON_ROOTS = {
    "Amazon Root CA 1": "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
    "Amazon Root CA 2": "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
    "Amazon Root CA 3": "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
    "Amazon Root CA 4": "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
    "Starfield Services Root Certificate Authority - G2": (
        "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5"
    ),
}
"""The roots of AWS's certificates, with the SHA-256 fingerprints that AWS publishes.

https://www.amazontrust.com/repository/
"""

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
    bundle = (site / "botocore" / "cacert.pem").read_text("utf-8")
    (site / "afterword" / "runtime" / "amazon_roots.pem").write_text(pick_amazon_roots(bundle))


def pick_amazon_roots(bundle: str) -> str:
    """Return the certificates of AMAZON_ROOTS from a bundle of PEM; exit without one of them."""
    by_fingerprint = {
        hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest(): certificate
        for certificate in _CERTIFICATE.findall(bundle)
    }
    missing = [name for name, print_ in AMAZON_ROOTS.items() if print_ not in by_fingerprint]
    if missing:
        sys.exit(f"botocore's bundle has no {', '.join(missing)}: see amazontrust.com/repository")
    return "\n".join(by_fingerprint[print_] for print_ in AMAZON_ROOTS.values()) + "\n"


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
