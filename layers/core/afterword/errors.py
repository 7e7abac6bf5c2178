"""The errors of a request, in the domain's words; each dialect maps them to HTTP."""

from collections.abc import Callable, Iterable
from itertools import islice

MAX_WRONG_FIELDS = 100
"""The most fields that one error names."""


class AfterwordError(Exception):
    """An error whose message is one sentence, for the caller to act on."""


class InvalidRequestError(AfterwordError):
    """A malformed request; the message is `<field>: must be …`."""


class UnprocessableError(AfterwordError):
    """A well-formed request with a field that does not fit; `field` is its name.

    `more` are further such fields, each with its message.
    """

    def __init__(self, field: str, message: str, *more: tuple[str, str]) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.more = more

    @property
    def fields(self) -> tuple[tuple[str, str], ...]:
        """All fields that do not fit, each with its message."""
        return ((self.field, self.message), *self.more)


class WrongFields:
    """The fields of one request that do not fit, in their order, for one error with all of them.

    Of more than MAX_WRONG_FIELDS the rest is left out.
    """

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []

    def note(self, fields: Iterable[tuple[str, str]]) -> None:
        """Add fields, each with its message; no more of them are made than are kept."""
        self._found += islice(fields, MAX_WRONG_FIELDS - len(self._found))

    def read[T](self, parse: Callable[[], T]) -> T | None:
        """Return the value of a parser; None if it raises, whose fields are added."""
        try:
            return parse()
        except UnprocessableError as error:
            self.note(error.fields)
            return None

    def error(self) -> UnprocessableError:
        """Return the error with the fields, of which there must be one."""
        (field, message), *more = self._found
        return UnprocessableError(field, message, *more)

    def refuse(self) -> None:
        """Raise UnprocessableError if there are any fields."""
        if self._found:
            raise self.error()


class TooLargeError(AfterwordError):
    """A request whose body exceeds the maximum."""


class UnsupportedCodingError(AfterwordError):
    """A request whose body has a content coding that is not taken, or is not what it says."""


class UnauthenticatedError(AfterwordError):
    """A request without an API key, or with an unknown or revoked one."""


class ForbiddenError(AfterwordError):
    """A request whose API key lacks the scope."""


class NotFoundError(AfterwordError):
    """A record that the tenant does not have; a foreign one gives the same message."""


class WrongMethodError(AfterwordError):
    """A request for a path of the API with a method that the path does not take."""


class GoneError(AfterwordError):
    """A text that was stored, and is gone from storage for good."""


class UnavailableError(AfterwordError):
    """A failure of a service that afterword depends on; the same request may succeed later."""


class KeyReusedError(AfterwordError):
    """An idempotency key that an earlier, different request had."""


class ConflictError(AfterwordError):
    """A creation of an existing record, or a change that the record's state forbids."""
