"""Runs every tool over the checkout: one line for each, and what it finds."""

import sys
from typing import TYPE_CHECKING

from audit import tools
from audit.tools import ROOT, AuditError, Findings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEMPLATES = (ROOT / "template.yaml", ROOT / "deploy" / "edge.yaml")
PACKAGES = ("layers", "functions", "cli", "local", "openapi", "bench", "audit", "deploy")


def main() -> int:
    """Return 1 when there is a finding, or a tool cannot run."""
    runs: list[tuple[str, Callable[..., Findings], list[Path]]] = [
        *(("cfn-lint", tools.cfn_lint, [template]) for template in TEMPLATES),
        *(("checkov", tools.checkov, [template]) for template in TEMPLATES),
        ("bandit", tools.bandit, [ROOT / package for package in PACKAGES]),
        ("zizmor", tools.zizmor, [ROOT / ".github"]),
    ]
    clean = True
    for name, run, paths in runs:
        try:
            found = run(*paths)
        except AuditError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        print(f"{name}: {found.seen}", flush=True)
        for line in found.lines:
            print(f"  {line}", file=sys.stderr)
        clean = clean and not found.lines
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
