"""The selection of passages for a step's question, and their contents as sources."""

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from afterword.errors import UnavailableError, WrongFields
from afterword.generations import ContextFilter, FailedError, Reason, Source, is_id
from afterword.knowledge import folder_id, tag_id
from afterword.knowledge.ranking import RankingKind, SelectionTooLargeError
from afterword.models import ModelUnavailableError
from afterword.records import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable

    from afterword.knowledge.ranking import Origin, Ranked, Ranking
    from afterword.knowledge.store import ContentStore


@dataclass(frozen=True, slots=True)
class ContextFilterLabels:
    """Folders, or tags, that a request names by id and by name; empty ones stand for all."""

    ids: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContextFilterRequest:
    """A request's filter for one step; None keeps the step's own."""

    folders: ContextFilterLabels | None = None
    tags: ContextFilterLabels | None = None


class Knowledge:
    """Selects the passages of a step's prompt; `contents` and rankings are built when needed."""

    def __init__(
        self,
        contents: "Callable[[], ContentStore]",
        build_ranking: "Callable[[RankingKind], Ranking]",
    ) -> None:
        self._contents = contents
        self._build_ranking = build_ranking
        self._building = threading.Lock()  # the worker's threads may all be the first

    def resolve_filters(
        self,
        tenant: str,
        requested: Mapping[str, ContextFilterRequest],
        within: str = "steps.{}.context",
    ) -> Mapping[str, ContextFilter]:
        """Return a request's filters by the names of steps, with ids alone.

        Raises UnprocessableError for unknown folders and tags; `within` is the form of its field.
        Reads: one batch for all steps, none without labels.
        """
        folders = {
            step: _by_id(tenant, each.folders, folder_id) for step, each in requested.items()
        }
        tags = {step: _by_id(tenant, each.tags, tag_id) for step, each in requested.items()}
        labels = {
            "folder": {label for ids in folders.values() for label in ids or ()},
            "tag": {label for ids in tags.values() for label in ids or ()},
        }
        existing: Collection[str] = ()
        if any(labels.values()):
            existing = self._contents().find_labels(tenant, labels["folder"], labels["tag"])
        wrong = WrongFields()
        for kind, by_step in (("folder", folders), ("tag", tags)):
            for step, ids in by_step.items():
                for label, text in (ids or {}).items():
                    if label not in existing:
                        field = f"{within.replace('{}', step)}.{kind}s"
                        wrong.note([(field, f'must exist, and there is no {kind} "{text}".')])
        wrong.refuse()
        return {
            step: ContextFilter(folders=_tuple(folders[step]), tags=_tuple(tags[step]))
            for step in requested
        }

    def find_passages(  # noqa: PLR0913 - a selection, questions, and how to rank
        self,
        tenant: str,
        folders: Sequence[str],
        tags: Sequence[str],
        questions: Iterable[str],
        limit: int,
        *,
        kind: RankingKind = RankingKind.LEXICAL,
    ) -> "list[Ranked]":
        """Return up to `limit` passages for the first question that has any, the best first.

        `folders` and `tags` are names or ids; none stand for all. Raises FailedError for a
        selection too large to rank, and ModelUnavailableError without an answer of the ranking.
        Rankings by meaning raise as EmbeddingModel.embed, too.
        """
        with self._building:
            contents, ranking = self._contents(), self._build_ranking(kind)
        try:
            selection = contents.select(
                tenant,
                _ids(tenant, folders, folder_id),
                _ids(tenant, tags, tag_id),
            )
            for question in questions:
                passages = ranking.rank(question, selection, limit)
                if passages:
                    return passages
        except SelectionTooLargeError as error:
            raise FailedError(Reason.KNOWLEDGE_TOO_LARGE, str(error)) from error
        except UnavailableError as error:
            raise ModelUnavailableError(str(error)) from error
        return []


def list_sources(passages: "Sequence[Ranked]", used: "Iterable[int]") -> tuple[Source, ...]:
    """Return the contents of passages, each once; `used` are the indexes of passages."""
    used_contents = {passages[index].origin.content for index in used}
    origins: dict[str, Origin] = {}
    for ranked in passages:
        origins.setdefault(ranked.origin.content, ranked.origin)
    return tuple(
        Source(
            content=origin.content,
            title=origin.title,
            folder=origin.folder,
            external_id=origin.external_id,
            source=origin.source,
            used=origin.content in used_contents,
        )
        for origin in origins.values()
    )


def merge_sources(some: "Iterable[Source]") -> tuple[Source, ...]:
    """Return the sources of several steps, each once; used, if any step used it."""
    by_content: dict[str, Source] = {}
    for source in some:
        earlier = by_content.get(source.content)
        if earlier is None or source.used > earlier.used:
            by_content[source.content] = source
    return tuple(by_content.values())


def _by_id(
    tenant: str, labels: ContextFilterLabels | None, id_of: "Callable[[str, str], str]"
) -> dict[str, str] | None:
    """Return labels as they were sent, by id; None without a filter."""
    if labels is None:
        return None
    by_id = {text: text for text in labels.ids}
    return by_id | {id_of(tenant, text): text for text in labels.names}


def _tuple(ids: "Iterable[str] | None") -> tuple[str, ...] | None:
    return None if ids is None else tuple(ids)


def _ids(
    tenant: str, labels: "Sequence[str]", id_of: "Callable[[str, str], str]"
) -> tuple[str, ...]:
    return tuple(label if is_id(label) else id_of(tenant, label) for label in labels)
