"""Logs: one JSON line per event, with the ids that it belongs to and never anybody's data."""

from functools import cache

from aws_lambda_powertools import Logger


@cache
def logger() -> Logger:
    """Return the logger. Its level is POWERTOOLS_LOG_LEVEL, which template.yaml sets.

    Prompts, outputs, keys and personal data never go into a line; ids, counts and codes do.
    """
    return Logger(utc=True, serialize_stacktrace=False)
