"""Questions in many languages to three documents in the same one."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from afterword.knowledge import questions, stop_words, words
from afterword.knowledge.lexical import Index, build_index
from afterword.knowledge.passages import Passage
from afterword.knowledge.ranking import Candidate, Origin
from afterword.knowledge.stop_words import Language, Unspaced


@dataclass(frozen=True)
class Shop:
    """A shop's page of deliveries, of returns and of opening hours, and questions to each."""

    pages: tuple[str, str, str]
    asked: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    elsewhere: tuple[str, ...]


SHOPS = {
    "german": Shop(
        (
            (
                "Die Lieferung dauert drei bis fünf Werktage und kostet 3,90 Euro. Sobald das Paket"
                " unser Lager verlässt, erhalten Sie eine Sendungsnummer."
            ),
            (
                "Artikel können innerhalb von 30 Tagen zurückgeschickt werden. Wir erstatten den"
                " Kaufpreis auf Ihr Konto."
            ),
            "Unser Laden in Bremen ist von Montag bis Samstag geöffnet, an Feiertagen geschlossen.",
        ),
        (
            ("Wie lange dauert eine Lieferung?", "Wo finde ich die Sendungsnummer meines Pakets?"),
            ("Wie schicke ich einen Artikel zurück?", "Wird mir der Kaufpreis erstattet?"),
            ("Haben Sie samstags geöffnet?", "Ist der Laden an einem Feiertag geschlossen?"),
        ),
        (
            "Was ist die Hauptstadt der Mongolei?",
            "Wie kocht man ein Ei?",
            "Wer hat die Mona Lisa gemalt?",
            "Warum ist der Himmel blau?",
            "Können Sie mir bitte ein gutes Restaurant empfehlen?",
        ),
    ),
    "spanish": Shop(
        (
            (
                "El envío tarda de tres a cinco días laborables y cuesta 3,90 euros. Recibirá un"
                " número de seguimiento en cuanto el paquete salga del almacén."
            ),
            (
                "Puede devolver los artículos en un plazo de 30 días. Le reembolsamos el importe"
                " en la tarjeta con la que pagó."
            ),
            "Nuestra tienda de Sevilla abre de lunes a sábado y cierra los festivos.",
        ),
        (
            ("¿Cuánto tardan los envíos?", "¿Dónde está el número de seguimiento?"),
            ("¿Cómo devuelvo un artículo?", "Quisiera el reembolso del importe"),
            ("¿Abre la tienda los sábados?", "¿La tienda está cerrada los festivos?"),
        ),
        (
            "¿Cuál es la capital de Mongolia?",
            "¿Cómo se cuece un huevo?",
            "¿Quién pintó la Mona Lisa?",
            "¿Por qué el cielo es azul?",
            "¿Me puede recomendar un buen restaurante, por favor?",
        ),
    ),
    "italian": Shop(
        (
            (
                "La consegna richiede da tre a cinque giorni lavorativi e costa 3,90 euro. Quando"
                " il pacco lascia il magazzino ricevete un numero di tracciamento."
            ),
            (
                "Gli articoli possono essere restituiti entro 30 giorni. Rimborsiamo il prezzo"
                " sulla carta usata per il pagamento."
            ),
            "Il nostro negozio di Torino è aperto dal lunedì al sabato, chiuso nei festivi.",
        ),
        (
            ("Quanto tempo richiedono le consegne?", "Dov'è il numero del pacco?"),
            ("Come posso restituire un articolo?", "Vorrei essere rimborsato"),
            ("Siete aperti il sabato?", "Il negozio è chiuso oggi?"),
        ),
        (
            "Qual è la capitale della Mongolia?",
            "Come si cuoce un uovo?",
            "Chi ha dipinto la Gioconda?",
            "Perché il cielo è blu?",
        ),
    ),
    "portuguese": Shop(
        (
            (
                "A entrega demora três a cinco dias úteis e custa 3,90 euros. Quando a encomenda"
                " sai do armazém recebe um número de seguimento."
            ),
            (
                "Pode devolver os artigos no prazo de 30 dias. Após a devolução reembolsamos o"
                " valor no cartão."
            ),
            "A nossa loja em Lisboa está aberta de segunda a sábado e fechada nos feriados.",
        ),
        (
            ("Quanto demoram as entregas?", "Onde encontro o número da minha encomenda?"),
            ("Como faço uma devolução?", "Como funcionam as devoluções de um artigo?"),
            ("A loja está aberta ao sábado?", "Estão fechados nos feriados?"),
        ),
        (
            "Qual é a capital da Mongólia?",
            "Como se coze um ovo?",
            "Quem pintou a Mona Lisa?",
            "Por que o céu é azul?",
        ),
    ),
    "dutch": Shop(
        (
            (
                "De levering duurt drie tot vijf werkdagen en kost 3,90 euro. Zodra het pakket ons"
                " magazijn verlaat, ontvangt u een trackingnummer."
            ),
            (
                "Artikelen kunnen binnen 30 dagen worden teruggestuurd. Wij storten het bedrag"
                " terug op uw rekening."
            ),
            "Onze winkel in Utrecht is open van maandag tot zaterdag en gesloten op feestdagen.",
        ),
        (
            ("Hoe lang duurt een levering?", "Waar vind ik het trackingnummer van mijn pakketten?"),
            ("Hoe stuur ik een artikel terug?", "Wordt het bedrag teruggestort op mijn rekening?"),
            ("Zijn jullie zaterdag open?", "Is de winkel op een feestdag gesloten?"),
        ),
        (
            "Wat is de hoofdstad van Mongolië?",
            "Hoe kook je een ei?",
            "Wie heeft de Mona Lisa geschilderd?",
            "Waarom is de lucht blauw?",
        ),
    ),
    "swedish": Shop(
        (
            (
                "Leveransen tar tre till fem arbetsdagar och kostar 39 kronor. När paketet lämnar"
                " lagret får du ett spårningsnummer."
            ),
            "Varor kan returneras inom 30 dagar. Vi återbetalar priset till ditt kort.",
            "Vår butik i Lund är öppen måndag till lördag och stängd på helgdagar.",
        ),
        (
            ("Hur lång tid tar leveranserna?", "Var hittar jag paketets spårningsnummer?"),
            ("Hur returnerar jag en vara?", "Får jag priset återbetalat?"),
            ("Är butiken öppen på lördagar?",),
        ),
        ("Vad heter Mongoliets huvudstad?", "Hur kokar man ett ägg?", "Varför är himlen blå?"),
    ),
    "russian": Shop(
        (
            (
                "Доставка занимает от трёх до пяти рабочих дней и стоит 390 рублей. Когда посылка"
                " покинет склад, вы получите номер для отслеживания."
            ),
            (
                "Товары можно вернуть в течение 30 дней. Мы возвращаем деньги на карту после"
                " возврата."
            ),
            "Наш магазин в Казани работает: понедельник, суббота; в праздничный день закрыт.",
        ),
        (
            ("Сколько стоит доставка?", "Где номер моей посылки?"),
            ("Как вернуть товар?", "Когда вернут деньги на карту?"),
            ("Магазин работает в субботу?", "Вы закрыты в праздничный день?"),
        ),
        (
            "Какой город столица Монголии?",
            "Как сварить яйцо?",
            "Кто написал Мону Лизу?",
            "Почему небо голубое?",
        ),
    ),
    "polish": Shop(
        (
            (
                "Dostawa trwa od trzech do pięciu dni roboczych i kosztuje 15 złotych. Gdy paczka"
                " opuści magazyn, otrzymasz numer przesyłki."
            ),
            "Towary można zwrócić w ciągu 30 dni. Zwracamy pieniądze na kartę.",
            "Nasz sklep w Krakowie jest otwarty od poniedziałku do soboty, w święta zamknięty.",
        ),
        (
            ("Ile kosztuje dostawa?", "Gdzie znajdę numer przesyłki?"),
            ("Jak zwrócić towar?", "Kiedy dostanę pieniądze na kartę?"),
            ("Czy sklep jest otwarty w sobotę?",),
        ),
        ("Jaka jest stolica Mongolii?", "Jak ugotować jajko?", "Dlaczego niebo jest niebieskie?"),
    ),
    "chinese": Shop(
        (
            "配送需要三到五个工作日,运费为39元。包裹离开仓库后,您会收到一个快递单号。",
            "商品可以在收到后30天内退货。退款会退回到您付款时使用的银行卡。",
            "我们在成都的商店周一至周六营业,节假日休息。",
        ),
        (
            ("配送需要几个工作日?", "请问在哪里可以看到我的快递单号?"),
            ("我想退货,怎么办?", "退款什么时候到银行卡?"),
            ("你们的商店周六营业吗?", "节假日营业吗?"),
        ),
        (
            "蒙古国的首都是哪里?",
            "怎么煮鸡蛋?",
            "蒙娜丽莎是谁画的?",
            "天空为什么是蓝色的?",
            "请问你可以推荐一家好的餐厅吗?",
        ),
    ),
    "japanese": Shop(
        (
            "配送には三日から五日かかり、送料は390円です。荷物が倉庫を出ると、追跡番号をお送りします。",
            "商品は到着から30日以内に返品できます。代金はお支払いのカードに返金します。",
            "京都の店舗は月曜から土曜まで営業しています。祝日は休みです。",
        ),
        (
            ("配送にはどのくらいかかりますか?", "荷物の追跡番号を教えてください"),
            ("返品したいのですが、どうすればいいですか?", "いつカードに返金されますか?"),
            ("土曜は営業していますか?", "店舗は祝日もやっていますか?"),
        ),
        (
            "モンゴルの首都はどこですか?",
            "ゆで卵は何分ゆでればいいですか?",
            "モナリザを描いたのは誰ですか?",
            "空はなぜ青いのですか?",
            "おすすめのレストランを教えてください",
        ),
    ),
    "korean": Shop(
        (
            "배송은 닷새가 걸립니다. 소포가 창고를 떠나면 운송장 번호를 보냅니다.",
            "상품은 받은 날부터 30일 안에 반품할 수 있습니다. 결제한 카드로 환불해 드립니다.",
            "부산 매장은 월요일부터 토요일까지 영업하며 공휴일에는 쉽니다.",
        ),
        (
            ("배송은 얼마나 걸리나요?", "운송장 번호는 어디에 있나요?"),
            ("반품은 어떻게 하나요?", "언제 카드로 환불되나요?"),
            ("토요일에 영업하나요?", "매장은 공휴일에 쉬나요?"),
        ),
        ("몽골의 수도는 어디인가요?", "달걀은 어떻게 삶나요?", "하늘은 왜 파란가요?"),
    ),
    "thai": Shop(
        (
            "การจัดส่งใช้เวลาสามถึงห้าวันทำการ เมื่อพัสดุออกจากคลังสินค้า คุณจะได้รับหมายเลขติดตาม",
            "สินค้าสามารถคืนได้ภายใน 30 วัน เราจะคืนเงินเข้าบัตรที่ใช้ชำระเงิน",
            "ร้านของเราในเชียงใหม่เปิดวันจันทร์ถึงวันเสาร์ และปิดในวันหยุดราชการ",
        ),
        (
            ("การจัดส่งใช้เวลานานเท่าไร", "หมายเลขติดตามพัสดุอยู่ที่ไหน"),
            ("ฉันจะคืนสินค้าได้อย่างไร",),
            ("ร้านเปิดวันเสาร์ไหม",),
        ),
        ("ต้มไข่อย่างไร",),
    ),
}


