"""The registry table: tenants, API keys and flows, and its only user.

pk              sk                what
tenant#<id>     tenant            the tenant, its limits, its webhooks' count and hosts
tenant#<id>     key#<key id>      a mark that the tenant has this key
key#<key id>    key               the key itself, read by its id alone
tenant#<id>     flow#<id>         the newest version of a flow
tenant#<id>     version#<id>#<n> version n of a flow, never changed
"""

from collections.abc import Collection, Iterable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from afterword import clock
from afterword.errors import ConflictError, InvalidRequestError, NotFoundError, TooLargeError
from afterword.limits import Limits, Rules
from afterword.runtime.dynamodb import (
    ConditionFailed,
    Item,
    Put,
    Table,
    TransactionCanceledError,
    Value,
    absent,
    begins_with,
    equals,
    exists,
    millis,
    number,
    text,
    time_of,
)
from afterword.tenants import NAME_RULE, FlowVersion, StoredFlow, Tenant, is_name, keys
from afterword.tenants.keys import ApiKey, Scope

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

_READS = "reads_per_minute"
MAX_FLOW_BYTES = 350_000
"""Bytes of a flow's document; an item of DynamoDB has at most 400 KB."""


class Registry:
    """Tenants, their API keys and their flows."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str) -> None:
        self._table = Table(dynamodb, table)

    def create_tenant(self, tenant_id: str, name: str) -> Tenant:
        """Create a tenant; raise ConflictError for the id of another."""
        if not is_name(tenant_id):
            raise InvalidRequestError(f"id: must be {NAME_RULE}, not {tenant_id!r}.")
        tenant = Tenant(tenant_id, name, clock.now())
        item = {
            **_tenant_key(tenant_id),
            "name": text(name),
            "created_at": millis(tenant.created_at),
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

    def set_limits(self, tenant_id: str, limits: Limits) -> None:
        """Set a tenant's limits; caches keep the old ones for up to 60 s.

        Each key repeats the limit of reads. A call that fails midway may be repeated.
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
                sets={_READS: sets[_READS]} if _READS in sets else {},
                removes=[] if _READS in sets else [_READS],
                condition=exists("pk"),
            )

    def create_key(
        self, tenant_id: str, scopes: Iterable[Scope], label: str = "", flow: str | None = None
    ) -> tuple[ApiKey, str]:
        """Create a key for an existing tenant; return it and the key string, never seen again.

        With a `flow`, which must exist, the key is bound to that flow.
        """
        reads_per_minute = _parse_limits(self._read_tenant(tenant_id)).reads_per_minute
        if flow is not None:
            self.get_flow(tenant_id, flow)
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
            reads_per_minute=reads_per_minute,
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
        if reads_per_minute is not None:
            item[_READS] = number(reads_per_minute)
        self._table.transact([Put(item), Put(_key(f"tenant#{tenant_id}", f"key#{api_key.id}"))])
        return api_key, key_string

    def get_key(self, key_id: str) -> ApiKey | None:
        """Return a key by its id, live or revoked; None for an unknown id."""
        item = self._table.get(_key(f"key#{key_id}", "key"))
        if item is None:
            return None
        return ApiKey(
            id=key_id,
            tenant=item["tenant"]["S"],
            hash=item["hash"]["S"],
            scopes=frozenset(Scope(scope) for scope in item["scopes"]["SS"]),
            label=item["label"]["S"],
            created_at=time_of(item, "created_at"),
            revoked_at=time_of(item, "revoked_at") if "revoked_at" in item else None,
            flow=item["flow"]["S"] if "flow" in item else None,
            reads_per_minute=_parse_limits(item).reads_per_minute,
        )

    def list_keys(self, tenant_id: str) -> list[ApiKey]:
        """Return a tenant's keys, live and revoked, oldest first."""
        ids = self._list_key_ids(tenant_id)
        api_keys = [key for key_id in ids if (key := self.get_key(key_id)) is not None]
        return sorted(api_keys, key=lambda key: key.created_at)

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
        another save of the flow at the same time.
        """
        self.get_tenant(tenant_id)
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
        try:
            self._table.transact([Put(new_version, absent("pk")), Put(newest_of_all)])
        except TransactionCanceledError as error:
            raise ConflictError(f"Another request saved flow {flow_id}: try again.") from error
        return flow

    def get_flow(self, tenant_id: str, flow_id: str, version: int | None = None) -> StoredFlow:
        """Return a version of a tenant's flow, the newest by default; raise NotFoundError."""
        sort_key = f"flow#{flow_id}" if version is None else f"version#{flow_id}#{version}"
        if not is_name(flow_id):  # any text of a client's path, which no message repeats
            raise NotFoundError("There is no such flow.")
        item = self._table.get(_key(f"tenant#{tenant_id}", sort_key))
        if item is None:
            raise NotFoundError(f"There is no flow {flow_id}.")
        return _parse_flow(item)

    def list_flows(self, tenant_id: str) -> list[StoredFlow]:
        """Return the newest version of each of a tenant's flows, by id."""
        return [_parse_flow(item) for item in self._query(tenant_id, "flow#")]

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

    def _list_key_ids(self, tenant_id: str) -> list[str]:
        return [item["sk"]["S"].removeprefix("key#") for item in self._query(tenant_id, "key#")]

    def _query(self, tenant_id: str, prefix: str, names: Collection[str] = ()) -> list[Item]:
        """Return a tenant's items with a prefix; with `names`, those attributes alone."""
        condition = equals("pk", text(f"tenant#{tenant_id}")) & begins_with("sk", prefix)
        pages = self._table.pages(condition, attributes=names)
        return [item for page in pages for item in page.items]


def _require_tenant(tenant_id: str, outcome: Item | ConditionFailed) -> None:
    if isinstance(outcome, ConditionFailed):
        raise NotFoundError(f"There is no tenant {tenant_id}.")


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
