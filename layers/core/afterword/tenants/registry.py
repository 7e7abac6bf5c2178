"""The registry table: tenants, API keys and flows, and its only user.

pk              sk                what
tenant#<id>     tenant            the tenant, its limits, its lists of models and hosts, its counts
tenant#<id>     key#<key id>      a mark that the tenant has this key
key#<key id>    key               the key itself, read by its id alone
tenant#<id>     flow#<id>         the newest version of a flow
tenant#<id>     version#<id>#<n> version n of a flow, never changed
"""

import random
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from itertools import batched
from typing import TYPE_CHECKING

from afterword import clock
from afterword.errors import ConflictError, InvalidRequestError, NotFoundError, TooLargeError
from afterword.limits import Limits, Rules
from afterword.runtime.dynamodb import (
    ConditionFailed,
    Delete,
    Item,
    Put,
    Table,
    TransactionCanceledError,
    Update,
    Value,
    absent,
    begins_with,
    below,
    between,
    equals,
    exists,
    millis,
    number,
    text,
    time_of,
)
from afterword.runtime.pages import Page
from afterword.runtime.stored import read_word
from afterword.tenants import NAME_RULE, FlowVersion, StoredFlow, Tenant, is_name, keys
from afterword.tenants.flow_cache import FlowCache
from afterword.tenants.keys import ApiKey, Scope

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

MAX_FLOWS = 1_000
"""Flows of a tenant."""
MAX_VERSIONS = 1_000
"""Versions of a flow: a further one removes the oldest."""
MAX_LIVE_KEYS = 1_000
"""Keys of a tenant that are not revoked."""
MAX_KEYS = 2_000
"""Keys of a tenant in all: a further one removes the key that was revoked first."""
MAX_PAGE_BYTES = 20_000_000
"""Bytes of the documents that one page of flows reads."""
CONFLICT_WAITS = (0.05, 0.1, 0.2, 0.4)
"""Maximum seconds to wait after each conflict with the count of another new flow."""
MAX_MODELS = 100
"""Models in the list of one tenant."""
_OF_KEYS = ("reads_per_minute", "key_requests_per_minute")
"""The limits of a tenant that each of its keys repeats."""
MAX_FLOW_BYTES = 350_000
"""Bytes of a flow's document; an item of DynamoDB has at most 400 KB."""


