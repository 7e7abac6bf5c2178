"""The software bill of materials of a layer: `python -m audit.sbom [group]`, CycloneDX on stdout.

uv makes it of uv.lock. Serial number, time and download addresses are left out, so that the same
lock makes the same bytes, which `make lint` compares. The hashes that the build checks are in
requirements.txt, beside it in the layer.
"""

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

from audit.tools import ROOT

UV = ROOT / ".venv" / "bin" / "uv"


def build_sbom(group: str | None) -> dict[str, Any]:
    """Return the SBOM of a dependency group, of the core layer's packages without one."""
    chosen = ["--no-default-groups"] if group is None else ["--only-group", group]
    done = subprocess.run(  # noqa: S603 - a tool of ours # nosec B603
        [
            UV,
            "export",
            "--frozen",
            "--no-emit-project",
            "--quiet",
            "--format=cyclonedx1.5",
            "--preview-features=sbom-export",
            *chosen,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    sbom: dict[str, Any] = json.loads(done.stdout)
    del sbom["serialNumber"], sbom["metadata"]["timestamp"]
    for component in sbom["components"]:
        component.pop("externalReferences", None)
        license_expression = _find_license(component["name"])
        if license_expression is not None:
            component["licenses"] = [{"expression": license_expression}]
    return sbom


def _find_license(name: str) -> str | None:
    """Return the licence expression of an installed package, None where the package gives none."""
    try:
        return metadata(name).get("License-Expression")
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    print(json.dumps(build_sbom(sys.argv[1] if sys.argv[1:] else None), indent=1))
