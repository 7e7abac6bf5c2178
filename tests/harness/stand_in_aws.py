"""AWS under moto: the template's tables, queues and buckets, made anew for each test.

A request to moto takes milliseconds, and so does a new botocore client. So the tables, queues and
buckets are put into moto's backends directly, and a process makes each client once.
"""

import io
import pickle
import threading
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from moto import mock_aws
from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.model_instances import reset_model_data
from moto.core.models import DEFAULT_ACCOUNT_ID, botocore_stubber
from moto.ssm.models import ParameterDict

from afterword.services import services
from tests.harness import quick_moto
from tests.harness.deployment import (
    EMBED_QUEUE_NAME,
    INTAKE_DEAD_LETTERS_NAME,
    INTAKE_QUEUE_NAME,
    NOTIFY_QUEUE_NAME,
    QUEUE_NAME,
    REFERENCES,
    REGION,
    WEBHOOK_QUEUE_NAME,
    parsed_template,
)

TABLES = (
    "GenerationsTable",
    "RegistryTable",
    "QuotasTable",
    "StatisticsTable",
    "ContentsTable",
    "BatchesTable",
    "WebhooksTable",
)
QUEUES = (
    QUEUE_NAME,
    NOTIFY_QUEUE_NAME,
    WEBHOOK_QUEUE_NAME,
    INTAKE_QUEUE_NAME,
    INTAKE_DEAD_LETTERS_NAME,
    EMBED_QUEUE_NAME,
)
BUCKETS = ("Bucket", "ContentsBucket", "BatchBucket")
NOT_OF_MOTO = (
    "SSESpecification",
    "PointInTimeRecoverySpecification",
    "TimeToLiveSpecification",
    "DeletionProtectionEnabled",
)
"""Properties of a table that `CreateTable` does not take, or that keep a test from deleting it."""
STORED = (
    ("dynamodb", REGION, "tables"),
    ("sqs", REGION, "queues"),
    ("s3", "aws", "buckets"),
    ("ssm", REGION, "_parameters"),
)
"""Where moto holds what is stored: the service, the region and the attribute of its backend."""

_MADE: dict[Hashable, tuple[bytes, object]] = {}
"""Everything stored and what was returned, for each name that `made_once` has made."""


@dataclass(frozen=True)
class Everything:
    """The tables' items, the keys of the buckets' objects and the queues' numbers of messages."""

    items: Mapping[str, list[dict[str, Any]]]
    objects: Mapping[str, list[str]]
    messages: Mapping[str, int]


@contextmanager
def stand_in_aws() -> Iterator[None]:
    """Start an AWS that has the template's tables, queues and buckets, all of them empty."""
    quick_moto.install()
    tables = _empty_tables()
    botocore_stubber.enabled = True
    BackendDict.reset()
    _backend("dynamodb", REGION).tables = pickle.loads(tables)  # noqa: S301 - pickled below
    for queue in QUEUES:
        _backend("sqs", REGION).create_queue(queue)
    for resource in BUCKETS:
        _backend("s3", "aws").create_bucket(REFERENCES[resource], REGION)
    versioning = parsed_template()["Resources"]["BatchBucket"]["Properties"][
        "VersioningConfiguration"
    ]
    _backend("s3", "aws").put_bucket_versioning(REFERENCES["BatchBucket"], versioning["Status"])
    try:
        yield
    finally:
        botocore_stubber.enabled = False
        BackendDict.reset()
        reset_model_data()


def read_items(resource: str) -> list[dict[str, Any]]:
    """Return all items of a table, without a call of AWS."""
    table = _backend("dynamodb", REGION).tables[REFERENCES[resource]]
    return [item.to_json()["Attributes"] for item in table.all_items()]


def read_object_keys(resource: str) -> list[str]:
    """Return the keys of all objects in a bucket, without a call of AWS."""
    return list(_backend("s3", "aws").buckets[REFERENCES[resource]].keys)


