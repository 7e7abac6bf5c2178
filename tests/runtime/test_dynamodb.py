"""A table of DynamoDB: conditional writes, reads that finish, pages and transactions."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from afterword.errors import UnavailableError
from afterword.runtime import dynamodb
from afterword.runtime.clients import clients
from afterword.runtime.dynamodb import (
    Condition,
    ConditionFailed,
    Delete,
    IndexMissingError,
    Item,
    Placeholders,
    Put,
    Table,
    TransactionCanceledError,
    Update,
    above,
    absent,
    at_least,
    at_most,
    begins_with,
    below,
    between,
    contains,
    differs,
    equals,
    exists,
    fewer,
    number,
    text,
)
from tests.conftest import Call
from tests.harness.deployment import REFERENCES

NAME = "things"
ID = "019a6f3e-7c00-7000-8000-000000000001"
KEY: Item = {"pk": text("demo"), "sk": text("a")}
ABSENT: Item = {"pk": text("demo"), "sk": text("none")}
THING: Item = {
    **KEY,
    "status": text("queued"),
    "name": text("first"),
    "attempt": number(2),
    "open": {"M": {ID: text("1-ab")}},
    "tags": {"SS": ["x", "y"]},
}


@pytest.fixture
def table(aws: None) -> Table:  # noqa: ARG001 - asked for its effect
    """Return a table that has THING."""
    clients().dynamodb.create_table(
        TableName=NAME,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "status")
        ],
        KeySchema=[
            {"AttributeName": "pk", "KeyType": "HASH"},
            {"AttributeName": "sk", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_status",
                "KeySchema": [
                    {"AttributeName": "status", "KeyType": "HASH"},
                    {"AttributeName": "sk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
    )
    table = Table(clients().dynamodb, NAME)
    assert table.put(THING) is None
    return table


def rendered(condition: Condition) -> str:
    """Return the expression of a condition."""
    return condition.render(Placeholders())


# --- updates --------------------------------------------------------------------------------------


def test_attributes_are_set_added_to_and_removed_in_one_update(table: Table) -> None:
    """One update does all that it is asked for, and returns the item as it is then."""
    outcome = table.update(
        KEY,
        sets={"status": text("running"), "reference": text("case-1")},
        defaults={"name": text("second"), "label": text("new")},
        adds={"attempt": 1, "tokens": 7},
        removes=["tags"],
        returns_item=True,
    )
    expected = {
        **KEY,
        "status": text("running"),
        "reference": text("case-1"),
        "name": text("first"),
        "label": text("new"),
        "attempt": number(3),
        "tokens": number(7),
        "open": THING["open"],
    }
    assert outcome == table.get(KEY) == expected


def test_every_attribute_of_an_update_stands_by_placeholder(
    table: Table, calls: list[Call]
) -> None:
    """No name of an attribute and no value is a part of an expression itself."""
    table.update(
        KEY,
        sets={"status": text("running"), f"open.{ID}": text("2-cd")},
        defaults={"name": text("second")},
        adds={"attempt": 1},
        removes=["tags"],
        condition=exists("reference") | fewer("open", 3),
    )
    (call,) = calls
    assert call.params == {
        "TableName": NAME,
        "Key": KEY,
        "UpdateExpression": "SET #status = :0, #open.#2 = :1, #name = if_not_exists(#name, :2)"
        " REMOVE #tags ADD #attempt :3",
        "ConditionExpression": "attribute_exists(#reference) OR size(#open) < :4",
        "ExpressionAttributeNames": {
            "#2": ID,
            **{f"#{name}": name for name in ("status", "open", "name", "tags", "attempt")},
            "#reference": "reference",
        },
        "ExpressionAttributeValues": {
            ":0": text("running"),
            ":1": text("2-cd"),
            ":2": text("second"),
            ":3": number(1),
            ":4": number(3),
        },
        "ReturnValues": "NONE",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def test_an_entry_of_a_map_is_set_and_removed_by_its_path(table: Table) -> None:
    """A path leads into a map, by an id that is no name for an expression."""
    other = "019a6f3e-7c00-7000-8000-000000000002"
    table.update(KEY, sets={f"open.{other}": text("2-cd")}, condition=absent(f"open.{other}"))
    entries = {ID: text("1-ab"), other: text("2-cd")}
    assert table.get(KEY) == {**THING, "open": {"M": entries}}
    table.update(KEY, removes=[f"open.{ID}"], condition=equals(f"open.{ID}", text("1-ab")))
    assert table.get(KEY) == {**THING, "open": {"M": {other: text("2-cd")}}}


def test_an_update_makes_an_item(table: Table) -> None:
    """An update without a condition makes an item that does not exist."""
    assert table.update(ABSENT, adds={"attempt": 1}) == {}
    assert table.get(ABSENT) == {**ABSENT, "attempt": number(1)}


@pytest.mark.parametrize("nothing", ["sets", "defaults", "adds", "removes"])
def test_a_clause_may_be_empty(table: Table, nothing: str) -> None:
    """An update leaves the clauses out that have nothing to change."""
    changes: dict[str, Any] = {
        "sets": {"status": text("running")},
        "defaults": {"label": text("new")},
        "adds": {"attempt": 1},
        "removes": ["tags"],
    }
    empty: Any = () if nothing == "removes" else {}
    outcome = table.update(KEY, **{**changes, nothing: empty}, returns_item=True)
    assert not isinstance(outcome, ConditionFailed)
    assert (outcome["status"] == text("queued")) is (nothing == "sets")
    assert ("label" not in outcome) is (nothing == "defaults")
    assert (outcome["attempt"] == number(2)) is (nothing == "adds")
    assert ("tags" in outcome) is (nothing == "removes")


def test_a_failed_condition_has_the_item_as_it_stands(table: Table) -> None:
    """An update whose condition fails changes nothing, and tells how the item stands."""
    outcome = table.update(
        KEY, sets={"status": text("running")}, condition=equals("status", text("done"))
    )
    assert outcome == ConditionFailed(THING)
    assert table.get(KEY) == THING


def test_an_update_that_botocore_repeats_is_known_by_what_it_sent(
    table: Table, lose_answer: Callable[[str], None]
) -> None:
    """After a lost answer, the item with an update's own value is that update's outcome."""
    mine, other = {"claim": dynamodb.unique()}, {"claim": dynamodb.unique()}
    lose_answer("dynamodb.UpdateItem")
    assert table.update(KEY, sets=mine, condition=absent("claim"), own=mine) == {**THING, **mine}
    refused = ConditionFailed({**THING, **mine})
    assert table.update(KEY, sets=other, condition=absent("claim"), own=other) == refused


WRITES = (
    ("PutItem", lambda table: table.put(THING)),
    ("UpdateItem", lambda table: table.update(KEY, adds={"attempt": 1})),
    ("DeleteItem", lambda table: table.delete(KEY)),
)


@pytest.fixture
def conflict() -> Callable[[str, int], list[int]]:
    """Return a function that has DynamoDB refuse some writes, as while a transaction runs."""

    def refuse(operation: str, times: int) -> list[int]:
        met: list[int] = []

        def hook(**_: object) -> object:
            met.append(1)
            error = {"Code": "TransactionConflictException", "Message": "Ongoing transaction"}
            answer = SimpleNamespace(status_code=400, headers={}), {"Error": error}
            return answer if len(met) <= times else None

        events: Any = clients().dynamodb.meta.events
        events.register(f"before-call.dynamodb.{operation}", hook)
        return met

    return refuse


@pytest.mark.parametrize(("operation", "write"), WRITES)
def test_a_write_waits_for_the_transaction_in_its_way(
    table: Table,
    waits: list[float],
    conflict: Callable[[str, int], list[int]],
    operation: str,
    write: Callable[[Table], object],
) -> None:
    """A write that DynamoDB refuses during a transaction is repeated after a random wait."""
    met = conflict(operation, len(dynamodb.WRITE_WAITS))
    write(table)
    assert len(met) - 1 == len(waits) == len(dynamodb.WRITE_WAITS)
    assert all(0 <= wait <= most for wait, most in zip(waits, dynamodb.WRITE_WAITS, strict=True))


@pytest.mark.parametrize(("operation", "write"), WRITES)
def test_a_write_does_not_wait_for_transactions_forever(
    table: Table,
    waits: list[float],
    conflict: Callable[[str, int], list[int]],
    operation: str,
    write: Callable[[Table], object],
) -> None:
    """After a bounded number of such refusals a write fails, and changes nothing."""
    met = conflict(operation, 99)
    with pytest.raises(ClientError, match="TransactionConflictException"):
        write(table)
    assert len(met) - 1 == len(waits) == len(dynamodb.WRITE_WAITS)
    assert table.get(KEY) == THING


def test_a_failed_condition_of_no_item_has_none(table: Table) -> None:
    """An update whose condition asks for an item makes none."""
    outcome = table.update(ABSENT, sets={"status": text("running")}, condition=exists("pk"))
    assert outcome == ConditionFailed(None)
    assert table.get(ABSENT) is None


@pytest.mark.parametrize(
    "write",
    [
        lambda table: table.put(THING, absent("pk")),
        lambda table: table.update(KEY, adds={"attempt": 1}, condition=absent("pk")),
        lambda table: table.transact([Put(THING, absent("pk"))]),
    ],
)
def test_any_other_error_is_raised(write: Callable[[Table], object], table: Table) -> None:
    """An error of DynamoDB is not taken for a condition that failed."""
    clients().dynamodb.delete_table(TableName=NAME)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        write(table)


# --- puts and deletes -----------------------------------------------------------------------------


def test_an_item_replaces_an_older_one(table: Table) -> None:
    """A put leaves nothing of the item before."""
    assert table.put({**KEY, "name": text("second")}) is None
    assert table.get(KEY) == {**KEY, "name": text("second")}


def test_a_put_fails_on_its_condition(table: Table) -> None:
    """A put whose condition fails changes nothing, and tells how the item stands."""
    assert table.put({**KEY, "name": text("second")}, absent("pk")) == ConditionFailed(THING)
    assert table.put(ABSENT, exists("pk")) == ConditionFailed(None)
    assert (table.get(KEY), table.get(ABSENT)) == (THING, None)


def test_a_deleted_item_is_returned_as_it_was(table: Table) -> None:
    """A delete returns its item once, and None after that."""
    assert table.delete(KEY) == THING
    assert table.delete(KEY) is None
    assert table.get(KEY) is None


# --- conditions -----------------------------------------------------------------------------------

CONDITIONS = [
    (exists("status"), True),
    (exists("label"), False),
    (absent("label"), True),
    (absent("status"), False),
    (equals("status", text("queued")), True),
    (equals("status", text("running")), False),
    (differs("name", text("second")), True),
    (differs("name", text("first")), False),
    (below("attempt", number(3)), True),
    (below("attempt", number(2)), False),
    (at_most("attempt", number(2)), True),
    (at_most("attempt", number(1)), False),
    (above("attempt", number(1)), True),
    (above("attempt", number(2)), False),
    (at_least("attempt", number(2)), True),
    (at_least("attempt", number(3)), False),
    (between("attempt", number(2), number(2)), True),
    (between("attempt", number(3), number(4)), False),
    (begins_with("name", "fir"), True),
    (begins_with("name", "irst"), False),
    (contains("tags", text("y")), True),
    (contains("tags", text("z")), False),
    (fewer("open", 2), True),
    (fewer("open", 1), False),
]


@pytest.mark.parametrize(
    ("condition", "holds"), CONDITIONS, ids=[rendered(each) for each, _ in CONDITIONS]
)
def test_a_condition_holds_where_it_should(
    table: Table,
    condition: Condition,
    holds: bool,  # noqa: FBT001 - a case
) -> None:
    """Each comparison lets a write through exactly where it holds."""
    outcome = table.update(KEY, adds={"made": 1}, condition=condition)
    assert isinstance(outcome, ConditionFailed) is not holds


YES, NO = exists("status"), exists("label")


@pytest.mark.parametrize(
    ("condition", "expression", "holds"),
    [
        (YES & YES, "{yes} AND {yes}", True),
        (YES & NO, "{yes} AND {no}", False),
        (NO | YES, "{no} OR {yes}", True),
        (NO | NO | NO, "{no} OR {no} OR {no}", False),
        ((YES | YES) & NO, "({yes} OR {yes}) AND {no}", False),
        (NO & (YES | YES), "{no} AND ({yes} OR {yes})", False),
        (YES | YES & NO, "{yes} OR {yes} AND {no}", True),
        (NO & YES | YES, "{no} AND {yes} OR {yes}", True),
        ((NO | YES) & (YES | NO) & YES, "({no} OR {yes}) AND ({yes} OR {no}) AND {yes}", True),
    ],
)
def test_conditions_are_joined(
    table: Table,
    condition: Condition,
    expression: str,
    holds: bool,  # noqa: FBT001 - a case
) -> None:
    """Conditions join as in Python, with the parentheses that it takes and no others."""
    yes, no = "attribute_exists(#status)", "attribute_exists(#label)"
    assert rendered(condition) == expression.format(yes=yes, no=no)
    outcome = table.update(KEY, adds={"made": 1}, condition=condition)
    assert isinstance(outcome, ConditionFailed) is not holds


# --- reads ----------------------------------------------------------------------------------------


def test_an_item_is_read_consistently(table: Table, calls: list[Call]) -> None:
    """An item just written is found by its key; an absent one is None."""
    assert (table.get(KEY), table.get(ABSENT)) == (THING, None)
    assert [call.params["ConsistentRead"] for call in calls] == [True, True]


@pytest.mark.parametrize("consistent", [True, False])
def test_many_items_are_read_in_one_call(
    table: Table,
    calls: list[Call],
    consistent: bool,  # noqa: FBT001 - a case
) -> None:
    """Items are read by their keys, without those that do not exist."""
    assert table.get_all([KEY, ABSENT], consistent=consistent) == [THING]
    (call,) = calls
    assert call.params == {
        "RequestItems": {NAME: {"Keys": [KEY, ABSENT], "ConsistentRead": consistent}}
    }


def test_no_keys_take_no_call(table: Table, calls: list[Call]) -> None:
    """DynamoDB refuses a batch read without a key: none is made."""
    assert table.get_all([]) == []
    assert calls == []


@pytest.fixture
def unread(table: Table, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Item]]:
    """Return a list of the keys that each of the next batch reads leaves unread."""
    assert table.get(KEY)
    left: list[Sequence[Item]] = []
    read = clients().dynamodb.batch_get_item

    def answer(**request: Any) -> Any:  # noqa: ANN401 - botocore's own
        asked = request["RequestItems"][NAME]
        unread = left.pop(0) if left else ()
        some: Any = {**asked, "Keys": [key for key in asked["Keys"] if key not in unread]}
        found = read(RequestItems={NAME: some})["Responses"] if some["Keys"] else {}
        rest = {NAME: {**asked, "Keys": list(unread)}} if unread else {}
        return {"Responses": found, "UnprocessedKeys": rest}

    monkeypatch.setattr(clients().dynamodb, "batch_get_item", answer)
    return left


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Wait for nothing, and note for how long it would have been."""
    waits: list[float] = []
    monkeypatch.setattr("afterword.runtime.dynamodb.time.sleep", waits.append)
    return waits