def build(pages: Sequence[tuple[str, str]]) -> Index:
    return build_index(
        Candidate(Origin(content=name, title="", folder="folder"), Passage(0, text, "", 0, 0))
        for name, text in pages
    )


@pytest.fixture(scope="module")
def alone() -> dict[str, Index]:
    """Return an index of each shop."""
    return {
        language: build([(str(page), text) for page, text in enumerate(shop.pages)])
        for language, shop in SHOPS.items()
    }


@pytest.fixture(scope="module")
def together() -> Index:
    """Return an index of all shops."""
    return build(
        [
            (f"{language} {page}", text)
            for language, shop in SHOPS.items()
            for page, text in enumerate(shop.pages)
        ]
    )


ASKED = [
    (language, page, question)
    for language, shop in SHOPS.items()
    for page, asked in enumerate(shop.asked)
    for question in asked
]


@pytest.mark.parametrize(("language", "page", "question"), ASKED)
def test_a_question_finds_the_page_that_answers_it(
    alone: dict[str, Index], together: Index, language: str, page: int, question: str
) -> None:
    """A question in natural words finds its page, among its language's and among all."""
    assert [each.origin.content for each in alone[language].rank(question, 1)] == [str(page)]
    assert together.rank(question, 1)[0].origin.content == f"{language} {page}"


