"""The text of mails and mailboxes, with their attachments."""

from email.message import EmailMessage
from email.policy import SMTP

import pytest

from afterword.files import media_types
from afterword.generations import FailedError
from afterword_documents import mails
from afterword_documents.extraction import extract
from tests.harness import pdf_files
from tests.harness.docx_files import docx, paragraph
from tests.harness.packages import cell, row, xlsx

HEAD = "From: a@example.com\nTo: b@example.com\n"


def read(content: bytes) -> str:
    """Return a mail's text, as a file that is sent is read."""
    assert media_types.detect(content) == media_types.EML
    return extract(media_types.EML, content, 20)


def read_here(content: str | bytes) -> str:
    """Return a mail's text without its attachments, in this process."""
    if isinstance(content, str):
        content = content.encode()
    return mails.text(content, lambda _content, _depth, _label: None)


def message(text: str = "Bonjour,\nà demain.") -> EmailMessage:
    """Return a mail with all headers that matter."""
    mail = EmailMessage(SMTP)
    mail["From"] = "Zoé Néel <zoe@example.com>"
    mail["To"] = "Bob <bob@example.com>, amélie@example.com"
    mail["Cc"] = "Équipe <team@example.com>"
    mail["Date"] = "Mon, 30 Nov 2026 10:00:00 +0100"
    mail["Subject"] = "Réclamation n° 5, ce matin, à propos d'une très longue livraison de café"
    mail["X-Secret"] = "not shown"
    mail.set_content(text)
    return mail


def test_a_mail_has_its_headers_and_its_text() -> None:
    """Sender, receivers, date and subject stand above the text, in words; no other header does."""
    assert read(message().as_bytes()) == (
        "# Réclamation n° 5, ce matin, à propos d'une très longue livraison de café\n\n"
        "From: Zoé Néel <zoe@example.com>\n"
        "To: Bob <bob@example.com>, amélie@example.com\n"
        "Cc: Équipe <team@example.com>\n"
        "Date: Mon, 30 Nov 2026 10:00:00 +0100\n"
        "Subject: Réclamation n° 5, ce matin, à propos d'une très longue livraison de café\n\n"
        "Bonjour,\nà demain."
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(b"=?utf-8?B?w4l0w6k=?=", "Été", id="base64"),
        pytest.param(b"=?UTF-8?q?=C3=89t=C3=A9_=3F?=", "Été ?", id="quoted"),
        pytest.param(b"=?windows-1252?Q?=C9t=E9_=80?= (a)", "Été € (a)", id="another charset"),
        pytest.param(b"=?iso-8859-1*fr?Q?=C9t=E9?=", "Été", id="with a language"),
        pytest.param(b"=?utf-8?q?=C3=89?=\n =?utf-8?q?t=C3=A9?=", "Été", id="over two lines"),
        pytest.param(b"=?utf-8?b?w4l0w6?=\n =?utf-8?b?qQ==?=", "Été", id="without padding"),
        pytest.param(b"=?utf-8?q?=C3?= =?utf-8?q?=89t=C3=A9?=", "Été", id="cut in a character"),
        pytest.param(b"a =?utf-8?q?=C3=A9?= b", "a é b", id="among words"),
        pytest.param(b"=?gb2312?B?xOO6ww==?=", "你好", id="Chinese"),
        pytest.param(b"=?ISO-2022-JP?B?GyRCJCIbKEI=?=", "あ", id="Japanese"),
        pytest.param(b"=?koi8-r?B?8NLJ18XU?=", "Привет", id="Russian"),
        pytest.param(b"\xc3\x89t\xc3\xa9", "Été", id="UTF-8 as it is"),
        pytest.param(b"\xc9t\xe9", "Été", id="windows-1252 as it is"),
        pytest.param(b"=?no-such?q?=C3=A9?=", "é", id="an unknown charset"),
        pytest.param(b"=?utf-8?b?!!!!?= a", "a", id="no base64"),
        pytest.param(b"=?utf-8?x?abc?=", "=?utf-8?x?abc?=", id="no such coding"),
    ],
)
def test_each_form_of_a_header_is_decoded(value: bytes, words: str) -> None:
    """A subject is read in each form of RFC 2047, and in those that programs write besides."""
    text = read_here(b"From: a@b\nSubject: " + value + b"\n\nx")
    assert text == f"# {words}\n\nFrom: a@b\nSubject: {words}\n\nx"


