"""The template: what belongs together fits together, and nobody may do more than needed."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from afterword import clients, worker
from afterword.generations import DEADLINE
from afterword.keys import Scope
from afterword.queue import LambdaContext
from tests.conftest import ROOT
from tests.deployment import Deployment, as_list
from tests.seeds import SEEDS, seeded

GENERATIONS, REGISTRY = "GenerationsTable.Arn", "RegistryTable.Arn"
TEXTS = "${Bucket.Arn}/*"
BEDROCK = "arn:${AWS::Partition}:bedrock:*"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:model-key"  # noqa: S105 - a name
CONSUMES = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
WORKER = {
    GENERATIONS: {"dynamodb:UpdateItem"},
    REGISTRY: {"dynamodb:GetItem"},
    TEXTS: {"s3:GetObject", "s3:PutObject"},
    "Queue.Arn": {*CONSUMES, "sqs:ChangeMessageVisibility"},
}
PERMISSIONS = {
    "health": {},
    "submit_mail_generation": {
        REGISTRY: {"dynamodb:GetItem"},
        GENERATIONS: {"dynamodb:PutItem"},
        TEXTS: {"s3:PutObject"},
        "Queue.Arn": {"sqs:SendMessage"},
    },
    "get_mail_generation": {
        REGISTRY: {"dynamodb:GetItem"},
        GENERATIONS: {"dynamodb:GetItem"},
        TEXTS: {"s3:GetObject"},
    },
    "generate": WORKER,
    "dead_letter": {GENERATIONS: {"dynamodb:UpdateItem"}, "DeadLetterQueue.Arn": CONSUMES},
}
"""What each function may do, with a model at an OpenAI-compatible endpoint without a key."""