@pytest.mark.parametrize(
    ("language", "question"),
    [(language, question) for language, shop in SHOPS.items() for question in shop.elsewhere],
)
def test_a_question_about_something_else_finds_nothing(
    alone: dict[str, Index], language: str, question: str
) -> None:
    """A question about something else shares its small words with the pages, and finds none."""
    assert alone[language].rank(question, 5) == []


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Wie richte ich den Drucker ein?", "Den Drucker kann man leicht einrichten."),
        ("Wie schalte ich den Ton ab?", "Der Ton lässt sich abschalten."),
        ("Hoe zet ik het geluid uit?", "Het geluid is eenvoudig uitzetten."),
    ],
)
def test_a_parted_verb_is_found_whole(question: str, answer: str) -> None:
    """A verb whose particle ends the question counts as the word that the passage has."""
    (found,) = build([("answer", answer)]).rank(question, 1)
    assert found.text == answer
    spoken = [Language.GERMAN if "ich" in question else Language.DUTCH]
    stems = set(words.index_terms([answer], spoken[0])[1][0])
    assert all(stems & set(forms) for forms in questions.question_terms(question, spoken))


@pytest.mark.parametrize(
    ("language", "question", "passage"),
    [
        (Language.RUSSIAN, "новый", "новом"),
        (Language.POLISH, "plików", "ten plik"),
        (Language.TURKISH, "kitaplardan", "kitaplar"),
        (Language.HUNGARIAN, "házakról", "házak"),
        (Language.SPANISH, "instalaciones", "la instalación"),
        (Language.SPANISH, "instalacion", "instalaciones"),
        (Language.PORTUGUESE, "devolucao", "devoluções"),
        (Language.FRENCH, "expediee", "expédiés"),
        (Language.HINDI, "किताबों", "किताब"),
        (Language.GREEK, "δρόμους", "δρόμος"),
        (Language.SERBIAN, "кућама", "kuća"),
    ],
)
def test_a_word_is_found_in_another_form(language: Language, question: str, passage: str) -> None:
    """Question and passage meet in a stem, with accents or where they are left out."""
    stems = set(words.index_terms([passage], language)[1][0])
    ((*forms,),) = questions.question_terms(question, [language])
    assert stems & set(forms)


