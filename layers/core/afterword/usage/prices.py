"""The cost of models' answers by the price table beside this file, prices.json.

A price is for `tokens` tokens, in and out. `model` is a model's name at its provider, or a pattern
of such names with `*`; the first match counts. Owners may change the table, which is an estimate:
providers charge for more than tokens.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from afterword.records import dataclass

TABLE = Path(__file__).with_name("prices.json")
_PLACES = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Price:
    """The prices of a model's tokens."""

    tokens_in: Decimal
    tokens_out: Decimal


@dataclass(frozen=True, slots=True)
class Prices:
    """A price table: prices of `tokens` tokens by model or pattern, in a currency, of a day."""

    as_of: str
    currency: str
    tokens: int
    models: Mapping[str, Price]

    def cost(self, model: str | None, tokens_in: int, tokens_out: int) -> Decimal | None:
        """Return the cost of answers; None for a model without a price."""
        if model is None:
            return Decimal(0)
        price = next(
            (price for name, price in self.models.items() if fnmatchcase(model, name)), None
        )
        if price is None:
            return None
        return (tokens_in * price.tokens_in + tokens_out * price.tokens_out) / self.tokens


def format_amount(cost: Decimal | None) -> str | None:
    """Return a cost with six places; None for an unknown cost."""
    return None if cost is None else f"{cost.quantize(_PLACES):f}"


@cache
def load_prices() -> Prices:
    """Return the price table of this deployment."""
    return parse_prices(TABLE.read_text("utf-8"))


def parse_prices(text: str) -> Prices:
    """Return the price table of a JSON text."""
    values = json.loads(text)
    return Prices(
        as_of=values["as_of"],
        currency=values["currency"],
        tokens=values["tokens"],
        models={
            each["model"]: Price(Decimal(each["in"]), Decimal(each["out"]))
            for each in values["models"]
        },
    )
