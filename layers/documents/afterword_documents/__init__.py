"""The text of documents, in a layer of its own.

`extraction.extract` is the entry. Documents are untrusted and parsers have faults, so each document
is parsed by `child`, in a process that has nothing but the document.
"""