class Registry:
    """Tenants, their API keys and their flows.

    `flow_seconds` is the time for which `find_flow` may return a version that was read before.
    """

    def __init__(
        self, dynamodb: "DynamoDBClient", table: str, *, flow_seconds: float = 0.0
    ) -> None:
        self._table = Table(dynamodb, table)
        self._newest = FlowCache(flow_seconds)

    def create_tenant(self, tenant_id: str, name: str) -> Tenant:
        """Create a tenant; raise ConflictError for the id of another."""
        if not is_name(tenant_id):
            raise InvalidRequestError(f"id: must be {NAME_RULE}, not {tenant_id!r}.")
        tenant = Tenant(tenant_id, name, clock.now())
        item = {
            **_tenant_key(tenant_id),
            "name": text(name),
            "created_at": millis(tenant.created_at),
            "flows": number(0),
        }
        if self._table.put(item, absent("pk")) is not None:
            raise ConflictError(f"There is a tenant {tenant_id} already.")
        return tenant

    def get_tenant(self, tenant_id: str) -> Tenant:
        """Return a tenant; raise NotFoundError."""
        item = self._read_tenant(tenant_id)
        return Tenant(tenant_id, item["name"]["S"], time_of(item, "created_at"))

    def get_limits(self, tenant_id: str) -> Limits:
        """Return a tenant's limits; no limits for an absent tenant, which has no keys either."""
        return self.get_rules(tenant_id).limits

    def get_rules(self, tenant_id: str) -> Rules:
        """Return the rules of a tenant's submissions; the defaults for an absent tenant."""
        item = self._table.get(_tenant_key(tenant_id)) or {}
        return Rules(
            limits=_parse_limits(item),
            webhooks="webhooks" in item and int(item["webhooks"]["N"]) > 0,
            webhook_hosts=frozenset(item["webhook_hosts"]["SS"] if "webhook_hosts" in item else ()),
            models=frozenset(item["models"]["SS"]) if "models" in item else None,
        )

    def count_webhook(self, tenant_id: str, more: int) -> None:
        """Add to the count of an existing tenant's webhook endpoints.

        An endpoint is counted before its creation and until after its removal. So a crash may leave
        the count too high, and never too low.
        """
        outcome = self._table.update(
            _tenant_key(tenant_id), adds={"webhooks": more}, condition=exists("pk")
        )
        _require_tenant(tenant_id, outcome)

    def set_webhook_hosts(self, tenant_id: str, hosts: Collection[str]) -> None:
        """Set the hosts that a submission's webhook_url may name; caches keep the old 60 s."""
        outcome = self._table.update(
            _tenant_key(tenant_id),
            sets={"webhook_hosts": {"SS": sorted(hosts)}} if hosts else {},
            removes=[] if hosts else ["webhook_hosts"],
            condition=exists("pk"),
        )
        _require_tenant(tenant_id, outcome)

    def set_models(self, tenant_id: str, models: Collection[str] | None) -> None:
        """Set the models that a tenant's flows may name, None for all; caches keep the old 60 s."""
        if models is not None and not 1 <= len(models) <= MAX_MODELS:
            raise InvalidRequestError(f"models: must be 1 to {MAX_MODELS}, not {len(models)}.")
        outcome = self._table.update(
            _tenant_key(tenant_id),
            sets={} if models is None else {"models": {"SS": sorted(models)}},
            removes=["models"] if models is None else [],
            condition=exists("pk"),
        )
        _require_tenant(tenant_id, outcome)

    def set_limits(self, tenant_id: str, limits: Limits) -> None:
        """Set a tenant's limits; caches keep the old ones for up to 60 s.

        Each key repeats the limits of _OF_KEYS. A call that fails midway may be repeated.
        """
        self.get_tenant(tenant_id)
        given = {name: limit for name, limit in asdict(limits).items() if limit is not None}
        for name, limit in given.items():
            if limit < 1:
                raise InvalidRequestError(f"{name}: must be at least 1, not {limit}.")
        sets = {name: number(limit) for name, limit in given.items()}
        removes = [name for name in asdict(limits) if name not in given]
        self._table.update(_tenant_key(tenant_id), sets=sets, removes=removes)
        for key_id in self._list_key_ids(tenant_id):
            self._table.update(
                _key(f"key#{key_id}", "key"),
                sets={name: sets[name] for name in _OF_KEYS if name in sets},
                removes=[name for name in _OF_KEYS if name not in sets],
                condition=exists("pk"),
            )

    def create_key(
        self, tenant_id: str, scopes: Iterable[Scope], label: str = "", flow: str | None = None
    ) -> tuple[ApiKey, str]:
        """Create a key for an existing tenant; return it and the key string, never seen again.

        With a `flow`, which must exist, the key is bound to that flow. Raises ConflictError above
        MAX_LIVE_KEYS; two requests at once may both get the last one.
        """
        owner = self._read_tenant(tenant_id)
        limits = _parse_limits(owner)
        if flow is not None:
            self.get_flow(tenant_id, flow)
        removed = self._make_room_for_key(tenant_id)
        credential, key_string = keys.generate_key()
        api_key = ApiKey(
            id=credential.key_id,
            tenant=tenant_id,
            hash=keys.digest(credential.secret),
            scopes=frozenset(scopes),
            label=label,
            created_at=_now(),
            revoked_at=None,
            flow=flow,
            reads_per_minute=limits.reads_per_minute,
            requests_per_minute=limits.key_requests_per_minute,
        )
        if not api_key.scopes:
            raise InvalidRequestError("scopes: must be at least one.")
        item: dict[str, Value] = {
            **_key(f"key#{api_key.id}", "key"),
            "tenant": text(tenant_id),
            "hash": text(api_key.hash),
            "scopes": {"SS": sorted(api_key.scopes)},
            "label": text(label),
            "created_at": millis(api_key.created_at),
        }
        if flow is not None:
            item["flow"] = text(flow)
        item |= {name: owner[name] for name in _OF_KEYS if name in owner}
        mark = Put(_key(f"tenant#{tenant_id}", f"key#{api_key.id}"))
        self._table.transact([Put(item), mark, *removed])
        return api_key, key_string

    def _make_room_for_key(self, tenant_id: str) -> list[Delete]:
        """Return the removal of an old key for a new one; raise ConflictError without room."""
        ids = self._list_key_ids(tenant_id)
        if len(ids) < MAX_LIVE_KEYS:  # live or not: no key needs to be read
            return []
        read = self._get_keys(ids)
        revoked = [(each.revoked_at, each.id) for each in read if each.revoked_at is not None]
        if len(read) - len(revoked) >= MAX_LIVE_KEYS:
            raise ConflictError(
                f"A tenant has at most {MAX_LIVE_KEYS:,} live keys: revoke one of them first."
            )
        if len(ids) < MAX_KEYS:
            return []
        _, oldest = min(revoked)
        return [
            Delete(_key(f"key#{oldest}", "key")),
            Delete(_key(f"tenant#{tenant_id}", f"key#{oldest}")),
        ]

    def _list_key_ids(self, tenant_id: str) -> list[str]:
        return [item["sk"]["S"].removeprefix("key#") for item in self._query(tenant_id, "key#")]

    def _get_keys(self, key_ids: Iterable[str]) -> list[ApiKey]:
        """Return keys by their ids, in calls of 100."""
        return [
            _parse_key(item)
            for some in batched(key_ids, 100, strict=False)
            for item in self._table.get_all([_key(f"key#{key_id}", "key") for key_id in some])
        ]

    def get_key(self, key_id: str) -> ApiKey | None:
        """Return a key by its id, live or revoked; None for an unknown id."""
        item = self._table.get(_key(f"key#{key_id}", "key"))
        return None if item is None else _parse_key(item)

    def list_keys(self, tenant_id: str) -> list[ApiKey]:
        """Return a tenant's keys, live and revoked, oldest first."""
        return sorted(self._get_keys(self._list_key_ids(tenant_id)), key=lambda key: key.created_at)

    def revoke_key(self, tenant_id: str, key_id: str) -> None:
        """Revoke a tenant's key; caches accept it for up to 60 s more."""
        outcome = self._table.update(
            _key(f"key#{key_id}", "key"),
            defaults={"revoked_at": millis(clock.now())},
            condition=equals("tenant", text(tenant_id)),
        )
        if isinstance(outcome, ConditionFailed):
            raise NotFoundError(f"Tenant {tenant_id} has no key {key_id}.")

    def put_flow(
        self, tenant_id: str, flow_id: str, document: str, *, again: bool = True
    ) -> StoredFlow:
        """Save a flow's JSON document as its next version, for an existing tenant.

        Without `again`, an unchanged document makes no new version. Raises ConflictError after
        another save of the flow at the same time, and for more than MAX_FLOWS. Of more than
        MAX_VERSIONS the oldest is removed.
        """
        owner = self._read_tenant(tenant_id)
        if not is_name(flow_id):
            raise InvalidRequestError(f"id: must be {NAME_RULE}, not {flow_id!r}.")
        if len(document.encode()) > MAX_FLOW_BYTES:
            raise TooLargeError(f"A flow must have at most {MAX_FLOW_BYTES} bytes.")
        newest = self._table.get(_key(f"tenant#{tenant_id}", f"flow#{flow_id}"))
        if newest and newest["document"]["S"] == document and not again:
            return _parse_flow(newest)
        version = int(newest["version"]["N"]) + 1 if newest else 1
        flow = StoredFlow(flow_id, version, document, _now())
        attributes = {
            "flow": text(flow_id),
            "version": number(version),
            "document": text(document),
            "created_at": millis(flow.created_at),
        }
        pk = f"tenant#{tenant_id}"
        new_version = {**_key(pk, f"version#{flow_id}#{version}"), **attributes}
        newest_of_all = {**_key(pk, f"flow#{flow_id}"), **attributes}
        writes: list[Put | Update | Delete] = [Put(new_version, absent("pk")), Put(newest_of_all)]
        if newest is None:
            writes.append(self._count_flow(tenant_id, owner))
        elif version > MAX_VERSIONS:
            writes.append(Delete(_key(pk, f"version#{flow_id}#{version - MAX_VERSIONS}")))
        self._save(flow_id, writes)
        self._newest.forget(tenant_id, flow_id)
        return flow

    def _save(self, flow_id: str, writes: Sequence[Put | Update | Delete]) -> None:
        """Write a version, the newest one and a count; again while other flows are counted."""
        for wait in (*CONFLICT_WAITS, None):
            try:
                self._table.transact(writes)
            except TransactionCanceledError as error:
                _, _, *of_count = error.reasons
                if of_count == ["ConditionalCheckFailed"]:
                    raise _too_many_flows() from error
                if of_count == ["TransactionConflict"] and wait is not None:
                    time.sleep(random.uniform(0, wait))  # noqa: S311 - spreads load, guards nothing # nosec B311
                    continue
                raise ConflictError(f"Another request saved flow {flow_id}: try again.") from error
            else:
                return

    def _count_flow(self, tenant_id: str, owner: Item) -> Update:
        """Return the count of a new flow; raise ConflictError above MAX_FLOWS.

        A tenant of an older version has no count yet.
        """
        counted = "flows" in owner
        flows = int(owner["flows"]["N"]) if counted else len(self.list_flow_ids(tenant_id))
        if flows >= MAX_FLOWS:
            raise _too_many_flows()
        if counted:
            condition = below("flows", number(MAX_FLOWS))
            return Update(key=_tenant_key(tenant_id), adds={"flows": 1}, condition=condition)
        # Two first counts at once are both right enough: the second replaces the first.
        return Update(key=_tenant_key(tenant_id), sets={"flows": number(flows + 1)})

    def get_flow(self, tenant_id: str, flow_id: str, version: int | None = None) -> StoredFlow:
        """Return a version of a tenant's flow, the newest by default; raise NotFoundError."""
        sort_key = f"flow#{flow_id}" if version is None else f"version#{flow_id}#{version}"
        if not is_name(flow_id):  # any text of a client's path, which no message repeats
            raise NotFoundError("There is no such flow.")
        item = self._table.get(_key(f"tenant#{tenant_id}", sort_key))
        if item is None:
            raise NotFoundError(f"There is no flow {flow_id}.")
        return _parse_flow(item)

    def find_flow(self, tenant_id: str, flow_id: str) -> StoredFlow:
        """Return the newest version of a flow for a submission; raise NotFoundError.

        A version that another process has saved meanwhile may be missed, for `flow_seconds`.
        """
        known = self._newest.get(tenant_id, flow_id)
        if known is not None:
            return known
        flow = self.get_flow(tenant_id, flow_id)
        self._newest.keep(tenant_id, flow)
        return flow

    def list_flows(self, tenant_id: str) -> Iterator[StoredFlow]:
        """Yield the newest version of each of a tenant's flows, by id, in calls of 1 MB."""
        return map(_parse_flow, self._each(tenant_id, "flow#"))

    def page_flows(self, tenant_id: str, limit: int, after: str | None) -> Page[StoredFlow]:
        """Return a page of the same list.

        `after` is the id that the page comes after. A page ends early after MAX_PAGE_BYTES.
        """
        # "!" is below the characters of ids, and "~" above.
        first, last = ("flow#" if after is None else f"flow#{after}!"), "flow#~"
        condition = equals("pk", text(f"tenant#{tenant_id}")) & between(
            "sk", text(first), text(last)
        )
        flows: list[StoredFlow] = []
        size = 0
        for page in self._table.pages(condition, limit=limit + 1):
            for item in page.items:
                size += len(item["document"]["S"])
                if len(flows) == limit or (flows and size > MAX_PAGE_BYTES):
                    return Page(tuple(flows), flows[-1].id)
                flows.append(_parse_flow(item))
        return Page(tuple(flows), None)

    def list_flow_ids(self, tenant_id: str) -> list[str]:
        """Return the ids of a tenant's flows, in order."""
        return [item["flow"]["S"] for item in self._query(tenant_id, "flow#", ("flow",))]

    def list_versions(self, tenant_id: str, flow_id: str) -> list[FlowVersion]:
        """Return the versions of a tenant's flow, newest first; raise NotFoundError."""
        if not is_name(flow_id):  # any text of a client's path, which no message repeats
            raise NotFoundError("There is no such flow.")
        items = self._query(tenant_id, f"version#{flow_id}#", ("version", "created_at"))
        if not items:
            raise NotFoundError(f"There is no flow {flow_id}.")
        versions = [
            FlowVersion(int(item["version"]["N"]), time_of(item, "created_at")) for item in items
        ]
        return sorted(versions, key=lambda each: each.version, reverse=True)

    def _read_tenant(self, tenant_id: str) -> Item:
        item = self._table.get(_tenant_key(tenant_id))
        if item is None:
            raise NotFoundError(f"There is no tenant {tenant_id}.")
        return item

    def _query(self, tenant_id: str, prefix: str, names: Collection[str] = ()) -> list[Item]:
        """Return a tenant's items with a prefix; with `names`, those attributes alone."""
        return list(self._each(tenant_id, prefix, names))

    def _each(self, tenant_id: str, prefix: str, names: Collection[str] = ()) -> Iterator[Item]:
        """Yield the same items, a page at a time."""
        condition = equals("pk", text(f"tenant#{tenant_id}")) & begins_with("sk", prefix)
        pages = self._table.pages(condition, attributes=names)
        return (item for page in pages for item in page.items)


