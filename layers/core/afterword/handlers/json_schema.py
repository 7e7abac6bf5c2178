"""Annotations of response fields, with the JSON Schema that a Python type alone lacks.

pydantic reads them when openapi/ writes openapi.yaml. No function imports pydantic for them.
"""

from typing import Annotated, Any, TypeVar

_Word = TypeVar("_Word")


class Schema:
    """An annotation: the type that a client reads, and further keywords of JSON Schema."""

    def __init__(self, shown_as: object = None, /, **keywords: object) -> None:
        self._shown_as = shown_as
        self._keywords = keywords

    def __get_pydantic_core_schema__(self, source: object, handler: Any) -> Any:  # noqa: ANN401 - pydantic's protocol
        """Return the schema of the shown type, else of the annotated one."""
        if self._shown_as is None:
            return handler(source)
        return handler.generate_schema(self._shown_as)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:  # noqa: ANN401 - pydantic's protocol
        """Return the JSON Schema with the keywords."""
        return handler(schema) | self._keywords


class _Open:
    """An annotation of an enumeration to which words may come: a client takes any other, too."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Any:  # noqa: ANN401 - pydantic's protocol
        """Return the JSON Schema of the known words, or any text."""
        return {"anyOf": [handler(schema), {"type": "string"}]}


Open = Annotated[_Word, _Open()]
"""Words of a response of which a later version may have more, as `Open[Status]`."""
Uuid = Annotated[str, Schema(format="uuid")]
Time = Annotated[str, Schema(format="date-time", pattern=r"T[0-9:]{8}\.[0-9]{3}Z$")]
"""A time in UTC, such as `2026-11-10T09:00:00.000Z` (RFC 3339)."""
Day = Annotated[str, Schema(format="date")]
Sentence = Annotated[str, Schema(minLength=1)]
Count = Annotated[int, Schema(minimum=0)]