def test_keys_that_are_left_unread_are_read_again(
    table: Table, unread: list[Sequence[Item]], waits: list[float]
) -> None:
    """A batch read goes on with the keys that DynamoDB had no time for, and only with those."""
    other = {**KEY, "sk": text("b")}
    table.put(other)
    unread += [[KEY], [KEY], [KEY]]
    assert table.get_all([KEY, other, ABSENT]) == [other, THING]
    assert waits == list(dynamodb.BATCH_WAITS[:4])


def test_a_batch_read_ends(table: Table, unread: list[Sequence[Item]], waits: list[float]) -> None:
    """A batch read that DynamoDB never finishes is an error, not a part of the items."""
    unread += [[KEY]] * len(dynamodb.BATCH_WAITS)
    with pytest.raises(UnavailableError):
        table.get_all([KEY, ABSENT])
    assert waits == list(dynamodb.BATCH_WAITS)


def test_the_last_try_of_a_batch_read_counts(
    table: Table, unread: list[Sequence[Item]], waits: list[float]
) -> None:
    """Keys that only the last try reads are read in time."""
    unread += [[KEY]] * (len(dynamodb.BATCH_WAITS) - 1)
    assert table.get_all([KEY]) == [THING]
    assert len(waits) == len(dynamodb.BATCH_WAITS)


