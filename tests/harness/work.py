"""A tenant's generations, and the worker that runs them."""

import json
from dataclasses import dataclass, field
from datetime import timedelta

from afterword import generations
from afterword.engine.attempts import Worker
from afterword.engine.prompting import Prompter
from afterword.engine.repairs import Repairs
from afterword.engine.top_up import Room
from afterword.generations import Generation, Submission, SubmissionOptions
from afterword.generations.store import GenerationStore
from afterword.models import Model
from afterword.runtime.clients import POOL_SIZE, clients
from afterword.runtime.deadline import Deadline
from afterword.runtime.queue import Message
from afterword.services import services
from tests.conftest import FLOW
from tests.harness.deployment import REFERENCES

SECONDS = 60.0
"""The rest of the invocation, for tests in which any will do."""


@dataclass
class Work:
    """A tenant's generations and the worker's side of the queue."""

    store: GenerationStore
    ids: list[str] = field(default_factory=list)

    def submit(
        self, body: str = "Hello", template: str | None = None, flow: str = FLOW, version: int = 1
    ) -> Message:
        """Put a generation, and return its message as the worker receives it."""
        return self.message(self.put(body, template, flow, version))

    def send(self, body: str) -> str:
        """Put a generation, send its message, and return its id."""
        generation_id = self.put(body)
        services().queue.send("demo", generation_id)
        return generation_id

    def put(
        self, body: str = "Hello", template: str | None = None, flow: str = FLOW, version: int = 1
    ) -> str:
        """Put a generation and return its id."""
        generation_id = generations.new_id()
        submission = Submission(
            dialect="dialonce",
            flow=flow,
            inputs={"subject": "A claim", "body": body},
            template=template,
            external={"external_ref": '"case-457"'},
        )
        self.store.put(
            "demo",
            generation_id,
            submission,
            SubmissionOptions(flow_version=version, retention=timedelta(days=30)),
        )
        self.ids.append(generation_id)
        return generation_id

    def message(self, generation_id: str) -> Message:
        """Send a message for a generation and return it as received."""
        services().queue.send("demo", generation_id)
        (message,) = clients().sqs.receive_message(QueueUrl=REFERENCES["Queue"])["Messages"]
        assert json.loads(message["Body"]) == {"tenant": "demo", "id": generation_id}
        return Message("demo", generation_id, message["MessageId"], message["ReceiptHandle"])

    def run(
        self, model: Model, *messages: Message, seconds: float = SECONDS, most: int = POOL_SIZE
    ) -> list[str]:
        """Run a batch with the model; return the message ids that must come again."""
        prompter = Prompter(
            self.store,
            services().listings,
            services().knowledge,
            model.documents,
            "test-model",
        )
        running = Worker(
            self.store,
            services().outbox,
            services().registry,
            services().queue,
            prompter,
            model,
            services().model_access,
            Repairs(services().rules, services().quotas),
            services().metrics,
            Room(most),
        )
        return running.run_batch(messages, Deadline.after(seconds))

    def get(self, message: Message) -> Generation:
        """Read a message's generation."""
        return self.store.get("demo", message.id)