def test_attachments_are_read_and_named() -> None:
    """Each attachment that is a document stands below its name; the others are named alone."""
    mail = message("See the files.")
    mail.add_attachment(
        docx(paragraph("Le contrat.")), maintype="application", subtype="octet-stream",
        filename="contrat été.docx",
    )  # fmt: skip
    mail.add_attachment(
        xlsx({"Prix": row(cell("Café"))}), maintype="application", subtype="x", filename="a.xlsx"
    )
    mail.add_attachment(
        pdf_files.with_pages("Page"), maintype="image", subtype="png", filename="b.pdf"
    )
    mail.add_attachment("Nom;Prix\nCafé;4\nThé;3", charset="iso-8859-1", filename="c.csv")
    mail.add_attachment("<p>Une page &eacute;</p>", subtype="html", filename="d.html")
    mail.add_attachment(b"\x89PNG\r\n\x1a\n0", maintype="image", subtype="png", filename="e.png")
    mail.add_attachment(b"PK\x03\x04", maintype="application", subtype="zip", filename="f.zip")
    assert read(mail.as_bytes()).partition("See the files.\n\n")[2] == (
        "## contrat été.docx\n\nLe contrat.\n\n## a.xlsx\n\n# Prix\n\n| Café |\n\n"
        "## b.pdf\n\nPage\n\n## c.csv\n\nNom;Prix\nCafé;4\nThé;3\n\n## d.html\n\nUne page é\n\n"
        "Attached, and not read: e.png\n\nAttached, and not read: f.zip"
    )


def alternative(plain: str, page: str) -> str:
    """Return the text of a mail with two forms, below its headers."""
    mail = message(plain)
    mail.add_alternative(page, subtype="html")
    return read_here(mail.as_bytes()).rpartition("livraison de café\n\n")[2]


def test_the_best_form_of_a_text_is_read() -> None:
    """Plain text is read instead of the page beside it, unless it is missing or a stub."""
    page = "<p>Bonjour, <b>Zoé</b>.</p><ul><li>un<li>deux</ul>"
    assert alternative("Bonjour, Zoé. un, deux", page) == "Bonjour, Zoé. un, deux"
    assert alternative("\n", page) == "Bonjour, Zoé.\n\n- un\n- deux"
    assert alternative("See the page.", page * 9).startswith("Bonjour, Zoé.\n\n- un")


def test_a_page_is_read_in_its_charset() -> None:
    """A mail that is a page is read as pages are, by the charset of the part or of the page."""
    page = b"<html><head><meta charset=iso-8859-1></head><h1>\xc9t\xe9</h1><p>\x80</p>"
    for charset in (b"; charset=windows-1252", b""):
        content = b"From: a@b\nTo: c@d\nContent-Type: text/html" + charset + b"\n\n" + page
        assert read_here(content) == "From: a@b\nTo: c@d\n\n# Été\n\n€"


def test_pictures_of_a_page_and_signatures_are_passed_over() -> None:
    """Pictures in a page and signatures of a mail are neither read nor named."""
    mail = message("Signed.")
    mail.add_alternative("<img src=cid:a>Signed.", subtype="html")
    *_, page = mail.iter_parts()
    page.add_related(
        b"\x89PNG\r\n\x1a\n0", maintype="image", subtype="png", cid="<a>", filename="logo.png"
    )
    mail.add_attachment(
        b"0", maintype="application", subtype="pkcs7-signature", filename="smime.p7s"
    )
    assert read_here(mail.as_bytes()).endswith("livraison de café\n\nSigned.")


def test_lines_that_flow_are_joined() -> None:
    """Lines that a program has broken for their length are one line again (RFC 3676)."""
    content = (
        f"{HEAD}Content-Type: text/plain; format=flowed\n\n"
        "One long \nline.\n\n> quoted \n> line\n>> deeper\n-- \nZoé\n"
    )
    assert read_here(content).partition("example.com\n\n")[2] == (
        "One long line.\n\n> quoted line\n>> deeper\n-- \nZoé"
    )


