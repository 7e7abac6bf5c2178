"""The API's description: openapi.yaml is made from the models that are here.

Nothing of this is in a layer. No handler imports it: they read most requests by hand, since
pydantic is a fifth of a cold start. What keeps models and handlers the same are the tests of
tests/fuzz, which ask every operation good, bad and hostile things and hold each answer against
openapi.yaml.
"""
