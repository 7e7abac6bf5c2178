"""afterword's own API, a section for each kind of resource."""

from openapi.native import batches, contents, flows, generations, keys, usage, webhooks

SECTIONS = (
    generations.SECTION,
    batches.SECTION,
    flows.SECTION,
    contents.SECTION,
    webhooks.SECTION,
    keys.SECTION,
    usage.SECTION,
)
