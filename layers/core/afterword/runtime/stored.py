"""Stored values of another version: while versions change, some items come from a newer one.

A newer version may have written a word, or a part, that this one does not know. Such an item can be
read all the same, and nothing of it is lost when this version stores the word again.
"""

from collections.abc import Mapping
from dataclasses import fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def read_word[E: StrEnum](kind: type[E], word: str) -> E:
    """Return the member of an enumeration that was stored as this word.

    A word of another version becomes a member outside of the enumeration, equal to its text and to
    no other member.
    """
    try:
        return kind(word)
    except ValueError:
        member = str.__new__(kind, word)
        member._name_ = member._value_ = word
        return member


def read_fields[T: DataclassInstance](kind: type[T], stored: Mapping[str, Any]) -> T:
    """Return a dataclass of the fields that were stored, without those that it does not have."""
    return kind(**{each.name: stored[each.name] for each in fields(kind) if each.name in stored})
