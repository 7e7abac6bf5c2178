"""What can go wrong with a request, in the words of the domain; each dialect maps it to HTTP."""


class AfterwordError(Exception):
    """An error whose message is one sentence that its caller may read and act on."""


class InvalidRequestError(AfterwordError):
    """The request cannot be understood; the message names the field and what it should be."""


class UnprocessableError(AfterwordError):
    """The request can be read, but does not fit its flow; `field` is the input that does not.

    `more` are other fields that do not, each with its message.
    """

    def __init__(self, field: str, message: str, *more: tuple[str, str]) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.more = more


class TooLargeError(AfterwordError):
    """The request's body is larger than is taken."""


class UnauthenticatedError(AfterwordError):
    """There is no API key, or none that is known and live."""


class ForbiddenError(AfterwordError):
    """The API key is good, but lacks the scope that this needs."""


class NotFoundError(AfterwordError):
    """There is no such thing for this tenant; a foreign one looks the same as an absent one."""


class UnavailableError(AfterwordError):
    """A service that afterword stands on did not answer; the same request may succeed later."""


class KeyReusedError(AfterwordError):
    """The idempotency key was used before, for another request."""


class ConflictError(AfterwordError):
    """What should be created is there already, or what should be changed is past that."""