def count_messages(queue: str) -> int:
    """Return how many messages a queue has, delayed and received ones as well, without a call."""
    return len(_backend("sqs", REGION).queues[queue]._messages)  # noqa: SLF001 - it shows the visible ones alone


def read_everything(*, without: Collection[str] = ()) -> Everything:
    """Return all that is stored, without some tables, and without a call of AWS."""
    return Everything(
        items={name: read_items(name) for name in TABLES if name not in without},
        objects={name: read_object_keys(name) for name in BUCKETS},
        messages={name: count_messages(name) for name in QUEUES},
    )


def put_items(resource: str, items: Iterable[dict[str, Any]]) -> None:
    """Put items into a table, without a call of AWS."""
    table = _backend("dynamodb", REGION).tables[REFERENCES[resource]]
    for item in items:
        table.put_item(item)


def let_one_call_in_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serialise moto's calls: between threads its conditional writes can have two winners."""
    lock = threading.Lock()
    answer = BotocoreStubber.__call__

    def answer_alone(self: BotocoreStubber, *args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - moto's own
        with lock:
            return answer(self, *args, **kwargs)

    monkeypatch.setattr(BotocoreStubber, "__call__", answer_alone)


def made_once[Result](name: Hashable, make: Callable[[], Result]) -> Result:
    """Let `make` store things and return its result; later for the same name, put them back.

    For things that many tests begin with. The kept things take the place of all that is stored.
    The result must be plain data: each call returns a copy. The first call drops the objects of
    `services()`, so that each test begins without them.
    """
    if name in _MADE:
        stored, result = _MADE[name]
        for (service, region, attribute), value in zip(STORED, pickle.loads(stored), strict=True):  # noqa: S301 - pickled below
            setattr(_backend(service, region), attribute, value)
    else:
        result = make()
        written = io.BytesIO()
        _Pickler(written).dump([getattr(_backend(*backend), name) for *backend, name in STORED])
        _MADE[name] = (written.getvalue(), result)
        services.cache_clear()
    return deepcopy(result)  # type: ignore[return-value]  # what its `make` has returned


class _Pickler(pickle.Pickler):
    """A pickler that takes the locks and the parameters of moto, too."""

    def reducer_override(self, thing: Any) -> Any:  # noqa: ANN401 - as pickle has it
        if isinstance(thing, type(threading.RLock())):
            return threading.RLock, ()
        if isinstance(thing, ParameterDict):
            origin = (thing.account_id, thing.region_name)
            return ParameterDict, origin, None, None, iter(thing.items())
        return NotImplemented


class EventHandlers:
    """The event handlers of botocore clients, as they were before a test added some."""

    def __init__(self) -> None:
        self._pristine: dict[BaseClient, Any] = {}
        self._lookups: dict[BaseClient, object] = {}

    def set_back(self, clients: Iterable[BaseClient]) -> None:
        """Drop the handlers that were registered since a client was first passed."""
        for client in clients:
            events: Any = client.meta.events
            emitter = events._emitter  # noqa: SLF001 - there is no way to list handlers
            pristine = self._pristine.setdefault(client, copy(emitter))
            if emitter._lookup_cache is not self._lookups.get(client):  # noqa: SLF001 - new after each change
                vars(emitter).update(vars(copy(pristine)))
                self._lookups[client] = emitter._lookup_cache  # noqa: SLF001 - same


def _backend(service: Any, region: str) -> Any:  # noqa: ANN401 - moto's backends have no common type
    return get_backend(service)[DEFAULT_ACCOUNT_ID][region]


@cache
def _empty_tables() -> bytes:
    """Return the template's tables as moto holds them, pickled."""
    with mock_aws():
        client = boto3.client("dynamodb", region_name=REGION)
        for resource in TABLES:
            definition = deepcopy(parsed_template()["Resources"][resource]["Properties"])
            for later in NOT_OF_MOTO:
                definition.pop(later, None)
            client.create_table(TableName=REFERENCES[resource], **definition)
        return pickle.dumps(dict(_backend("dynamodb", REGION).tables))
