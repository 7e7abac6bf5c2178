"""The numbers that the simulation takes from AWS's documentation, and those that it assumes.

Each name says where its number is from. Prices are list prices of us-east-1, without free tiers.
"""

from typing import NamedTuple

AS_OF = "2026-11-30"
"""The day on which quotas and prices were written down here."""

# --- documented: DynamoDB ------------------------------------------------------------------------
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html

PARTITION_WRITES = 1_000
"""Write units a second of one partition, of a table or an index."""
PARTITION_READS = 3_000
"""Read units a second of one partition."""
# Up to 300 s of unused throughput are kept for bursts, but a partition's own limit stands:
# https://repost.aws/knowledge-center/dynamodb-spiky-workloads-short-intervals
NEW_TABLE_WRITES = 4_000
"""Write units a second of a new table on demand, and of each of its indexes; then twice the peak.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput-scenarios.html
"""
TABLE_WRITES = 40_000
"""Write units a second of a table on demand, the account's default quota."""

# --- documented: Lambda and SQS ------------------------------------------------------------------

CONCURRENCY = 1_000
"""Invocations at once of an account in a region, by default; the quota can be raised.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
"""
SCALING = 100
"""New instances of one function a second: 1,000 every 10 s, of which unused ones do not add up.

https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html
"""
VCPU_MEMORY = 1_769
"""The MB of memory with which a function has one vCPU; less memory has that part of one.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""
MAPPING_START, MAPPING_GROWTH, MAPPING_MAXIMUM = 5, 300, 1_000
"""A mapping's batches at once: at first, more in each minute with messages left, and at most.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
"""
IN_FLIGHT = 120_000
"""Messages of a standard queue that are received and not deleted.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
"""
LONG_POLL = 20.0
"""Seconds that a poller waits for a message before its next call."""

# --- documented: API Gateway, Parameter Store ----------------------------------------------------

API_REQUESTS, API_BURST = 10_000, 5_000
"""Requests a second of all HTTP APIs of an account in a region, and the bucket's size.

https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
"""

# --- assumed: latencies --------------------------------------------------------------------------


class Latency(NamedTuple):
    """A lognormal latency: its median in milliseconds and the spread of its logarithm."""

    median: float
    spread: float


# DynamoDB's documentation promises single-digit milliseconds, SQS's some tens; neither says more.
LATENCIES = {
    "dynamodb": Latency(5, 0.4),
    "sqs": Latency(10, 0.5),
    "s3": Latency(30, 0.5),
    "ssm": Latency(20, 0.5),
    "events": Latency(20, 0.5),
}
"""The latencies of AWS's services, inside a region."""
GATEWAY = Latency(12, 0.4)
"""From API Gateway to the start of the handler."""
INVOKE = Latency(5, 0.4)
"""From a mapping's receive to the start of the handler."""
RECEIVE = Latency(15, 0.5)
"""From the moment at which a message can be received to its receipt by an idle poller."""
START = Latency(250, 0.3)
"""The start of a new instance, before its imports."""
RECEIVER = Latency(150, 0.6)
"""The answer of a webhook's receiver."""
IDLE_SECONDS = 300.0
"""The time that an instance without requests is kept."""
ABOVE_START_LOG = 300
"""The bytes that Lambda itself logs of an invocation: START, END and REPORT."""

# --- assumed: the load ---------------------------------------------------------------------------

MODEL = Latency(2_000, 0.5)
"""The answer of a model that keeps up: half within 2 s, 99 of 100 within 6.4 s."""
TOKENS_IN, TOKENS_OUT = 500, 150
"""The tokens of a generation, for the model's price."""
POLLS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""The seconds after its submission at which a client polls; then every 32 s."""

# --- prices --------------------------------------------------------------------------------------

MILLION = 1_000_000
PRICES = {
    "HTTP API, a request": 1.00 / MILLION,
    "Lambda, an invocation": 0.20 / MILLION,
    "Lambda, a GB-second": 16.67 / MILLION,
    "DynamoDB, a write unit": 0.625 / MILLION,
    "DynamoDB, a read unit": 0.125 / MILLION,
    "SQS, a request": 0.40 / MILLION,
    "S3, a put": 5.00 / MILLION,
    "S3, a get": 0.40 / MILLION,
    "CloudWatch Logs, a GB": 0.50,
    # The alternatives of `bench/cost.py`; durable functions are priced as they were announced.
    "Step Functions Express, a request": 1.00 / MILLION,
    "Step Functions Express, a GB-second": 16.67 / MILLION,
    "Step Functions Standard, a transition": 25.00 / MILLION,
    "Lambda durable functions, an operation": 8.00 / MILLION,
    "Lambda durable functions, a GB written": 0.25,
    "Fargate, a vCPU hour": 0.04048,
    "Fargate, a GB hour": 0.004445,
    "Application Load Balancer, an hour": 0.0225,
    "ElastiCache, an hour of cache.t4g.small": 0.032,
}
"""Dollars. Traffic out of AWS and storage are left out."""
