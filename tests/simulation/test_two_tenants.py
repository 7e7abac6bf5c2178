"""Two tenants who do whatever they like, with flows of the same id; one of them has limits.

The machine calls the real handlers over moto, in any order that Hypothesis thinks of. Messages are
delivered late, twice or never, workers are lost and come back, time passes in the middle of it.
Beside them the machine keeps the state that must have come of it all, and compares after each step.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, uuid5

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from afterword import clock, generations
from afterword.engine.attempts import EARLY_SECONDS
from afterword.errors import ConflictError, NotFoundError
from afterword.generations import Completion, Reason, Status, items, store
from afterword.generations.claims import Claim
from afterword.limits import LimitedError, Limits
from afterword.models import (
    ModelRefusedError,
    ModelTimedOutError,
    ModelUnavailableError,
    Prompt,
    provider,
)
from afterword.runtime.clients import clients
from afterword.runtime.queue import MAX_DELAY_SECONDS
from afterword.services import services
from afterword.tenants.keys import Scope
from tests.conftest import (
    FLOW,
    FLOW_DOCUMENT,
    Event,
    LambdaContext,
    SetClock,
    fresh_aws,
)
from tests.harness.api import invoke
from tests.harness.deployment import REFERENCES
from tests.harness.fake_model import FakeModel, completion
from tests.simulation.two_tenants_runs import SEEDS, check_machine

LIMITED, FREE = "demo", "other"
LIMITS = Limits(requests_per_minute=4, running_at_once=3, tokens_per_month=500)
ABSENT = "019a6f3e-7c00-7000-8000-00000000dead"
LATE_IN_THE_MONTH = timedelta(days=20, hours=9)
FAILURES = 3
"""Calls of the model that one generation may waste."""
ROUNDS = 12
"""So many hours, each with a sweeper and workers that live, bring everything to its end."""
WRITTEN_AFTER_THE_END = frozenset(
    {"due_at", "due_shard", "look_id", "dead_letter_of", "retried_as"}
)
"""Attributes that may change after a generation's end, for those who have yet to look at it."""
SHOWN = {"queued": "started", "running": "started", "succeeded": "completed"}

type Item = Mapping[str, Any]
type Record = Mapping[str, Any]
type Result = Mapping[str, Any]


def model_call(answer: str) -> Completion:
    """Return the model's answer, or raise its error."""
    match answer:
        case "throttles":
            raise ModelUnavailableError("Busy.")
        case "throttles for an hour":
            raise ModelUnavailableError("Busy.", retry_after=3_600)
        case "throttles for a day":
            raise ModelUnavailableError("Busy.", retry_after=86_400)
        case "times out":
            raise ModelTimedOutError("Slow.")
        case "refuses":
            raise ModelRefusedError(Reason.REFUSED_CONTENT, "No.")
        case "breaks":
            raise RuntimeError("a bug")
        case "says nothing":
            return completion(" ")
        case _:
            return completion("Dear customer,")


ANSWERS = (
    "answers", "answers", "throttles", "throttles for an hour", "throttles for a day", "times out",
    "refuses", "breaks", "says nothing",
)  # fmt: skip
MEANWHILE = ("nothing", "nothing", "nothing", "canceled", "overtaken")
TENANTS = st.sampled_from([LIMITED, LIMITED, FREE])
NO_ANSWERS = st.sampled_from(
    ["times out", "times out", "breaks", "throttles", "throttles for an hour"]
)
PAUSES = st.sampled_from([{"minutes": 6}, {"minutes": 6}, {"milliseconds": 1}])
ONE_OF_MANY = st.integers(min_value=0, max_value=10_000)
REQUESTS = st.tuples(
    st.sampled_from(["claim", "claim", "refund"]), st.sampled_from([None, None, "60", "21600"])
)
"""The subject of a mail, and its Afterword-Deadline."""


@dataclass
class Known:
    """A generation that was accepted, as far as the machine knows of it.

    `wasted` are the calls of the model that ended without an answer through no fault of the
    model's load. `seen` is its item at the last look, `read` the answer once it had ended.
    """

    tenant: str
    id: str
    request: tuple[str, str | None]
    accepted_at: datetime
    wasted: int = 0
    seen: Item = field(default_factory=dict)
    read: Result | None = None