def test_one_batch_read_tells_what_it_leaves_unread(
    table: Table, unread: list[Sequence[Item]], waits: list[float]
) -> None:
    """A caller that does not wait is told which keys were not read, apart from absent ones."""
    unread.append([KEY])
    assert table.get_some([KEY, ABSENT]) == ([], [KEY])
    assert table.get_some([KEY, ABSENT]) == ([THING], [])
    assert waits == []


# --- queries --------------------------------------------------------------------------------------

SORTED = ("a", "b", "c", "d", "e")
DEMO = equals("pk", text("demo"))


@pytest.fixture
def five(table: Table) -> Table:
    """Return a table with five items of one partition, and one of another."""
    for sort_key in SORTED[1:]:
        table.put({**KEY, "sk": text(sort_key), "status": text("done"), "name": text(sort_key)})
    table.put({"pk": text("other"), "sk": text("a"), "status": text("queued")})
    return table


def found(pages: Sequence[dynamodb.QueryPage]) -> list[list[str]]:
    """Return the sort keys of each page."""
    return [[item["sk"]["S"] for item in page.items] for page in pages]


def test_a_query_goes_on_until_its_last_page(five: Table, calls: list[Call]) -> None:
    """All items of a partition are there, in order, though each page has only some."""
    pages = list(five.pages(DEMO, limit=2))
    assert found(pages) == [["a", "b"], ["c", "d"], ["e"]]
    assert [page.last is None for page in pages] == [False, False, True]
    assert [call.params.get("ExclusiveStartKey") for call in calls] == [
        None,
        {**KEY, "sk": text("b")},
        {**KEY, "sk": text("d")},
    ]


