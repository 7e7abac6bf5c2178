"""Names of members, actions and methods, which moto looks up for each request, looked up once.

Nothing that moto answers changes. Under the profiler this was two thirds of a test's time.
"""

from functools import cache
from typing import Any

from botocore.loaders import JSONFileLoader
from moto import backend_index
from moto.core import responses
from moto.core.constants import MISSING
from moto.core.model import Shape, StructureShape
from moto.core.serialize import AttributePickerContext, JSONSerializer, XFormedAttributePicker
from moto.core.utils import get_value

SERVICES = ("dynamodb", "sqs", "s3")
"""The services that are asked most."""


@cache
def install() -> None:
    """Take effect for this process."""
    backend_index.backend_url_patterns.sort(key=lambda pattern: pattern[0] not in SERVICES)
    for name in ("method_names_from_class", "camelcase_to_underscores"):
        setattr(responses, name, cache(getattr(responses, name)))
    # A session of boto3 has a loader of its own, which would parse each service's model again.
    setattr(JSONFileLoader, "load_file", staticmethod(cache(JSONFileLoader().load_file)))  # noqa: B010
    setattr(XFormedAttributePicker, "__call__", _picked)  # noqa: B010
    setattr(JSONSerializer, "_serialize_type_structure", _serialized)  # noqa: B010


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
