"""Which passages an answer uses."""

import time

import pytest

from afterword.knowledge import citations
from afterword.knowledge.ranking import Origin, Ranked
from tests.harness.seeds import SEED_PARAMS, seeded

PASSAGES = {
    "Returns": "You may return any item within 30 days of receiving it, unworn and with its label."
    " We refund the price to the card that you paid with within five working days.",
    "Delivery": "Standard delivery takes three to five working days and costs £3.90; orders over"
    " £40 are delivered free. Parcels are kept for ten days at a collection point.",
    "Opening hours": "Our shop at 12 Bridge Street is open Monday to Saturday from 9:30 to 18:00."
    " We are closed on bank holidays.",
    "Remboursement": "Le remboursement est effectué sur la carte utilisée lors du paiement, sous"
    " cinq jours après réception du colis. Les articles soldés ne sont pas remboursés.",
    "Horaires": "La boutique est ouverte du mardi au samedi de 10 h à 19 h. Elle est fermée le"
    " dimanche, le lundi et les jours fériés.",
}


def passages(texts: dict[str, str]) -> list[Ranked]:
    return [
        Ranked(Origin(content=title, title=title, folder="folder"), "", text, 1.0)
        for title, text in texts.items()
    ]


def used(answer: str) -> set[str]:
    """Return the titles of the passages that an answer uses."""
    given = passages(PASSAGES)
    return {given[number].origin.title for number in citations.find_used(answer, given)}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("You have 30 days [1].", {0}),
        ("You have 30 days[1], and delivery is free [2].", {0, 1}),
        ("See [1, 3] and [2].", {0, 1, 2}),
        ("See [1][3].", {0, 2}),
        ("See [ 1 ; 2 ].", {0, 1}),
        ("Vous avez 30 jours 【1】.", {0}),
        ("Vous avez 30 jours 【2†Livraison】.", {1}),
        ("It costs £3.90 [2], as [9] and [0] and [100] say.", {1}),
        ("Sources: [5]", {4}),
    ],
)
def test_what_an_answer_cites_is_used(answer: str, expected: set[int]) -> None:
    """A number in brackets cites that passage; one that no passage has is ignored."""
    assert citations.find_used(answer, passages(PASSAGES)) == expected


def test_what_an_answer_cites_goes_before_what_it_repeats() -> None:
    """An answer that cites is taken at its word."""
    repeated = "Standard delivery takes three to five working days and costs £3.90"
    assert used(f"{repeated}.") == {"Delivery"}
    assert used(f"{repeated} [3].") == {"Opening hours"}
    assert used(f"{repeated} [12].") == {"Delivery"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            (
                "Dear Anna,\n\nYou can return your boots within 30 days of receiving them, unworn"
                " and with their label.\n\nKind regards"
            ),
            {"Returns"},
        ),
        ("We are open from Monday to Saturday, and closed on bank holidays.", {"Opening hours"}),
        ("Delivery is free for orders over £40.", {"Delivery"}),
        ("Within 30 days.", {"Returns"}),
        ("- Shop: 12 Bridge Street\n- Parcels: kept for ten days", {"Opening hours", "Delivery"}),
        (
            "Bonjour,\n\nLes articles soldés ne peuvent pas être remboursés.",
            {"Remboursement"},
        ),
        (
            (
                "Nous sommes fermés le dimanche et le lundi. Le remboursement se fait sur la carte"
                " utilisée pour le paiement."
            ),
            {"Horaires", "Remboursement"},
        ),
        ("LES JOURS FERIES, LA BOUTIQUE EST FERMEE.", {"Horaires"}),
    ],
)
def test_an_answer_draws_on_what_it_repeats(answer: str, expected: set[str]) -> None:
    """An answer that cites nothing uses the passages that its sentences have their words from."""
    assert used(answer) == expected


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "...",
        "Yes!",
        "I could not find that in the documents.",
        "I couldn't find any standard delivery that takes three to five working days.",
        "I don't know whether parcels are kept for ten days at a collection point.",
        "The documents do not say whether orders over £40 are delivered free on bank holidays.",
        "There is no information about the delivery of orders over £40.",
        "Je n'ai pas trouvé d'information sur le remboursement des articles soldés.",
        "Les documents ne précisent pas si les articles soldés sont remboursés sur la carte.",
        "Aucune information sur la boutique le dimanche, le lundi et les jours fériés.",
        "The capital of Mongolia is Ulaanbaatar.",
        "La capitale de la Mongolie est Oulan-Bator.",
        "Thank you for your message. We will get back to you within the next few days!",
        "Merci pour votre message, nous revenons vers vous dans les prochains jours.",
        "You may return to this page at any time to see how your application is going.",
        "The first five people who write to us will be invited to the opening of our new garden.",
    ],
)
def test_an_answer_draws_on_nothing_that_it_does_not_say(answer: str) -> None:
    """Politeness, common knowledge and the sentence that nothing was found have no source."""
    assert used(answer) == set()


def test_the_passage_that_says_it_goes_before_those_that_touch_on_it() -> None:
    """A sentence draws on the passage that says all of it, and not on others of its topic."""
    given = passages(
        {
            "Express": "Express delivery to France costs 12 euros and takes two days.",
            "Standard": "Standard delivery to France costs 5 euros and takes six days.",
            "Copy": "Express delivery to France costs 12 euros and takes two days. Since May.",
        }
    )
    answer = "Express delivery to France costs 12 euros and takes two days."
    assert citations.find_used(answer, given) == {0, 2}


def test_a_passage_in_another_language_is_used_for_its_numbers_and_names() -> None:
    """Numbers and names that both languages write alike are enough to tell."""
    given = passages({"Adresse": "Boutique : 12 rue Crébillon, Nantes. Tél. 02 55 55 01 10."})
    assert citations.find_used("Crébillon 12, Nantes; 02 55 55 01 10", given) == {0}
    assert citations.find_used("You will find our shop in the town centre.", given) == set()


def test_no_passages_are_no_sources() -> None:
    """Without passages nothing is used, whatever an answer cites."""
    assert citations.find_used("As [1] says, within 30 days.", []) == set()


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_the_order_of_passages_makes_no_difference(seed: int) -> None:
    """The same passages are used in whatever order they were given, and each time again."""
    answer = "Delivery is free for orders over £40. La boutique est fermée le dimanche."
    titles = [*PASSAGES]
    seeded(seed).shuffle(titles)
    given = passages({title: PASSAGES[title] for title in titles})
    for _ in range(3):
        found = {given[number].origin.title for number in citations.find_used(answer, given)}
        assert found == {"Delivery", "Horaires"}


@pytest.mark.parametrize("seed", SEED_PARAMS)
def test_a_long_answer_takes_little_time(seed: int) -> None:
    """Twenty long passages and an answer of 20,000 characters, hostile or not, are told quickly."""
    random = seeded(seed)
    vocabulary = [f"{random.choice('bcdfglmnprst')}a{number}x" for number in range(2_000)]

    def text(length: int) -> str:
        some = (f"{word}{random.choice(['', '', '', '', '.', ','])}" for word in iter(pick, None))
        found = ""
        while len(found) < length:
            found += f" {next(some)}"
        return found[:length]

    def pick() -> str:
        return random.choice(vocabulary)

    given = passages({str(number): text(1_000) for number in range(20)})
    hostile = (
        "[" * 20_000,
        "[1, " * 5_000,
        "document " * 2_222,
        "a." * 10_000,
        "[ " + " " * 20_000,
    )
    for answer in (text(20_000), *hostile):
        started = time.process_time()
        citations.find_used(answer, given)
        assert time.process_time() - started < 0.5