def test_a_page_is_read_when_it_is_asked_for(five: Table, calls: list[Call]) -> None:
    """A caller of one page pays for one."""
    assert found([next(five.pages(DEMO, limit=2))]) == [["a", "b"]]
    assert len(calls) == 1


def test_a_query_goes_on_after_a_key(five: Table) -> None:
    """A list goes on after the last key of the page before."""
    first = next(five.pages(DEMO, limit=2, descending=True))
    assert found([first]) == [["e", "d"]]
    assert found(list(five.pages(DEMO, after=first.last, descending=True))) == [["c", "b", "a"]]


def test_an_index_that_is_missing_is_told_from_other_errors(five: Table) -> None:
    """A query of an index in the making has its own error; the table itself has not."""
    with pytest.raises(IndexMissingError):
        next(five.pages(DEMO, index="by_nothing"))
    with pytest.raises(ClientError) as error:
        next(five.pages(equals("sk", text("a"))))
    assert not isinstance(error.value, IndexMissingError)


def test_a_query_is_bounded_by_its_sort_keys(five: Table) -> None:
    """A condition on the sort key leaves the others unread."""
    (page,) = five.pages(DEMO & between("sk", text("b"), text("d")))
    assert (found([page]), page.scanned) == ([["b", "c", "d"]], 3)