class TwoTenants(RuleBasedStateMachine):
    """The actions of two tenants, Lambda, SQS and the clock, and the rules that always hold."""

    samples: ClassVar[Mapping[str, Event]]

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        patch = self._stack.enter_context(pytest.MonkeyPatch.context())
        self._stack.enter_context(fresh_aws(patch))
        self._clock = SetClock()
        self._clock.moment += LATE_IN_THE_MONTH
        patch.setattr(clock, "now", self._clock)
        self._answer, self._meanwhile = "answers", "nothing"
        self._working: list[Record] = []
        patch.setattr(provider, "build_model", lambda *_: FakeModel(self._ask))
        self._known: dict[str, Known] = {}
        self._by_key: dict[tuple[str, str], str] = {}
        self._claims: list[Claim] = []
        self._messages: list[Record] = []
        self._end_messages: list[Record] = []
        self._done: set[str] = set()
        self._published: dict[str, Mapping[str, Any]] = {}
        self._keys: dict[str, str] = {}
        registry = services().registry
        for tenant in (LIMITED, FREE):
            registry.create_tenant(tenant, f"{tenant} Ltd")
            registry.put_flow(tenant, FLOW, FLOW_DOCUMENT)
            self._keys[tenant] = registry.create_key(tenant, [Scope.SUBMIT, Scope.READ])[1]
        registry.set_limits(LIMITED, LIMITS)
        self._note_claims(patch)
        clients().events.meta.events.register("before-parameter-build", self._note_published)
        clients().sqs.meta.events.register("before-parameter-build", self._leave_delay_out)

    def teardown(self) -> None:
        """Leave no AWS behind."""
        self._stack.close()

    # --- what happens ---------------------------------------------------------------------------

    @rule(tenant=TENANTS, key=st.sampled_from([None, "case-1", "case-2"]), request=REQUESTS)
    def submit(self, tenant: str, key: str | None, request: tuple[str, str | None]) -> None:
        """Send a mail as a tenant, with a key that it or the other may have used before."""
        there = self._known.get(self._by_key.get((tenant, key or ""), ""))
        expected = self._expected(tenant, there, request)
        result = invoke("submit_mail_generation", self._submission(tenant, key, request))
        sent = self._receive()
        assert result["statusCode"] == expected
        if expected != 200:
            assert sent == []
            assert (expected == 429) == ("retry-after" in result["headers"])
            return
        generation_id = json.loads(result["body"])["process_cuid"]
        if there is None:
            assert generation_id not in self._known
            self._accepted(tenant, generation_id, request)
            if key is not None:
                self._by_key[tenant, key] = generation_id
        else:
            assert generation_id == there.id
        queued = there is None or there.seen["status"]["S"] == Status.QUEUED
        assert sent == ([(tenant, generation_id)] if queued else [])

    @precondition(lambda self: self._known)
    @rule(tenant=TENANTS, which=ONE_OF_MANY)
    def read(self, tenant: str, which: int) -> None:
        """Read a generation as a tenant: its own, or one whose id it should not know."""
        known = self._one(which)
        result = invoke("get_mail_generation", self._reading(tenant, tenant, known.id))
        if known.tenant != tenant:
            assert result == invoke("get_mail_generation", self._reading(tenant, tenant, ABSENT))
            theirs = invoke("get_mail_generation", self._reading(tenant, known.tenant, known.id))
            assert theirs == invoke("get_mail_generation", self._reading(tenant, "nobody", ABSENT))
            assert (result["statusCode"], theirs["statusCode"]) == (404, 404)
            return
        shown = json.loads(result["body"])
        status = known.seen["status"]["S"]
        assert (result["statusCode"], shown["status"]) == (200, SHOWN.get(status, "failed"))
        assert shown["response"] == (known.seen["text"]["S"] if "text" in known.seen else None)
        if Status(status).terminal:
            assert known.read is None or known.read == result
            known.read = result

    @precondition(lambda self: self._messages)
    @rule(
        which=ONE_OF_MANY,
        answer=st.sampled_from(ANSWERS),
        meanwhile=st.sampled_from(MEANWHILE),
    )
    def work(self, which: int, answer: str, meanwhile: str) -> None:
        """Give a worker a message: a new one, or one that it or another had before."""
        self._work(self._messages[which % len(self._messages)], answer, meanwhile)

    @precondition(lambda self: self._messages)
    @rule(which=ONE_OF_MANY, tries=st.lists(st.tuples(NO_ANSWERS, PAUSES), min_size=2, max_size=6))
    def work_in_vain(self, which: int, tries: list[tuple[str, Mapping[str, float]]]) -> None:
        """Give a message to one worker after the other, none of whom gets an answer."""
        record = self._messages[which % len(self._messages)]
        for answer, pause in tries:
            self._work(record, answer, "nothing")
            self._clock.advance(**pause)

    @precondition(lambda self: self._known)
    @rule(which=ONE_OF_MANY)
    def work_for_the_wrong_tenant(self, which: int) -> None:
        """Give a worker a message with a generation that its tenant does not have."""
        known = self._one(which)
        wrong = FREE if known.tenant == LIMITED else LIMITED
        self._answer, self._meanwhile = "answers", "nothing"
        assert not self._run_worker(_record(wrong, known.id))

    @precondition(lambda self: self._claims)
    @rule(which=ONE_OF_MANY, succeeds=st.booleans())
    def finish_late(self, which: int, *, succeeds: bool) -> None:
        """Write what came of an attempt, as a worker that was thought lost or is only slow."""
        claim = self._claims[which % len(self._claims)]
        before = self._item(claim.tenant, claim.id)
        holds = before["status"]["S"] == Status.RUNNING and int(before["attempt"]["N"]) == (
            claim.attempt
        )
        outbox = services().outbox
        stored = (
            outbox.succeed(claim, completion(f"late, of attempt {claim.attempt}"))
            if succeeds
            else outbox.fail(claim, Reason.TIMED_OUT, "Slow.")
        )
        assert stored == holds
        assert holds or self._item(claim.tenant, claim.id) == before

    @rule(by=st.sampled_from([{"seconds": 20}, {"seconds": 61}, {"minutes": 6}, {"hours": 7}]))
    def let_time_pass(self, by: Mapping[str, float]) -> None:
        """Move the clock on: to the next minute, past a lease, past a deadline."""
        self._clock.advance(**by)

    @rule()
    def sweep(self) -> None:
        """Run the sweeper, while no worker is quicker."""
        ends = invoke("sweep", deepcopy(self.samples["sweep"]))
        assert ends.keys() <= {"sent", "resumed", "failed", "waiting", "dispatched"}

    @precondition(lambda self: self._known)
    @rule(tenant=TENANTS, which=ONE_OF_MANY)
    def cancel(self, tenant: str, which: int) -> None:
        """Cancel a generation as a tenant; the other's is not there for it."""
        known = self._one(which)
        status = Status(known.seen["status"]["S"])
        if known.tenant == tenant:
            ended = status if status.terminal else Status.CANCELED
            assert services().outbox.cancel(tenant, known.id) is ended
            return
        with pytest.raises(NotFoundError) as theirs:
            services().outbox.cancel(tenant, known.id)
        with pytest.raises(NotFoundError) as absent:
            services().outbox.cancel(tenant, ABSENT)
        assert str(theirs.value) == str(absent.value)

    @precondition(lambda self: self._known)
    @rule(which=ONE_OF_MANY)
    def bury(self, which: int) -> None:
        """Let a message be delivered too often."""
        known = self._one(which)
        held = known.seen["status"]["S"] == Status.RUNNING and int(
            known.seen["lease_until"]["N"]
        ) >= clock.to_millis(clock.now())
        letter = _record(known.tenant, known.id)
        again = invoke("dead_letter", {"Records": [letter]})["batchItemFailures"]
        assert again == ([{"itemIdentifier": letter["messageId"]}] if held else [])

    @precondition(lambda self: self._known)
    @rule(tenant=TENANTS, which=ONE_OF_MANY)
    def retry(self, tenant: str, which: int) -> None:
        """Submit again what failed; however often, that is one generation more."""
        known = self._one(which)
        if known.tenant != tenant:
            with pytest.raises(NotFoundError):
                services().submitter.retry(tenant, known.id)
            return
        if known.seen["status"]["S"] not in {Status.FAILED, Status.CANCELED}:
            with pytest.raises(ConflictError):
                services().submitter.retry(tenant, known.id)
            return
        there = self._known.get(self._by_key.get((tenant, f"retry of {known.id}"), ""))
        if self._expected(tenant, there, known.request) == 429:
            with pytest.raises(LimitedError):
                services().submitter.retry(tenant, known.id)
            assert self._receive() == []
            return
        retry_id = services().submitter.retry(tenant, known.id).id
        self._receive()
        if there is None:
            self._accepted(tenant, retry_id, known.request)
            self._by_key[tenant, f"retry of {known.id}"] = retry_id
        else:
            assert retry_id == there.id

    @precondition(lambda self: self._end_messages)
    @rule(which=st.lists(ONE_OF_MANY, min_size=1, max_size=3))
    def deliver(self, which: list[int]) -> None:
        """Deliver end messages, some of them again."""
        self._deliver([self._end_messages[one % len(self._end_messages)] for one in which])

    @precondition(lambda self: self._known)
    @rule()
    def bring_it_all_to_its_end(self) -> None:
        """With a model, workers and a sweeper that live, everything ends and is made known."""
        self._answer, self._meanwhile = "answers", "nothing"
        for _ in range(ROUNDS):
            self._clock.advance(hours=1)
            self.sweep()
            self._receive()
            while self._messages:
                record = self._messages.pop()
                self._done.add(record["messageId"])
                self._run_worker(record)
            self._receive()
            while self._end_messages:
                self._deliver([self._end_messages.pop()])
            if all("due_at" not in item for item in self._items()):
                break
        for item in self._items():
            assert Status(item["status"]["S"]).terminal
            assert "due_at" not in item
            assert item["id"]["S"] in self._published

    # --- what always holds ----------------------------------------------------------------------

    @invariant()
    def all_is_well(self) -> None:
        """All that must hold after each step; the first look is what the others judge by."""
        self._what_is_stored_was_accepted_and_what_has_ended_stays()
        self._only_what_has_ended_is_made_known()
        self._usage_is_what_was_used()

    def _what_is_stored_was_accepted_and_what_has_ended_stays(self) -> None:
        """Items are the accepted generations; an end, its text and its reason never change."""
        self._receive()
        items = {item["id"]["S"]: item for item in self._items()}
        assert items.keys() == self._known.keys()
        for known in self._known.values():
            item, was = items[known.id], known.seen
            assert item["tenant"]["S"] == known.tenant
            if was:
                assert int(item["attempt"]["N"]) >= int(was["attempt"]["N"])
                assert not _ended(was) or _lasting(item) == _lasting(was)
            known.seen = item
            assert known.wasted <= FAILURES
            assert ("due_at" in item) or known.id in self._published
            if item["status"]["S"] == Status.SUCCEEDED or "tokens_in" in item:
                assert _tokens(item) == 160

    def _only_what_has_ended_is_made_known(self) -> None:
        """Check that an event says how a generation ended, and nothing that is not so."""
        for detail in self._published.values():
            item = self._known[detail["id"]].seen
            assert (detail["tenant"], detail["status"], detail["reason"]) == (
                item["tenant"]["S"],
                item["status"]["S"],
                item["reason"]["S"] if "reason" in item else None,
            )

    def _usage_is_what_was_used(self) -> None:
        """Slots, submissions and tokens are counted once each, and the limits are kept to."""
        found = clients().dynamodb.scan(TableName=REFERENCES["QuotasTable"])["Items"]
        assert [item["pk"]["S"] for item in found] in ([], [LIMITED])
        open_ids = {known.id for known in self._of(LIMITED) if not _ended(known.seen)}
        assert len(open_ids) <= (LIMITS.running_at_once or 0)
        used = services().quotas.get_status(LIMITED)
        assert set(found[0]["open"]["M"] if found else ()) == open_ids
        assert (used.running, used.tokens, used.requests) == (
            len(open_ids),
            self._tokens_of_this_month(),
            self._accepted_this_minute(),
        )

    # --- what must become of it -----------------------------------------------------------------

    def _expected(self, tenant: str, there: Known | None, request: tuple[str, str | None]) -> int:
        """Return the status that a submission must get."""
        if there is not None:
            return 200 if there.request == request else 422
        if tenant == FREE:
            return 200
        full = (
            self._tokens_of_this_month() >= (LIMITS.tokens_per_month or 0)
            or sum(not _ended(known.seen) for known in self._of(LIMITED))
            >= (LIMITS.running_at_once or 0)
            or self._accepted_this_minute() >= (LIMITS.requests_per_minute or 0)
        )
        return 429 if full else 200

    def _tokens_of_this_month(self) -> int:
        month = (clock.now().year, clock.now().month)
        ends = [known.seen for known in self._of(LIMITED) if _ended(known.seen)]
        return sum(_tokens(item) for item in ends if _month(item) == month)

    def _accepted_this_minute(self) -> int:
        minute = clock.to_millis(clock.now()) // 60_000
        times = [clock.to_millis(known.accepted_at) for known in self._of(LIMITED)]
        return sum(millis // 60_000 == minute for millis in times)

    def _of(self, tenant: str) -> list[Known]:
        return [known for known in self._known.values() if known.tenant == tenant]

    def _one(self, which: int) -> Known:
        return list(self._known.values())[which % len(self._known)]

    def _accepted(self, tenant: str, generation_id: str, request: tuple[str, str | None]) -> None:
        seen = self._item(tenant, generation_id)
        self._known[generation_id] = Known(tenant, generation_id, request, clock.now(), seen=seen)

    # --- the worker and its model ---------------------------------------------------------------

    def _work(self, record: Record, answer: str, meanwhile: str) -> None:
        """Run a worker with one message, and check what is to come of one that is queued then."""
        before = self._item(*_named(record))
        self._answer, self._meanwhile = answer, meanwhile
        self._run_worker(record)
        sent = self._receive()
        item = self._item(*_named(record))
        if item["status"]["S"] != Status.QUEUED or meanwhile == "overtaken":
            return
        early = int(item["next_at"]["N"]) - clock.to_millis(clock.now())
        if item["attempt"] == before["attempt"]:
            assert early > 0, "it was due, and no worker has claimed it"
            comes = early <= EARLY_SECONDS * 1_000
        else:
            comes = early <= MAX_DELAY_SECONDS * 1_000
            assert comes or item["due_at"] == item["next_at"], "no sweeper looks at it in time"
        assert sent == ([_named(record)] if comes else [])

    def _run_worker(self, record: Record) -> bool:
        """Run a worker with one message; return whether that must come again."""
        self._working.append(record)
        result = invoke("generate", {"Records": [record]}, LambdaContext(milliseconds=300_000))
        self._working.pop()
        return bool(result["batchItemFailures"])

    def _ask(self, prompt: Prompt) -> Completion:
        """Answer as the model: only for a generation that runs, and with its tenant's data."""
        tenant, generation_id = _named(self._working[-1])
        known = self._known[generation_id]
        assert known.tenant == tenant
        assert self._item(tenant, generation_id)["status"]["S"] == Status.RUNNING
        assert f"<body>{tenant} writes about a {known.request[0]}</body>" in prompt.user
        answer, meanwhile = self._answer, self._meanwhile
        self._answer, self._meanwhile = "answers", "nothing"
        if meanwhile == "canceled":
            services().outbox.cancel(tenant, generation_id)
        elif meanwhile == "overtaken":
            known.wasted += 1
            self._clock.advance(minutes=6)
            self._run_worker(self._working[-1])
        elif answer in {"times out", "breaks"}:
            known.wasted += 1
        return model_call(answer)

    def _note_claims(self, patch: pytest.MonkeyPatch) -> None:
        store = services().store
        claim = store.claim

        def noted(tenant: str, generation_id: str, lease_until: datetime) -> Claim | None:
            claimed = claim(tenant, generation_id, lease_until)
            if claimed is not None:
                self._claims.append(claimed)
            return claimed

        patch.setattr(store, "claim", noted)

    # --- AWS ------------------------------------------------------------------------------------

    def _receive(self) -> list[tuple[str, str]]:
        """Take the queues' messages; return the generations that the worker's new messages name.

        One that was taken before comes into sight again by moto's own clock.
        """
        seen = {record["messageId"] for record in self._messages} | self._done
        received = _received(REFERENCES["Queue"])
        new = [record for record in received if record["messageId"] not in seen]
        self._messages += new
        self._end_messages += _received(REFERENCES["NotifyQueue"])
        return [_named(record) for record in new]

    def _deliver(self, messages: list[Record]) -> None:
        assert invoke("deliver", {"Records": messages}) == {"batchItemFailures": []}

    @staticmethod
    def _leave_delay_out(params: dict[str, Any], **_: object) -> None:
        """Let a delayed message be in sight at once, since moto's clock is not the machine's."""
        params.pop("DelaySeconds", None)

    def _note_published(self, params: Mapping[str, Any], **_: object) -> None:
        for entry in params["Entries"]:
            detail = json.loads(entry["Detail"])
            assert self._published.setdefault(detail["id"], detail) == detail

    @staticmethod
    def _items() -> list[Item]:
        return list(clients().dynamodb.scan(TableName=REFERENCES["GenerationsTable"])["Items"])

    @staticmethod
    def _item(tenant: str, generation_id: str) -> Item:
        pk = {"pk": {"S": f"{tenant}#{generation_id}"}}
        table = REFERENCES["GenerationsTable"]
        return clients().dynamodb.get_item(TableName=table, Key=pk, ConsistentRead=True)["Item"]

    def _submission(self, tenant: str, key: str | None, request: tuple[str, str | None]) -> Event:
        about, deadline = request
        event = deepcopy(self.samples["submit_mail_generation"])
        event["pathParameters"]["companyCuid"] = tenant
        headers = {"authorization": f"Bearer {self._keys[tenant]}"}
        if key is not None:
            headers["idempotency-key"] = key
        if deadline is not None:
            headers["afterword-deadline"] = deadline
        mail = {"subject": "A mail", "body": f"{tenant} writes about a {about}"}
        return event | {"headers": headers, "body": json.dumps(mail)}

    def _reading(self, tenant: str, company: str, generation_id: str) -> Event:
        event = deepcopy(self.samples["get_mail_generation"])
        event["headers"]["authorization"] = f"Bearer {self._keys[tenant]}"
        event["pathParameters"].update(companyCuid=company, processCuid=generation_id)
        return event


def _received(url: str) -> list[Record]:
    records: list[Record] = []
    while messages := (
        clients().sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages")
    ):
        records += [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
            }
            for message in messages
        ]
    return records


