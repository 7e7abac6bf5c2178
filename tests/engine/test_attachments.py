"""Files on their way to the model."""

from collections.abc import Sequence

import pytest

from afterword.engine import attachments
from afterword.files import StoredFile, media_types
from afterword.flows.flow import Step
from afterword.generations import FailedError, Reason
from afterword.models import Attachment, bedrock_request
from afterword.runtime.deadline import Deadline
from tests.harness import packages

TEXT_ONLY = Step(name="reply", instructions="Answer.")
LOOKS = Step(name="reply", instructions="Answer.", accepts_images=True)
MINUTE = 60.0


def make_file(media_type: str, content: str = "Hello") -> StoredFile:
    """Return a file for the input `paper`, whose key is its content."""
    return StoredFile(
        input="paper", name="a.txt", media_type=media_type, size=len(content), key=content
    )


def prepare(
    files: Sequence[StoredFile], step: Step = TEXT_ONLY, documents: Sequence[str] = ()
) -> tuple[list[tuple[str, str]], tuple[Attachment, ...]]:
    """Prepare files that are stored under their content, and give what a step gets of them."""
    steps = (TEXT_ONLY, step)
    deadline = Deadline.after(MINUTE)
    ready = attachments.prepare_files(
        files, steps, documents, lambda file: file.key.encode(), deadline
    )
    return list(ready.texts), ready.of(step)


def test_a_document_goes_as_it_is_where_the_model_takes_it() -> None:
    """A document that the model can read is attached, in the order that it was sent in."""
    files = [make_file("application/pdf", "%PDF-"), make_file("text/plain")]
    texts, attached = prepare(files, documents=["application/pdf", "text/plain"])
    assert texts == []
    assert attached == (
        Attachment(media_type="application/pdf", content=b"%PDF-"),
        Attachment(media_type="text/plain", content=b"Hello"),
    )


def test_a_document_goes_as_text_elsewhere() -> None:
    """A document that the model cannot read is read for it, and goes under the input's name."""
    texts, attached = prepare([make_file("text/plain"), make_file("text/markdown", "# Hi")])
    assert [(name, text.strip()) for name, text in texts] == [("paper", "Hello"), ("paper", "# Hi")]
    assert attached == ()


def test_a_text_in_another_encoding_goes_as_text() -> None:
    """Models expect UTF-8: a text in another encoding is decoded, and goes under the input's name.

    Markdown in UTF-8 is attached beside it.
    """
    files = [make_file("text/csv", "nom;été"), make_file("text/markdown", "# Été")]
    contents = {file.key: file.key.encode() for file in files}
    contents[files[0].key] = files[0].key.encode("cp1252")
    ready = attachments.prepare_files(
        files,
        (TEXT_ONLY,),
        ["text/csv", "text/markdown"],
        lambda file: contents[file.key],
        Deadline.after(MINUTE),
    )
    assert ready.texts == (("paper", "nom;été"),)
    assert [each.content for each in ready.attached] == ["# Été".encode()]


def test_a_workbook_goes_as_it_is_or_as_its_sheets() -> None:
    """A workbook is attached where the model reads such files, and is its tables elsewhere."""
    workbook = packages.xlsx({"Prix": packages.row(packages.cell("Caf\u00e9"))})
    assert media_types.XLSX in bedrock_request.DOCUMENTS
    file = StoredFile(
        input="paper", name="a.xlsx", media_type=media_types.XLSX, size=len(workbook), key="a"
    )
    deadline = Deadline.after(MINUTE)
    ready, attached = (
        attachments.prepare_files([file], (TEXT_ONLY,), types, lambda _: workbook, deadline)
        for types in ((), bedrock_request.DOCUMENTS)
    )
    assert ready.texts == (("paper", "# Prix\n\n| Caf\u00e9 |"),)
    assert attached.attached == (Attachment(media_type=media_types.XLSX, content=workbook),)


def test_more_documents_than_the_model_takes_go_as_text() -> None:
    """Of seven documents five are attached and two are read."""
    texts, attached = prepare([make_file("text/plain")] * 7, documents=["text/plain"])
    assert (len(texts), len(attached)) == (2, 5)


def test_an_image_goes_to_a_model_that_looks_at_images() -> None:
    """The owner says that a step's model can see; then it does."""
    _, attached = prepare([make_file("image/png", "PNG")], LOOKS)
    assert attached == (Attachment(media_type="image/png", content=b"PNG"),)


def test_an_image_goes_to_no_other_step() -> None:
    """A step whose model is blind gets the documents, and not the images."""
    files = [make_file("image/png", "PNG"), make_file("text/plain")]
    deadline = Deadline.after(MINUTE)
    ready = attachments.prepare_files(
        files, (TEXT_ONLY, LOOKS), ["text/plain"], lambda file: file.key.encode(), deadline
    )
    assert [each.media_type for each in ready.of(TEXT_ONLY)] == ["text/plain"]
    assert [each.media_type for each in ready.of(LOOKS)] == ["image/png", "text/plain"]


def test_an_image_fails_where_no_model_looks_at_it() -> None:
    """Elsewhere a generation with an image fails, with a reason that names the input."""
    with pytest.raises(FailedError) as failed:
        prepare([make_file("image/png", "PNG")])
    assert failed.value.reason is Reason.IMAGE_NOT_ACCEPTED
    assert str(failed.value) == (
        "paper: the file is an image, and no step of the flow accepts images."
    )


def test_a_file_that_cannot_be_read_fails_with_its_input() -> None:
    """A broken document fails the generation with a reason, and names the input that it is for."""
    with pytest.raises(FailedError) as failed:
        prepare([make_file("application/pdf", "%PDF-1.7 nothing")])
    assert failed.value.reason is Reason.UNREADABLE_FILE
    assert str(failed.value).startswith("paper: ")


def test_without_files_nothing_is_prepared() -> None:
    """A generation without files needs no library for them."""
    assert prepare([]) == ([], ())


@pytest.mark.parametrize("media_type", ["application/pdf", "text/html"])
def test_a_worker_with_little_memory_reads_plain_texts_alone(media_type: str) -> None:
    """A document fails with the parameter that its owner has to raise; a text is read."""
    contents = {"text/plain": b"Bonjour", media_type: b"%PDF-"}

    def prepare_one(of: str, accepted: Sequence[str] = ()) -> attachments.PreparedFiles:
        return attachments.prepare_files(
            [make_file(of)],
            (TEXT_ONLY,),
            accepted,
            lambda _: contents[of],
            Deadline.after(MINUTE),
            reads_documents=False,
        )

    assert prepare_one("text/plain").texts == (("paper", "Bonjour"),)
    assert len(prepare_one(media_type, [media_type]).attached) == 1
    with pytest.raises(
        FailedError, match=r"^paper: .* WorkerMemory must be at least 512"
    ) as raised:
        prepare_one(media_type)
    assert raised.value.reason is Reason.UNREADABLE_FILE
