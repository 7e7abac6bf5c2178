"""The text of documents that come with a submission. Only the worker has this, in its own layer.

The worker calls `extraction.extract`, which starts `child` in a process of its own, because
documents are untrusted and parsers are not perfect. The child gets nothing but the document.
"""