@pytest.mark.parametrize("language", Language)
def test_a_language_is_told_by_its_stop_words(language: Language) -> None:
    """The stop words of each language tell it, and are words as they are compared."""
    listed = stop_words.load(language)
    assert words.detect_language(listed) == language
    assert [word for word in listed if words.split_words(word) != [word]] == []
    assert words.stem_words(["word"], language)


@pytest.mark.parametrize("language", Unspaced)
def test_what_is_cut_out_is_folded(language: Unspaced) -> None:
    """The strings that are cut out of a question without spaces are folded, as the question is."""
    listed = stop_words.load(language)
    assert [each for each in listed if words.fold(each) != each] == []
    longest = max(listed, key=len)
    assert stop_words.load_cuts(language).findall(longest) == [longest]


def test_a_passage_of_names_is_in_no_language() -> None:
    """Few stop words among many words are names, and tell no language."""
    assert words.detect_language(["de", "los", *map(str, range(100))]) is None
    assert words.detect_language(["de", "los", "perros"]) == Language.SPANISH
    assert words.detect_language(["the"]) is None


def test_the_stop_words_of_all_likely_languages_are_dropped() -> None:
    """A question whose stop words are of several languages has none of them left."""
    assert len(words.choose_languages(["qui", "a", "la", "peint", "joconde"])) > 1
    assert questions.question_terms("Qui a peint la Joconde ?", []) == [("peint",), ("jocond",)]


