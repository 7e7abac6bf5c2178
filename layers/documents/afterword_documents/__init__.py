"""The text of documents that come with a submission. Only the worker has this, in its own layer.

`extraction.extract` is what the worker calls. It starts `child` in a process of its own, because
documents are untrusted and parsers are not perfect; the child gets nothing but the document.
"""
