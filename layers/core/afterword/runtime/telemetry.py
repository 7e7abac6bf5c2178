"""Logs: one JSON line per event, with ids, and without personal data."""

from functools import cache

from aws_lambda_powertools import Logger


@cache
def logger() -> Logger:
    """Return the logger; template.yaml sets its level, POWERTOOLS_LOG_LEVEL.

    Lines have ids, counts and codes, and never prompts, outputs, keys and personal data.
    """
    return Logger(utc=True, serialize_stacktrace=False)
