"""Ranking by Amazon Bedrock Knowledge Bases, which have the contents' bucket as a data source.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Retrieve.html
"""

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from afterword.errors import AfterwordError, UnavailableError
from afterword.generations import FailedError, Reason
from afterword.knowledge.ranking import Origin, Ranked, Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mypy_boto3_bedrock_agent_runtime import AgentsforBedrockRuntimeClient
    from mypy_boto3_bedrock_agent_runtime.type_defs import (
        FilterAttributeTypeDef,
        KnowledgeBaseRetrievalResultTypeDef,
        RetrievalFilterTypeDef,
    )

MAX_QUESTION = 1_000
"""Characters of a question: Bedrock takes 20,000, but not every embedding model."""
MAX_RESULTS = 100
"""Passages that Bedrock returns, at most."""

_UNAVAILABLE = frozenset(
    {
        "BadGatewayException",
        "ConflictException",
        "DependencyFailedException",
        "InternalServerException",
        "ThrottlingException",
    }
)


class BedrockRanking:
    """A knowledge base of Amazon Bedrock, which has a change once its owner syncs it.

    `client` returns the client; its creation is not safe in two threads at once.
    """

    def __init__(
        self, client: "Callable[[], AgentsforBedrockRuntimeClient]", knowledge_base_id: str
    ) -> None:
        self._client = client
        self._creating = threading.Lock()
        self._knowledge_base_id = knowledge_base_id

    def rank(self, question: str, selection: Selection, limit: int) -> list[Ranked]:
        """Return the best passages; see Ranking.rank.

        Raises FailedError for an absent knowledge base, or one that denies access.
        """
        text = question.strip()[:MAX_QUESTION]
        if not text:
            return []
        with self._creating:
            client = self._client()
        try:
            response = client.retrieve(
                knowledgeBaseId=self._knowledge_base_id,
                retrievalQuery={"text": text},
                retrievalConfiguration={
                    "vectorSearchConfiguration": {
                        "numberOfResults": min(limit, MAX_RESULTS),
                        "filter": _build_filter(selection),
                    }
                },
            )
        except ClientError as error:
            raise self._error(error) from None  # the error's message may repeat the question
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise FailedError(
                Reason.KNOWLEDGE_UNAVAILABLE,
                "There are no AWS credentials for the Bedrock knowledge base.",
            ) from error
        except BotoCoreError as error:
            raise UnavailableError(
                f"The Bedrock knowledge base cannot be reached ({type(error).__name__})."
            ) from error
        results = [
            (origin, result["content"].get("text", ""))
            for result in response["retrievalResults"]
            if (origin := _origin(result, selection))
        ]
        # Some vector stores have no scores, or scores below 0, but all have an order.
        return [
            Ranked(origin, heading="", text=text, score=1 / place)
            for place, (origin, text) in enumerate(results, start=1)
            if text.strip()
        ]

    def _error(self, error: ClientError) -> AfterwordError:
        code = error.response["Error"]["Code"]
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", HTTPStatus.OK)
        name = f'the Bedrock knowledge base "{self._knowledge_base_id}"'
        if (
            code in _UNAVAILABLE
            or status >= HTTPStatus.INTERNAL_SERVER_ERROR
            or status == HTTPStatus.TOO_MANY_REQUESTS
        ):
            return UnavailableError(f"For {name} Bedrock answered {status} ({code}).")
        if code == "ResourceNotFoundException":
            message = f"There is no such thing as {name}."
        elif status == HTTPStatus.FORBIDDEN or code == "AccessDeniedException":
            message = f"The worker may not ask {name} ({code})."
        else:
            message = f"For {name} Bedrock answered {status} ({code})."
        return FailedError(Reason.KNOWLEDGE_UNAVAILABLE, message)


def _build_filter(selection: Selection) -> "RetrievalFilterTypeDef":
    """Return the filter of a selection."""
    filters: list[RetrievalFilterTypeDef] = [{"equals": _attribute("tenant", selection.tenant)}]
    if selection.folders:
        filters.append({"in": _attribute("folder", sorted(selection.folders))})
    if selection.tags:
        tags: list[RetrievalFilterTypeDef] = [
            {"listContains": _attribute("tags", tag)} for tag in sorted(selection.tags)
        ]
        filters.append(_join("orAll", tags))
    return _join("andAll", filters)


def _attribute(key: str, value: str | list[str]) -> "FilterAttributeTypeDef":
    # The stubs have a mapping where botocore's model has any JSON value.
    return cast("FilterAttributeTypeDef", {"key": key, "value": value})


def _join(joined: str, filters: "Sequence[RetrievalFilterTypeDef]") -> "RetrievalFilterTypeDef":
    """Join filters; Bedrock refuses a list of one."""
    if len(filters) == 1:
        return filters[0]
    return {"andAll": filters} if joined == "andAll" else {"orAll": filters}


def _origin(result: "KnowledgeBaseRetrievalResultTypeDef", selection: Selection) -> Origin | None:
    """Return the content of a result; None without our metadata, or outside the selection.

    Such results come of a knowledge base with other data sources, or of a vector store that ignores
    filters.
    """
    metadata: Mapping[str, object] = result.get("metadata", {})
    named = {name: value for name, value in metadata.items() if isinstance(value, str) and value}
    if (
        named.get("tenant") != selection.tenant
        or not {"content", "title", "folder"} <= named.keys()
    ):
        return None
    if selection.folders and named["folder"] not in selection.folders:
        return None
    tags = metadata.get("tags")
    if selection.tags and not (isinstance(tags, list) and selection.tags.intersection(tags)):
        return None
    return Origin(
        content=named["content"],
        title=named["title"],
        folder=named["folder"],
        external_id=named.get("external_id"),
        source=named.get("source"),
    )
