"""The packages in the layers: as locked, with hashes, and listed in an SBOM."""

import json
import re
import tomllib
from typing import Any

import pytest

from tests.conftest import ROOT

LAYERS = ROOT / "layers"
INSTALLED = ("core", "documents", "languages", "ranking", "validation")
"""The layers with packages; the viewer's one is vendored."""
PINNED = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+)( --hash=sha256:[0-9a-f]{64})+")


def requirements(path: str) -> dict[str, str]:
    """Return the versions of a requirements file by name; fail for a line without a hash."""
    text = re.sub(r" *\\\n *", " ", (ROOT / path).read_text())
    found = {}
    for line in text.splitlines():
        if not line.lstrip().startswith("#"):
            pinned = PINNED.fullmatch(line)
            assert pinned, line
            found[pinned["name"]] = pinned["version"]
    return found


def locked() -> dict[str, set[str]]:
    """Return the versions of uv.lock by name; environments that conflict may have several."""
    versions: dict[str, set[str]] = {}
    for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]:
        versions.setdefault(package["name"], set()).add(package.get("version", ""))
    return versions


def sbom(layer: str) -> dict[str, Any]:
    """Return a layer's SBOM."""
    document: dict[str, Any] = json.loads((LAYERS / layer / "sbom.cdx.json").read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    return document


@pytest.mark.parametrize(
    "path",
    [*(f"layers/{layer}/requirements.txt" for layer in INSTALLED), "local/uv.txt"],
)
def test_what_is_installed_is_what_was_locked(path: str) -> None:
    """Every requirement has the version of uv.lock and the hashes of its files."""
    found = requirements(path)
    assert found
    for name, version in found.items():
        assert version in locked()[name]


@pytest.mark.parametrize("makefile", ["Makefile", "layers/Makefile"])
def test_nothing_is_installed_without_its_hash(makefile: str) -> None:
    """Each `pip install` of a build asks for hashes, and for wheels alone."""
    text = (ROOT / makefile).read_text().replace("\\\n", " ")
    commands = [line for line in text.splitlines() if "pip install" in line]
    assert commands
    for command in commands:
        assert "--require-hashes" in command
        assert "--only-binary :all:" in command


@pytest.mark.parametrize("layer", INSTALLED)
def test_a_layers_sbom_lists_what_is_installed(layer: str) -> None:
    """The components are the layer's requirements, each with its package URL."""
    components = {each["name"]: each for each in sbom(layer)["components"]}
    versions = {name: each["version"] for name, each in components.items()}
    assert versions == requirements(f"layers/{layer}/requirements.txt")
    for name, each in components.items():
        assert each["purl"] == f"pkg:pypi/{name}@{versions[name]}"


def test_the_viewers_sbom_lists_what_is_vendored() -> None:
    """The component is the package that VENDORED.md names, in that version."""
    (component,) = sbom("viewer")["components"]
    vendored = (LAYERS / "viewer" / "VENDORED.md").read_text()
    assert f"{component['name']} {component['version']}," in vendored


@pytest.mark.parametrize("layer", [*INSTALLED, "viewer"])
def test_a_layer_carries_its_sbom(layer: str) -> None:
    """The build puts the SBOM into the layer, which Lambda has at /opt."""
    makefile = (LAYERS / "Makefile").read_text()
    assert f"$(call install,{layer})" in makefile or layer == "viewer"
    copied = "viewer" if layer == "viewer" else r"\$\(1\)"
    assert re.search(rf'cp {copied}/sbom\.cdx\.json .*"\$\(ARTIFACTS_DIR\)/"', makefile)
