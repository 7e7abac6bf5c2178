"""Lists of a tenant's generations, by the indexes of their table.

An index has only keys, so that a page costs the same however many generations there are. Indexes
are eventually consistent: a list may miss the newest generations for a moment.
"""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import batched, chain, islice
from typing import TYPE_CHECKING

from afterword import clock
from afterword.errors import NotFoundError
from afterword.generations import Generation, Status, is_id, items
from afterword.generations.details import GenerationDetail, GenerationFilter
from afterword.generations.ends import DeadLetter, Outcome
from afterword.generations.items import END_SHARDS, READERS, Items, is_there
from afterword.generations.requests import BATCH, Requests
from afterword.runtime import telemetry
from afterword.runtime.dynamodb import (
    IndexMissingError,
    Item,
    Table,
    at_most,
    begins_with,
    below,
    between,
    equals,
    text,
)
from afterword.runtime.pages import Page

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

    from afterword.runtime.payloads import Payloads

PAGE_CHARACTERS = 6_000_000
"""The most text of a page: more fits into neither the memory nor a response."""
SCANNED = 1_000
"""Generations that are read for a page of a filtered list."""
NEWEST = ":"
"""Comes after all orders, which begin with digits."""
MAX_TURNS = 100
"""The newest questions of a conversation that are read: as many as one batch read can have."""