def test_what_a_query_leaves_out_is_counted(five: Table) -> None:
    """Items that do not meet the filter are scanned, and not among the items."""
    (page,) = five.pages(DEMO, where=equals("name", text("c")) | equals("name", text("d")))
    assert (found([page]), page.scanned) == ([["c", "d"]], 5)


def test_an_index_is_queried(five: Table) -> None:
    """An index of its own keys is asked by them."""
    done = equals("status", text("done"))
    assert found(list(five.pages(done, index="by_status"))) == [["b", "c", "d", "e"]]
    assert found(list(five.pages(done & above("sk", text("c")), index="by_status"))) == [["d", "e"]]


def test_a_query_returns_only_the_attributes_asked_for(five: Table) -> None:
    """Attributes are picked by name, reserved words among them."""
    (page,) = five.pages(DEMO & equals("sk", text("b")), attributes=("status", "name"))
    assert page.items == [{"status": text("done"), "name": text("b")}]


def test_a_query_is_consistent_where_it_is_to_be(five: Table, calls: list[Call]) -> None:
    """Consistency, which an index does not have, is asked for by its caller."""
    list(chain(five.pages(DEMO, consistent=True), five.pages(DEMO)))
    assert [call.params.get("ConsistentRead") for call in calls] == [True, None]


# --- transactions ---------------------------------------------------------------------------------


