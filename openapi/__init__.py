"""The API's description: the source of openapi.yaml.

No layer has this package. Its requests are pydantic models; handlers read most requests by hand,
since pydantic is a fifth of a cold start. Its responses are the TypedDicts of the dialects, which
mypy holds against the code that renders them. The tests of tests/fuzz send good, bad and hostile
requests to every operation and hold each answer against openapi.yaml.
"""