class Listings:
    """Reads many generations at a time, and changes none."""

    def __init__(self, dynamodb: "DynamoDBClient", table: str, payloads: "Payloads") -> None:
        self._table = Table(dynamodb, table)
        self._requests = Requests(self._table)
        self._items = Items(payloads)

    def read_page(
        self, tenant: str, flow: str, limit: int, after: str | None = None
    ) -> Page[GenerationDetail]:
        """Return up to `limit` (at most 100) of a flow's generations, newest first.

        `after` is that of the page before. Takes a query of the index, a batch read of the items,
        and one of the requests that are items of their own. Expired generations are left out. With
        big texts a page ends early.
        """
        listed_before = equals("list_key", text(f"{tenant}#{flow}"))
        if after is not None:
            listed_before &= below("list_order", text(after))
        read = next(self._table.pages(listed_before, index="by_flow", descending=True, limit=limit))
        keys = [item["pk"]["S"] for item in read.items]
        found = self._read_all(keys)
        there = self._join(keys, found)
        listed = _each(self._items.listed, there, _characters)
        after = None
        if len(listed) < len(there):
            after = listed[-1].order
        elif read.last is not None:
            after = read.items[-1]["list_order"]["S"]
        return Page(items=tuple(listed), after=after)

    def search(
        self,
        tenant: str,
        flow: str | None,
        search: GenerationFilter,
        list_flows: Callable[[], Collection[str]],
    ) -> Page[Generation]:
        """Return a page of a tenant's generations, newest first: of a flow, or for None of all.

        A filter by status reads about as many generations as the page needs, by those that it has
        found: twice its limit where half of them fit. After SCANNED generations a page has fewer
        than its limit. Takes a query of an index and a batch read, and more of both for such a
        filter. Expired generations are left out. With big texts a page ends early. Only while the
        index `by_tenant` is in the making, `list_flows` is called, and the list takes a query for
        each flow.
        """
        orders = self._find_orders(tenant, flow, search, list_flows)
        picked: list[Item] = []
        after: str | None = None
        some: list[tuple[str, str]] = []
        read = 0
        while len(picked) < search.limit and read < SCANNED:
            some = list(islice(orders, min(_count_next(search, picked, read), SCANNED - read)))
            read += len(some)
            items_read = self._read_all([pk for _, pk in some])
            for at, pk in some:
                after = at
                item = items_read.get(pk)
                if is_there(item) and _is_wanted(item, flow, search):
                    picked.append(item)
                if len(picked) == search.limit:
                    break
            if not some:
                break
        if (not some or after == some[-1][0]) and next(orders, None) is None:
            after = None
        found = _each(self._items.generation, picked, _characters_shown)
        if len(found) < len(picked):
            after = found[-1].order
        return Page(items=tuple(found), after=after)

    def _find_orders(
        self,
        tenant: str,
        flow: str | None,
        search: GenerationFilter,
        list_flows: Callable[[], Collection[str]],
    ) -> Iterator[tuple[str, str]]:
        """Return orders and keys of a list's generations, newest first."""
        if search.external_ref is not None:
            reference = items.reference_key(tenant, search.external_ref)
            return self._orders("by_reference", "reference", reference, search)
        if flow is not None:
            return self._orders("by_flow", "list_key", f"{tenant}#{flow}", search)
        orders = self._orders("by_tenant", "tenant", tenant, search)
        try:
            return chain(list(islice(orders, 1)), orders)
        except IndexMissingError as error:
            telemetry.logger().warning(
                "listed by flow: the index by_tenant is missing", extra={"why": str(error)}
            )
        return _merged(
            [
                self._orders("by_flow", "list_key", f"{tenant}#{each}", search)
                for each in list_flows()
            ]
        )

    def _orders(
        self, index: str, name: str, value: str, search: GenerationFilter
    ) -> Iterator[tuple[str, str]]:
        """Yield orders and keys of an index under a value, newest first."""
        first = _bound(search.since, "0")
        last = min(_bound(search.before, NEWEST), search.after or NEWEST)
        if first >= last:
            return
        condition = equals(name, text(value)) & between("list_order", text(first), text(last))
        limit = min(BATCH, 2 * search.limit) if search.statuses else search.limit + 1
        for page in self._table.pages(condition, index=index, descending=True, limit=limit):
            for item in page.items:
                order = item["list_order"]["S"]
                if order < last:
                    yield order, item["pk"]["S"]

    def read_conversation(
        self, tenant: str, flow: str, conversation: str, *, until: str, limit: int = MAX_TURNS
    ) -> list[GenerationDetail]:
        """Return the newest questions of a conversation, oldest first, up to the order `until`.

        At most `limit`, and fewer where their texts are too big for a page. Takes a query of the
        index, a consistent batch read of the items, and one of the requests that are items of their
        own. Expired generations are left out.
        """
        keys = self._find_questions(tenant, flow, conversation, until, limit)
        found = self._read_all(keys, consistent=True)
        there = self._join(keys, found)
        return _each(self._items.listed, there, _characters)[::-1]

    def read_conversations(
        self, tenant: str, flow: str, conversations: Sequence[str], limit: int
    ) -> list[list[GenerationDetail]]:
        """Return the newest `limit` questions of each conversation, oldest first.

        The list has the conversations in their order, and ends early with big texts: after the one
        with which they have PAGE_CHARACTERS. Takes a query of the index for each, and a batch read
        for each BATCH of their questions, and of requests that are items of their own.
        """

        def find(conversation: str) -> list[str]:
            return self._find_questions(tenant, flow, conversation, NEWEST, limit)

        with ThreadPoolExecutor(max_workers=READERS) as executor:
            keys = list(executor.map(find, conversations))
        found: dict[str, Item] = {}
        for some in batched(chain.from_iterable(keys), BATCH, strict=False):
            found |= self._read_all(list(some))
        counts = [sum(is_there(found.get(key)) for key in some) for some in keys]
        there = self._join(chain.from_iterable(keys), found)
        return _share_out(_each(self._items.listed, there, _characters), counts)

    def list_questions(self, tenant: str, generation_id: str, flow: str | None) -> list[str]:
        """Return the ids of the questions of a question's conversation, newest first, up to it.

        MAX_TURNS at most; empty for a generation of no conversation. The question may be open.
        Takes a read and a query of the index. Raises NotFoundError if there is no such generation,
        of a flow if one is given.
        """
        key = items.partition_key(tenant, generation_id)
        item = self._table.get({"pk": text(key)}) if is_id(generation_id) else None
        if item is None or not is_there(item) or flow not in {None, item["flow"]["S"]}:
            raise NotFoundError("There is no such generation.")
        conversation = items.read_conversation(item)
        if conversation is None:
            return []
        until = item["list_order"]["S"]
        keys = self._find_questions(tenant, item["flow"]["S"], conversation, until, MAX_TURNS)
        return [key.removeprefix(items.partition_key(tenant, "")) for key in keys]

    def _find_questions(
        self, tenant: str, flow: str, conversation: str, until: str, limit: int
    ) -> list[str]:
        """Return the keys of a conversation's newest questions, newest first."""
        key = items.conversation_key(tenant, flow, conversation)
        condition = equals("conversation", text(key)) & at_most("list_order", text(until))
        read = next(
            self._table.pages(condition, index="by_conversation", descending=True, limit=limit)
        )
        return [item["pk"]["S"] for item in read.items]

    def read_ended(self, hour: "datetime", tenant: str | None = None) -> Iterator[Outcome]:
        """Yield the generations that ended in the hour from `hour` on, of one tenant or of all.

        Takes a query for each of END_SHARDS and each further page. The index may miss the newest
        ends for a moment, and has expired generations until DynamoDB deletes them.
        """
        for shard in range(END_SHARDS):
            condition = equals("ended_in", text(items.end_shard(hour, shard)))
            if tenant is not None:
                condition &= begins_with("list_key", f"{tenant}#")
            for page in self._table.pages(condition, index="by_end"):
                yield from map(items.read_outcome, page.items)

    def list_dead_letters(self, tenant: str) -> Iterator[DeadLetter]:
        """Yield a tenant's dead letters without a retry, newest first, a page at a time."""
        condition = equals("dead_letter_of", text(tenant))
        for page in self._table.pages(condition, index="by_dead_letter", descending=True):
            yield from (items.read_dead_letter(item) for item in page.items if is_there(item))

    def _join(self, keys: Iterable[str], found: Mapping[str, Item]) -> list[Item]:
        """Return the items that are there, in the order of their keys, with their requests."""
        return self._requests.join_all([found[key] for key in keys if is_there(found.get(key))])

    def _read_all(self, keys: list[str], *, consistent: bool = False) -> dict[str, Item]:
        read = self._table.get_all([{"pk": text(key)} for key in keys], consistent=consistent)
        return {item["pk"]["S"]: item for item in read}


