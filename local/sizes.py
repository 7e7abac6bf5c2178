"""How big what is deployed is, and how big it may be: size is time, at every cold start."""

import io
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KB = 1024
LAMBDA_KB = 250 * KB
"""Lambda's limit on a function and its layers together, unzipped:
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
FUNCTION_KB = (1, 2)
"""The budget of a function's own package, zipped and unzipped; its imports are in the layers."""
LAYERS_KB = {
    "CoreLayer": (4_500, 12_000),  # all functions have it (0088)
    "LanguagesLayer": (1_300, 2_200),
    "RankingLayer": (1_500, 5_400),
    "ValidationLayer": (4_500, 12_500),
    "DocumentsLayer": (6_900, 19_200),  # chardet 1.3 MB zipped, the readers of files 0.1 (0074)
    "ViewerLayer": (570, 580),
}
"""The budget of each layer, zipped and unzipped: 15 per cent above the larger one of the two
architectures. A change that raises a budget says why."""


_WIDTHS = (9, 9, 10, 9, 13, 9)


@dataclass(frozen=True)
class Package:
    """A function's package or a layer, in KB, with what it may have."""

    name: str
    zipped: float
    unzipped: float
    budget: tuple[int, int]

    @property
    def problems(self) -> list[str]:
        """The excess over the budget."""
        pairs = zip(("zipped", "unzipped"), (self.zipped, self.unzipped), self.budget, strict=True)
        return [
            f"{self.name} has {size:.0f} KB {how}, and its budget is {most} KB (local/sizes.py)"
            for how, size, most in pairs
            if size > most
        ]


@dataclass(frozen=True)
class Sizes:
    """The packages of a deployment by name, and each function's layers."""

    layers: Mapping[str, Package]
    functions: Mapping[str, Package]
    uses: Mapping[str, list[str]]

    def total(self, function: str) -> float:
        """Return the size of a function with its layers, unpacked, in KB."""
        layers = sum(self.layers[layer].unzipped for layer in self.uses[function])
        return self.functions[function].unzipped + layers

    @property
    def problems(self) -> list[str]:
        """The excess over budgets and over Lambda's limit."""
        packages = [*self.layers.values(), *self.functions.values()]
        found = [problem for package in packages for problem in package.problems]
        found += [
            f"{name} has {self.total(name):.0f} KB with its layers, and Lambda takes {LAMBDA_KB}"
            for name in self.functions
            if self.total(name) > LAMBDA_KB
        ]
        return found

    def table(self) -> Iterable[str]:
        """Return lines with every size."""
        yield _row("KB", "ZIPPED", "AT MOST", "UNZIPPED", "AT MOST", "WITH LAYERS", "AT MOST")
        for package in self.layers.values():
            yield _row(*_cells(package))
        for package in sorted(self.functions.values(), key=lambda one: -one.unzipped):
            total = f"{self.total(package.name):.0f}"
            yield _row(*_cells(package), total, str(LAMBDA_KB))


def _cells(package: Package) -> list[str]:
    zipped, unzipped = package.budget
    sizes = [f"{package.zipped:.1f}", str(zipped), f"{package.unzipped:.1f}", str(unzipped)]
    return [package.name, *sizes]


def _row(name: str, *cells: str) -> str:
    return f"{name:30}" + "".join(
        f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=False)
    )


def measure(template: Mapping[str, Any], folder: Path) -> Sizes:
    """Return the sizes of the built packages in a folder, each under its resource's name."""
    common = _layers(template["Globals"]["Function"])
    layers, functions, uses = {}, {}, {}
    for name, resource in template["Resources"].items():
        match resource["Type"]:
            case "AWS::Serverless::LayerVersion":
                layers[name] = _package(name, folder / name, LAYERS_KB[name])
            case "AWS::Serverless::Function":
                functions[name] = _package(name, folder / name, FUNCTION_KB)
                uses[name] = [*common, *_layers(resource["Properties"])]
    return Sizes(layers, functions, uses)


def _layers(properties: Mapping[str, Any]) -> list[str]:
    return [layer["Ref"] for layer in properties.get("Layers", [])]


def _package(name: str, folder: Path, budget: tuple[int, int]) -> Package:
    """Return a folder's package, zipped as sam zips it."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(folder))
    unzipped = sum(path.stat().st_size for path in files)
    return Package(name, packed.tell() / KB, unzipped / KB, budget)
