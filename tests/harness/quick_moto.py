"""Names and URLs that moto looks up for each request, looked up once.

Nothing that moto answers changes, but that its ids of requests count up. Of a signature it reads
only the region, so no more is made. Under the profiler this was two thirds of a test's time.
"""

from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any

from botocore.loaders import JSONFileLoader
from botocore.signers import RequestSigner
from moto import backend_index
from moto.core import responses
from moto.core.base_backend import BaseBackend
from moto.core.constants import MISSING
from moto.core.model import Shape, StructureShape
from moto.core.serialize import AttributePickerContext, JSONSerializer, XFormedAttributePicker
from moto.core.utils import camelcase_to_underscores, get_value, method_names_from_class
from moto.sqs import models as sqs

SERVICES = ("dynamodb", "sqs", "s3")
"""The services that are asked most."""


@cache
def install() -> None:
    """Take effect for this process."""
    backend_index.backend_url_patterns.sort(key=lambda pattern: pattern[0] not in SERVICES)
    quickly = cache(camelcase_to_underscores)
    for module in (responses, sqs):
        setattr(module, "camelcase_to_underscores", quickly)  # noqa: B010
    setattr(responses, "method_names_from_class", cache(method_names_from_class))  # noqa: B010
    setattr(responses, "gen_amzn_requestid_long", _number_request)  # noqa: B010
    setattr(BaseBackend, "urls", property(_urls))  # noqa: B010
    setattr(RequestSigner, "sign", _sign)  # noqa: B010
    # A session of boto3 has a loader of its own, which would parse each service's model again.
    setattr(JSONFileLoader, "load_file", staticmethod(cache(JSONFileLoader().load_file)))  # noqa: B010
    setattr(XFormedAttributePicker, "__call__", _picked)  # noqa: B010
    setattr(JSONSerializer, "_serialize_type_structure", _serialized)  # noqa: B010


_requests = count()
_sign_fully = RequestSigner.sign
_urls_of: dict[type[BaseBackend], dict[str, Callable[..., Any]]] = {}
_build_urls: Callable[[BaseBackend], dict[str, Callable[..., Any]]] = vars(BaseBackend)["urls"].fget


def _number_request(headers: dict[str, Any]) -> None:
    """Give a response the id of its request."""
    headers["x-amzn-requestid"] = f"{next(_requests):052}"


def _sign(
    self: RequestSigner,
    operation_name: str,
    request: Any,  # noqa: ANN401 - botocore's own
    *presigning: Any,  # noqa: ANN401 - same
) -> None:
    """Say for which region a request is.

    S3's signature also names how a body is sent, and that of nobody is an error: both are made.
    """
    if self.signing_name == "s3" or vars(self)["_credentials"] is None:
        _sign_fully(self, operation_name, request, *presigning)
        return
    scope = f"testing/20261110/{self.region_name}/{self.signing_name}/aws4_request"
    request.headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}"


def _urls(self: BaseBackend) -> dict[str, Callable[..., Any]]:
    """Return the URLs of a service, with their handlers."""
    if type(self) not in _urls_of:
        _urls_of[type(self)] = _build_urls(self)
    return _urls_of[type(self)]


_possible_keys: dict[tuple[Shape, str, type], tuple[str, ...]] = {}


def _picked(self: XFormedAttributePicker, context: AttributePickerContext) -> Any:  # noqa: ANN401 - moto's own
    """Return the value of a member, as AttributePicker does."""
    thing, key = context.obj, context.key
    sort = (context.shape, key, type(thing))
    possible = _possible_keys.get(sort)
    if possible is None:
        possible = _possible_keys[sort] = tuple(self.get_possible_keys(context))
    value: Any = None
    if type(thing) is dict:
        for each in possible:
            if each in thing:
                value = thing[each]
                break
    else:
        for each in possible:
            found = get_value(thing, each, MISSING)
            if found is not MISSING:
                value = found
                break
    for path, transform in self.response_transformers.items():
        if f"{context.key_path}.{key}".endswith(path):
            return transform(value)
    return value


_serialize_structure = JSONSerializer._serialize_type_structure  # noqa: SLF001 - moto's own


def _serialized(
    self: JSONSerializer,
    serialized: Any,  # noqa: ANN401 - moto's own
    value: Any,  # noqa: ANN401 - moto's own
    shape: StructureShape,
    key: str,
) -> None:
    """Serialise a structure; of DynamoDB's values only the member that is there, not all ten."""
    if shape.name != "AttributeValue" or type(value) is not dict or not key:
        _serialize_structure(self, serialized, value, shape, key)
        return
    wrapper: dict[str, Any] = {}
    for member in value:
        self._serialize(wrapper, value[member], shape.members[member], member)
    self._default_serialize(serialized, wrapper, shape, key)
