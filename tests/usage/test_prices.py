"""The price table: data that is read as it stands, and what answers cost by it."""

import json
from datetime import date
from decimal import Decimal

import pytest

from afterword.usage import prices

TABLE = prices.parse_prices(
    json.dumps(
        {
            "as_of": "2026-01-31",
            "currency": "EUR",
            "tokens": 1_000,
            "models": [
                {"model": "big-1", "in": "0.30", "out": "3"},
                {"model": "big-*", "in": "0.10", "out": "1"},
            ],
        }
    )
)


def test_a_cost_is_exact() -> None:
    """Prices are decimals: a cost has no rounding in it until it is shown, to six places."""
    cost = TABLE.cost("big-2", 1, 2)
    assert cost == Decimal("0.0021")
    assert prices.format_amount(cost) == "0.002100"
    assert prices.format_amount(Decimal("1234.5678915")) == "1234.567892"
    assert prices.format_amount(Decimal("0.0000001")) == "0.000000"


def test_the_first_that_fits_counts() -> None:
    """A model's own price goes before that of its family, where it stands first."""
    assert TABLE.cost("big-1", 1_000, 0) == Decimal("0.30")
    assert TABLE.cost("big-12", 1_000, 0) == Decimal("0.10")


def test_what_is_not_there_has_no_cost() -> None:
    """An unknown model's cost is unknown, in whatever case; that of no model is nothing."""
    assert TABLE.cost("small", 1_000, 0) is None
    assert TABLE.cost("BIG-1", 1_000, 0) is None
    assert prices.format_amount(TABLE.cost("small", 0, 0)) is None
    assert TABLE.cost(None, 0, 0) == 0


@pytest.mark.parametrize(
    ("model", "million_in", "million_out"),
    [
        ("amazon.nova-lite-v1:0", "0.06", "0.24"),
        ("us.amazon.nova-lite-v1:0", "0.06", "0.24"),
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.amazon.nova-pro-v1:0", "0.80", "3.20"),
        ("anthropic.claude-3-haiku-20240307-v1:0:48k", "0.25", "1.25"),
        ("gpt-4o-mini-2024-07-18", "0.15", "0.60"),
        ("gpt-4o", "2.50", "10.00"),
        ("gpt-4.1-nano", "0.10", "0.40"),
    ],
)
def test_the_packaged_table(model: str, million_in: str, million_out: str) -> None:
    """Models are found by the names that Bedrock's profiles and dated versions have too."""
    table = prices.load_prices()
    assert table.cost(model, 1_000_000, 0) == Decimal(million_in)
    assert table.cost(model, 0, 1_000_000) == Decimal(million_out)


def test_the_packaged_table_says_where_it_is_from() -> None:
    """The table has its day and its source, and no pattern hides a price."""
    values = json.loads(prices.TABLE.read_text())
    assert date.fromisoformat(values["as_of"]) <= date(2026, 12, 31)
    assert values["source"]
    assert (values["currency"], values["tokens"]) == ("USD", 1_000_000)
    names = [each["model"] for each in values["models"]]
    assert len(set(names)) == len(names)
    assert all(Decimal(each[way]) > 0 for each in values["models"] for way in ("in", "out"))
    first = prices.load_prices()
    for each in values["models"]:
        cost = first.cost(each["model"].replace("*", ""), values["tokens"], 0)
        assert cost == Decimal(each["in"]), each["model"]