def _record(tenant: str, generation_id: str) -> Record:
    body = json.dumps({"tenant": tenant, "id": generation_id})
    return {"messageId": f"{tenant} {generation_id}", "receiptHandle": "none", "body": body}


def _named(record: Record) -> tuple[str, str]:
    body = json.loads(record["body"])
    return body["tenant"], body["id"]


def _ended(item: Item) -> bool:
    return Status(item["status"]["S"]).terminal


def _lasting(item: Item) -> Item:
    return {name: value for name, value in item.items() if name not in WRITTEN_AFTER_THE_END}


def _tokens(item: Item) -> int:
    return sum(int(item[name]["N"]) for name in ("tokens_in", "tokens_out") if name in item)


def _month(item: Item) -> tuple[int, int]:
    finished_at = clock.from_millis(int(item["finished_at"]["N"]))
    return finished_at.year, finished_at.month


@pytest.fixture
def machine(
    environment: None,  # noqa: ARG001 - asked for its effect
    quiet: None,  # noqa: ARG001 - asked for its effect
    load_event: Callable[[str], Event],
    monkeypatch: pytest.MonkeyPatch,
) -> type[TwoTenants]:
    """Return the machine; each run of it has an AWS of its own."""
    monkeypatch.setenv("AFTERWORD_EVENT_BUS", "default")
    names = ("submit_mail_generation", "get_mail_generation", "sweep")

    class Machine(TwoTenants):
        pass

    Machine.samples = {name: load_event(name) for name in names}
    return Machine