def test_forwarded_mails_are_read() -> None:
    """A mail in a mail has its own headers and attachments; so has a mail that is a file."""
    inner = message("Inner text.")
    inner.add_attachment(
        docx(paragraph("Le contrat.")), maintype="application", subtype="x", filename="a.docx"
    )
    outer = EmailMessage(SMTP)
    outer["From"], outer["To"], outer["Subject"] = "x@example.com", "y@example.com", "Fwd: a"
    outer.set_content("See below.")
    outer.add_attachment(inner)
    saved = message("Saved text.").as_bytes()
    outer.add_attachment(saved, maintype="application", subtype="x", filename="b.eml")
    text = read(outer.as_bytes())
    assert text.startswith("# Fwd: a\n\nFrom: x@example.com\nTo: y@example.com\nSubject: Fwd: a")
    assert "\n\n## Réclamation n° 5" in text
    assert "Inner text.\n\n### a.docx\n\nLe contrat.\n\n## b.eml\n\n## Réclamation" in text
    assert text.endswith("Saved text.")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        pytest.param(
            "Content-Type: multipart/mixed; boundary=x\n\nno parts", "no parts", id="no parts"
        ),
        pytest.param(
            "Content-Type: multipart/mixed; boundary=x\n\n--x\n\none\n--x\n\ntwo",
            "one\n\ntwo",
            id="parts without an end",
        ),
        pytest.param("Content-Type: nonsense\n\na", "a", id="no type"),
        pytest.param(
            "Content-Type: text/plain; charset*=x'y'\n\na", "a", id="no charset in a parameter"
        ),
        pytest.param("Content-Transfer-Encoding: base64\n\n!a?", "!a?", id="no base64"),
        pytest.param("Content-Transfer-Encoding: x-uuencode\n\na", "a", id="no uuencode"),
        pytest.param("Content-Type: text/plain; charset=utf-7\n\na", "a", id="UTF-7"),
    ],
)
def test_what_is_wrong_in_a_mail_is_read_as_it_is(content: str, text: str) -> None:
    """A mail that breaks the rules is read as far as it has text."""
    assert read(f"{HEAD}{content}".encode()).partition("example.com\n\n")[2] == text


def test_a_mailbox_is_read_mail_by_mail() -> None:
    """Each mail of a mailbox has its heading; a quoted line of a text is as it was."""
    content = (
        b"From - Mon Nov 30 10:00:00 2026\r\nFrom: a@b\r\nSubject: One\r\n\r\n>From here on\r\n\r\n"
        b"From c@d Mon Nov 30 11:00:00 2026\r\nFrom: c@d\r\nSubject: Two\r\n\r\nsecond\r\n"
    )
    assert media_types.detect(content) == media_types.MBOX
    assert extract(media_types.MBOX, content, 20) == (
        "# One\n\nFrom: a@b\nSubject: One\n\nFrom here on\n\n"
        "# Two\n\nFrom: c@d\nSubject: Two\n\nsecond"
    )


def test_a_mail_whose_parameters_cannot_be_put_together_is_refused() -> None:
    """A parameter of which one piece alone has a number is damage (RFC 2231)."""
    content = f"{HEAD}Content-Type: text/plain; charset*=a; charset*1=b; charset*0=c\n\nx"
    with pytest.raises(FailedError, match="damaged"):
        read(content.encode())


def test_a_mail_without_text_is_refused() -> None:
    """A mail that has neither the usual headers nor a text has no text."""
    content = b"Received: a\nMIME-Version: 1.0\n\n \n"
    with pytest.raises(FailedError, match="no text"):
        read(content)


RUSSIAN = "Здравствуйте, заказ потерян, деньги пропали. Подскажите, куда обратиться?"


@pytest.mark.parametrize("charset", ["", "; charset=unknown-8bit"])
@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r"])
def test_a_text_without_a_known_charset_is_read_by_its_language(
    encoding: str, charset: str
) -> None:
    """Bodies and attachments have the characters of their language, as texts of their own have."""
    headers = f"Content-Type: text/plain{charset}\nContent-Transfer-Encoding: 8bit\n"
    content = f"{HEAD}{headers}\n{RUSSIAN}".encode(encoding)
    assert read_here(content).endswith(RUSSIAN)
    mail = message()
    mail.add_attachment(RUSSIAN.encode(encoding), "text", "plain", filename="a.txt")
    assert read(mail.as_bytes()).endswith(f"## a.txt\n\n{RUSSIAN}")