def _merged(orders: Sequence[Iterator[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    """Yield the entries of several lists, newest first; their first pages are read in parallel."""
    if len(orders) < 2:  # noqa: PLR2004 - nothing to merge
        return iter(chain(*orders))
    with ThreadPoolExecutor(max_workers=READERS) as executor:
        heads = list(executor.map(lambda each: list(islice(each, 1)), orders))
    lists = [chain(head, rest) for head, rest in zip(heads, orders, strict=True)]
    return heapq.merge(*lists, reverse=True)


def _bound(moment: "datetime | None", otherwise: str) -> str:
    """Return the prefix of the orders of a moment: its milliseconds in thirteen digits."""
    if moment is None:
        return otherwise
    return f"{min(max(clock.to_millis(moment), 0), 10**13 - 1):013d}"


def _count_next(search: GenerationFilter, picked: Sequence[Item], read: int) -> int:
    """Return the number of generations to read next for a page, by those that it has picked."""
    missing = search.limit - len(picked)
    if read == 0:
        return missing
    return BATCH if not picked else min(BATCH, missing * -(-read // len(picked)))


def _is_wanted(item: Item, flow: str | None, search: GenerationFilter) -> bool:
    return flow in {None, item["flow"]["S"]} and (
        not search.statuses or Status.stored(item["status"]["S"]) in search.statuses
    )


def _each[T](
    read: Callable[[Item], T], found: Sequence[Item], characters: Callable[[T], int]
) -> list[T]:
    """Read items, with payloads in parallel, until a page has too many characters."""
    if not any(_in_bucket(item) for item in found):
        return [read(item) for item in found]
    done: list[T] = []
    so_many = 0
    with ThreadPoolExecutor(max_workers=READERS) as executor:
        for some in batched(found, READERS, strict=False):
            new = list(executor.map(read, some))
            done += new
            so_many += sum(characters(each) for each in new)
            if so_many > PAGE_CHARACTERS:
                break
    return done


def _share_out(
    read: Sequence[GenerationDetail], counts: Sequence[int]
) -> list[list[GenerationDetail]]:
    """Return the first conversations, by the counts of their questions, that were read whole.

    The first one is there in any case.
    """
    shared: list[list[GenerationDetail]] = []
    at = so_many = 0
    for count in counts:
        if shared and (at + count > len(read) or so_many > PAGE_CHARACTERS):
            break
        questions = read[at : at + count]
        shared.append(list(reversed(questions)))
        so_many += sum(map(_characters, questions))
        at += count
    return shared


def _in_bucket(item: Item) -> bool:
    return any(f"{name}_key" in item for name in ("request", "external", "text"))


def _characters(listed: GenerationDetail) -> int:
    inputs = sum(
        len(value) if isinstance(value, str) else sum(map(len, value))
        for value in listed.inputs.values()
    )
    return inputs + _characters_shown(listed.generation)


def _characters_shown(generation: Generation) -> int:
    text = "" if generation.completion is None else generation.completion.text
    return len(text) + sum(map(len, generation.external.values()))
