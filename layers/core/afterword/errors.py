"""The errors of a request, in the domain's words; each dialect maps them to HTTP."""


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


class TooLargeError(AfterwordError):
    """A request whose body exceeds the maximum."""


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
