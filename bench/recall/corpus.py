"""Real documents of this machine: AWS's and Python's in English, Debian's manual in French."""

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import botocore.session

from afterword_documents import web_pages

SERVICES = (
    *("acm", "athena", "autoscaling", "cloudfront", "cloudwatch", "cognito-idp", "dynamodb"),
    *("ecr", "ecs", "eks", "elasticache", "events", "iam", "kinesis", "kms", "lambda", "logs"),
    *("rds", "route53", "s3", "secretsmanager", "sesv2", "sns", "sqs", "ssm", "stepfunctions"),
)
MANUAL = Path("/usr/share/man/fr")
PAGES = {
    "adduser": ("man5/adduser.conf.5", "man8/adduser.8", "man8/deluser.8"),
    "apt": (
        *("man1/apt-transport-http.1", "man1/apt-transport-mirror.1", "man5/apt.conf.5"),
        *("man5/apt_preferences.5", "man5/sources.list.5", "man8/apt-cache.8", "man8/apt-get.8"),
        *("man8/apt-mark.8", "man8/apt-secure.8", "man8/apt.8"),
    ),
    "dpkg": (
        *("man1/dpkg-deb.1", "man1/dpkg-divert.1", "man1/dpkg-query.1", "man1/dpkg-split.1"),
        *("man1/dpkg-statoverride.1", "man1/dpkg.1", "man1/update-alternatives.1"),
        "man8/start-stop-daemon.8",
    ),
    "dpkg-dev": (
        *("man1/dpkg-architecture.1", "man1/dpkg-buildflags.1", "man1/dpkg-buildpackage.1"),
        *("man1/dpkg-gensymbols.1", "man1/dpkg-parsechangelog.1", "man1/dpkg-shlibdeps.1"),
        *("man1/dpkg-source.1", "man5/deb-control.5", "man5/deb-src-control.5"),
        *("man5/deb-src-symbols.5", "man5/deb-substvars.5", "man7/deb-version.7"),
    ),
    "fakeroot": ("man1/fakeroot-sysv.1",),
    "man-db": ("man1/apropos.1", "man1/man.1", "man1/whatis.1", "man8/mandb.8"),
    "net-tools": ("man8/ifconfig.8", "man8/netstat.8", "man8/route.8"),
    "passwd": (
        *("man1/chage.1", "man1/passwd.1", "man8/groupadd.8", "man8/useradd.8", "man8/usermod.8"),
        "man8/userdel.8",
    ),
    "procps": ("man1/ps.1",),
    "psmisc": ("man1/fuser.1", "man1/killall.1", "man1/pstree.1"),
    "vim-common": ("man1/vim.1",),
    "xxd": ("man1/xxd.1",),
    "xz-utils": ("man1/xz.1",),
}
"""Pages of the French manual, by the Debian package that has them."""


@dataclass(frozen=True)
class Document:
    """A document as an owner would put it into the knowledge base."""

    id: str
    title: str
    text: str


def documents() -> list[Document]:
    """Return all the documents. Exits with what to install where some are not there."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        french = list(pool.map(_page, _paths()))
    return [*references(), *french]


def references() -> list[Document]:
    """Return the documents in English, which are there with Python and botocore."""
    return [*_python(), *_aws()]


def _python() -> Iterator[Document]:
    for name, text in sorted(topics.items()):
        title = text.strip().partition("\n")[0].strip('* "')
        yield Document(f"python/{name}", f"Python: {title}", text)


def _aws() -> Iterator[Document]:
    data = Path(botocore.session.__file__).parent / "data"
    for service in SERVICES:
        newest = max((data / service).iterdir())
        model = json.loads(gzip.decompress((newest / "service-2.json.gz").read_bytes()))
        title = model["metadata"]["serviceFullName"]
        yield Document(f"aws/{service}", title, web_pages.page_text("".join(_html(title, model))))


def _html(title: str, model: Mapping[str, Any]) -> Iterator[str]:
    """Give a service's reference: each operation with its parameters, as AWS's own pages do."""
    shapes = model["shapes"]
    yield f"<h1>{title}</h1>{model.get('documentation', '')}"
    for name, operation in model["operations"].items():
        yield f"<h2>{name}</h2>{operation.get('documentation', '')}"
        members = shapes[operation["input"]["shape"]]["members"] if "input" in operation else {}
        listed = "".join(
            f"<li><code>{member}</code>: {shape['documentation']}</li>"
            for member, shape in members.items()
            if "documentation" in shape
        )
        yield f"<h3>Parameters of {name}</h3><ul>{listed}</ul>" if listed else ""


def _paths() -> list[Path]:
    missing = {
        package
        for package, pages in PAGES.items()
        for page in pages
        if not (MANUAL / f"{page}.gz").exists()
    }
    if missing:
        sys.exit(
            f"The corpus needs the French manual pages of Debian 12's {', '.join(sorted(missing))}:"
            " apt-get install --reinstall them where dpkg is not told to leave out /usr/share/man."
        )
    return [MANUAL / f"{page}.gz" for pages in PAGES.values() for page in pages]


def _mark(margin: re.Match[str]) -> str:
    return "## " if margin[1] else "# "


def _page(path: Path) -> Document:
    """Return a page of the manual: its headings stand further left than its text."""
    command = ["man", "--encoding=UTF-8", "--no-hyphenation", "--no-justification", "-l", str(path)]
    shown = subprocess.run(  # noqa: S603 - a page of the system's own manual # nosec B603
        command,
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANPAGER": "cat", "MANWIDTH": "100"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = shown.splitlines()[1:-1]
    text = "\n".join(re.sub(r"^(   )?(?=\S)", _mark, line) for line in lines)
    name = path.name.removesuffix(".gz")
    return Document(f"fr/{name}", f"Page de manuel {name}", text)