def test_a_short_question_is_likely_in_the_passages_language() -> None:
    """Where few stop words are of several languages, the passages' language is taken."""
    question = "¿Qué vino va bien con el pescado?"
    assert questions.question_terms(question, [Language.SPANISH])[0][0] == "vin"
    split = words.split_words(question)
    assert words.choose_languages(split, [Language.SPANISH]) == [Language.SPANISH]


@pytest.mark.parametrize(
    ("question", "telling"),
    [
        ("pet fee", ["pet", "fee"]),
        ("Van rental price", ["van", "rental", "price"]),
        ("email address", ["email", "address"]),
        ("Bin schedule", ["bin", "schedul"]),
        ("car sale", ["car", "sale"]),
        ("bin man schedule", ["bin", "man", "schedul"]),
        ("Is my pet ok?", ["pet", "ok"]),
        ("a van for six men", ["van", "six", "men"]),
        ("Van rental price per day", ["van", "rental", "price", "per", "day"]),
        ("die cast model of a van", ["die", "cast", "model", "van"]),
    ],
)
def test_a_word_stays_that_is_a_stop_word_of_another_language(
    question: str, telling: list[str]
) -> None:
    """A question loses no word to the list of a language that no passage has."""
    asked = questions.question_terms(question, [Language.ENGLISH])
    assert [forms[0] for forms in asked] == telling


def test_a_short_question_finds_its_key_word() -> None:
    """The page of a short question's key word is found, though another has its other word."""
    asked = build(
        [
            ("pets", "Two pets are welcome, and the night costs three pounds for each of them."),
            ("booking", "The fee for a booking is ten pounds; the schedule is at the reception."),
            ("bins", "The bins are emptied on Tuesday, before it is eight in the morning."),
        ]
    )
    assert {each.origin.content for each in asked.rank("pet fee", 2)} == {"pets", "booking"}
    assert {each.origin.content for each in asked.rank("Bin schedule", 2)} == {"bins", "booking"}
    assert [each.origin.content for each in asked.rank("Pet policy", 2)] == ["pets"]


def test_a_question_in_another_language_than_the_passages_loses_its_stop_words() -> None:
    """Three words that no language of the passages has tell another language."""
    asked = questions.question_terms("Wie hoch ist der Mount Everest?", [Language.ENGLISH])
    assert [forms[0] for forms in asked] == ["hoch", "mount", "ever"]


def test_the_languages_of_few_passages_tell_a_question() -> None:
    """Words are stemmed in six of the passages' languages, and a question may be in any of them."""
    tongues = [each for each in Language if each is not Language.GERMAN][: questions.MAX_LANGUAGES]
    asked = questions.question_terms("Wo Druckers?", [*tongues, Language.GERMAN])
    assert [forms[0] for forms in asked] == ["druck"]


def test_katakana_is_a_word_and_hiragana_none() -> None:
    """A word of katakana counts as a whole, whether its last vowel is long or not."""
    terms = questions.question_terms("サーバーのパスワードを変更したいのですが", [])
    assert terms == [("サー ーバ",), ("パス スワ ワー ード",), ("変更",)]
    assert questions.question_terms("ありがとう", []) == [
        ("あり",),
        ("りが",),
        ("がと",),
        ("とう",),
    ]


@pytest.mark.parametrize(
    ("question", "terms"),
    [
        ("프린터를 설정하려면", [("프린",), ("린터",), ("설정",)]),
        ("사과", [("사과",)]),
        ("어떻게 하나요", [("어떻",), ("떻게",), ("하나",), ("나요",)]),
    ],
)
def test_korean_endings_are_cut_off(question: str, terms: list[tuple[str, ...]]) -> None:
    """Endings and small words of Korean do not count, unless a question has no others."""
    assert questions.question_terms(question, []) == terms


def test_a_single_character_is_found_and_weighs_little() -> None:
    """A Han character that is a word is found, and does not draw what is about something else."""
    found = build([("cat", "我家有一只猫。"), ("dog", "我家有一只狗。")]).rank("猫", 5)
    assert [each.origin.content for each in found] == ["cat"]
    other = build([("cat", "我家有一只猫。")])
    assert other.rank("猫为什么会打呼噜?", 5) == []