def test_a_transaction_does_all_of_its_writes(table: Table, calls: list[Call]) -> None:
    """Puts, updates and deletes of a transaction happen in one call."""
    other, gone = {**KEY, "sk": text("b")}, {**KEY, "sk": text("c")}
    table.put(gone)
    calls.clear()
    table.transact(
        [
            Put({**other, "name": text("new")}, absent("pk")),
            Update(key=KEY, adds={"attempt": 1}, defaults={"name": text("second")}),
            Delete(gone, exists("pk")),
        ]
    )
    assert [call.operation for call in calls] == ["dynamodb.TransactWriteItems"]
    assert table.get(other) == {**other, "name": text("new")}
    assert table.get(KEY) == {**THING, "attempt": number(3)}
    assert table.get(gone) is None


def test_a_transaction_that_fails_does_none_of_its_writes(table: Table) -> None:
    """One failed condition cancels all writes, with a reason for each of them."""
    with pytest.raises(TransactionCanceledError) as canceled:
        table.transact(
            [
                Put(ABSENT),
                Update(key=KEY, adds={"attempt": 1}, condition=equals("status", text("done"))),
            ]
        )
    assert canceled.value.reasons == ["None", "ConditionalCheckFailed"]
    assert (table.get(ABSENT), table.get(KEY)) == (None, THING)


@pytest.mark.parametrize("status", ["queued", "done"])
def test_a_transaction_may_write_to_another_table(table: Table, status: str) -> None:
    """A prepared write of another table happens with the others, or not at all."""
    statistics = Table(clients().dynamodb, REFERENCES["StatisticsTable"])
    counted = statistics.prepare(Update(key=KEY, adds={"count": 1}))
    change = Update(key=KEY, adds={"attempt": 1}, condition=equals("status", text(status)))
    if status == "queued":
        table.transact([change], [counted])
        assert statistics.get(KEY) == {**KEY, "count": number(1)}
    else:
        with pytest.raises(TransactionCanceledError):
            table.transact([change], [counted])
        assert (statistics.get(KEY), table.get(KEY)) == (None, THING)


def test_a_delete_of_a_transaction_has_its_condition(table: Table) -> None:
    """A delete in a transaction happens only while its condition holds."""
    with pytest.raises(TransactionCanceledError):
        table.transact([Delete(KEY, equals("attempt", number(1)))])
    assert table.get(KEY) == THING


@pytest.fixture
def unwritten(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list of how many items each of the next batch writes leaves unwritten."""
    left: list[int] = []
    write = clients().dynamodb.batch_write_item

    def answer(RequestItems: Mapping[str, Sequence[Any]]) -> Any:  # noqa: ANN401, N803 - botocore's
        asked = RequestItems[NAME]
        rest = asked[: left.pop(0) if left else 0]
        if done := asked[len(rest) :]:
            write(RequestItems={NAME: done})
        return {"UnprocessedItems": {NAME: rest} if rest else {}}

    monkeypatch.setattr(clients().dynamodb, "batch_write_item", answer)
    return left


def test_a_batch_write_takes_one_call(table: Table, calls: list[Call]) -> None:
    """Many items are written at once, over older ones too; without any there is no call."""
    things = [{**KEY, "sk": text(f"{number:02}")} for number in range(25)]
    table.put_all([])
    table.put_all([*things])
    assert [call.operation for call in calls] == ["dynamodb.BatchWriteItem"]
    assert table.get_all(things) == things


def test_items_that_are_left_unwritten_are_written_again(
    table: Table, unwritten: list[int], waits: list[float]
) -> None:
    """A batch write goes on with the items that DynamoDB had no time for, and only with those."""
    things = [{**KEY, "sk": text(name)} for name in "bcd"]
    unwritten += [2, 1]
    table.put_all(things)
    assert table.get_some(things)[0] == things
    assert waits == list(dynamodb.BATCH_WAITS[:3])


def test_a_batch_write_ends(table: Table, unwritten: list[int], waits: list[float]) -> None:
    """A batch write that DynamoDB never finishes is an error."""
    unwritten += [1] * len(dynamodb.BATCH_WAITS)
    with pytest.raises(UnavailableError):
        table.put_all([THING, {**KEY, "sk": text("b")}])
    assert waits == list(dynamodb.BATCH_WAITS)