@pytest.mark.parametrize(
    ("seed", "examples"),
    [
        pytest.param(SEEDS[0], 2, id="few"),
        *(pytest.param(seed, 10, id=str(seed), marks=pytest.mark.long) for seed in SEEDS),
    ],
)
def test_two_tenants_in_any_order_of_events(
    machine: type[TwoTenants], seed: int, examples: int
) -> None:
    """The rules hold in any order of events, and each tenant has its own."""
    check_machine(machine, seed, examples, steps=25)


def give_both_tenants_one_id(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(generations, "id_for_key", lambda _, key: str(uuid5(NAMESPACE_URL, key)))


def show_foreign_generations(patch: pytest.MonkeyPatch) -> None:
    for module in (store, items):
        patch.setattr(module, "partition_key", lambda _, generation_id: f"demo#{generation_id}")


@pytest.mark.long
@pytest.mark.parametrize("break_it", [give_both_tenants_one_id, show_foreign_generations])
def test_the_machine_finds_what_is_broken(
    machine: type[TwoTenants],
    monkeypatch: pytest.MonkeyPatch,
    break_it: Callable[[pytest.MonkeyPatch], None],
) -> None:
    """With one of the rules taken out of the product, the machine comes upon it."""
    break_it(monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        check_machine(machine, seed=0, examples=60, steps=25, shrink=False)