def _too_many_flows() -> ConflictError:
    return ConflictError(
        f"A tenant has at most {MAX_FLOWS:,} flows: save a new version of one of them."
    )


def _require_tenant(tenant_id: str, outcome: Item | ConditionFailed) -> None:
    if isinstance(outcome, ConditionFailed):
        raise NotFoundError(f"There is no tenant {tenant_id}.")


def _parse_key(item: Item) -> ApiKey:
    limits = _parse_limits(item)
    return ApiKey(
        id=item["pk"]["S"].removeprefix("key#"),
        tenant=item["tenant"]["S"],
        hash=item["hash"]["S"],
        scopes=frozenset(read_word(Scope, scope) for scope in item["scopes"]["SS"]),
        label=item["label"]["S"],
        created_at=time_of(item, "created_at"),
        revoked_at=time_of(item, "revoked_at") if "revoked_at" in item else None,
        flow=item["flow"]["S"] if "flow" in item else None,
        reads_per_minute=limits.reads_per_minute,
        requests_per_minute=limits.key_requests_per_minute,
    )


def _parse_limits(item: Item) -> Limits:
    """Return the limits of a tenant's item, or that of a key's."""
    names = (limit.name for limit in fields(Limits))
    return Limits(**{name: int(item[name]["N"]) for name in names if name in item})


def _parse_flow(item: Item) -> StoredFlow:
    return StoredFlow(
        item["flow"]["S"],
        int(item["version"]["N"]),
        item["document"]["S"],
        time_of(item, "created_at"),
    )


def _key(pk: str, sk: str) -> Item:
    return {"pk": text(pk), "sk": text(sk)}


def _tenant_key(tenant_id: str) -> Item:
    return _key(f"tenant#{tenant_id}", "tenant")


def _now() -> "datetime":
    """Return the present time to the millisecond, as the table stores it."""
    return clock.from_millis(clock.to_millis(clock.now()))