def test_an_attached_text_is_read_in_the_charset_of_its_part() -> None:
    """The part names the encoding of an attached text, however short the text is."""
    mail = message()
    mail.add_attachment("Цена;4", charset="koi8-r", filename="a.txt")
    assert read(mail.as_bytes()).partition("## a.txt\n\n")[2] == "Цена;4"


def test_bytes_in_a_header_are_of_the_bodys_charset() -> None:
    """Old programs write headers as they write the body."""
    head = f"{HEAD}Subject: Заказ\nContent-Type: text/plain; charset=koi8-r\n"
    content = f"{head}\n Привет.".encode("koi8-r")
    assert read_here(content).startswith("# Заказ\n")
    assert read_here(content).endswith("\n\n Привет.")


def test_a_mailbox_is_parted_at_lines_with_a_time_alone() -> None:
    """A paragraph that begins as the lines between mails do is of its mail."""
    separator = "From a@example.com Mon Nov 30 10:00:00 2026\n"
    mail = f"{HEAD}\nHello.\n\nFrom here on, all is new.\n\n"
    content = (f"{separator}{mail}" * 2).encode()
    assert media_types.detect(content) == media_types.MBOX
    text = read_here(content)
    assert text.count("From: a@example.com") == 2
    assert text.count("Hello.\n\nFrom here on, all is new.") == 2


@pytest.mark.parametrize("kind", ["mixed", "alternative"])
@pytest.mark.parametrize("subtype", ["rtf", "plain"])
def test_a_body_in_rtf_is_read_as_such(kind: str, subtype: str) -> None:
    """The words of a body in RTF are read, and its code is not."""
    body = f"--b\nContent-Type: text/{subtype}\n\n{{\\rtf1 Hello \\b Bob\\b0}}\n--b--"
    content = f'{HEAD}MIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary="b"\n\n{body}'
    assert read_here(content).endswith("\n\nHello Bob")


@pytest.mark.parametrize("kind", ["mixed", "alternative", "related"])
def test_style_sheets_of_a_mail_are_left_out(kind: str) -> None:
    """A style sheet or a script of a mail is no text of it."""
    parts = {"css": "p { color: red }", "javascript": "alert(1)", "plain": "Hello."}
    body = "".join(f"--b\nContent-Type: text/{name}\n\n{text}\n" for name, text in parts.items())
    head = f'{HEAD}MIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary="b"\n'
    assert read_here(f"{head}\n{body}--b--") == "From: a@example.com\nTo: b@example.com\n\nHello."


def test_an_invitation_is_read_as_its_events() -> None:
    """Of a calendar the events' facts are read; its time zones, alarms and codes are not."""
    lines = (
        "BEGIN:VCALENDAR",
        "METHOD:REQUEST",
        *("BEGIN:VTIMEZONE", "TZID:Europe/Paris", "BEGIN:STANDARD", "DTSTART:19701025T030000"),
        *("END:STANDARD", "END:VTIMEZONE"),
        *("BEGIN:VEVENT", "UID:1", "SUMMARY;LANGUAGE=fr:Réunion\\, mensu", " elle"),
        'DTSTART;TZID="Europe/Paris":20261130T100000',
        *("BEGIN:VALARM", "DESCRIPTION:Reminder", "END:VALARM"),
        *("DTEND:20261130T110000Z", "DESCRIPTION:un\\ndeux", "LOCATION:", "END:VEVENT"),
        "END:VCALENDAR",
    )
    head = f"{HEAD}Content-Type: text/calendar; charset=utf-8; method=REQUEST\n\n"
    assert read_here(head + "\n".join(lines)).endswith(
        "\n\nEvent: Réunion, mensuelle\nStart: 20261130T100000 (Europe/Paris)\n"
        "End: 20261130T110000Z\nDescription: un\ndeux"
    )
    assert read_here(f"{head}nothing").endswith("\n\nnothing")
