"""The adaptations that a process remembers of its models."""

import threading

from afterword.models.adaptations import MAX_MODELS, Adaptation, Adaptations


def test_adaptations_are_of_their_model() -> None:
    """A refusal is remembered of its model, beside earlier ones."""
    adaptations = Adaptations()
    adaptations.learn("m", [Adaptation.NO_TEMPERATURE])
    adaptations.learn("m", [Adaptation.RENAMED_LIMIT])
    adaptations.learn("n", [])
    assert adaptations.of("m") == {Adaptation.NO_TEMPERATURE, Adaptation.RENAMED_LIMIT}
    assert adaptations.of("n") == frozenset()


def test_an_order_is_learned_and_forgotten() -> None:
    """A text without reasoning forgets that one began with it, and nothing else."""
    adaptations = Adaptations()
    adaptations.learn("m", [Adaptation.NO_TEMPERATURE])
    adaptations.learn_order("m", reasons_first=True)
    adaptations.learn_order("m", reasons_first=None)
    assert adaptations.of("m") == {Adaptation.NO_TEMPERATURE, Adaptation.REASONS_FIRST}
    for model in ("m", "n"):
        adaptations.learn_order(model, reasons_first=False)
    assert adaptations.of("m") == {Adaptation.NO_TEMPERATURE}
    assert adaptations.of("n") == frozenset()


def test_each_adaptation_is_a_sentence() -> None:
    """The description has a line for each, always in the same order."""
    adaptations = Adaptations()
    adaptations.learn("m", list(Adaptation))
    lines = adaptations.describe("m")
    assert lines == tuple(Adaptation)
    assert all(": " in line or " as " in line for line in lines)
    assert not any("\n" in line for line in lines)


def test_the_model_asked_for_longest_ago_is_forgotten_first() -> None:
    """A process remembers a bounded number of models."""
    adaptations = Adaptations()
    for number in range(MAX_MODELS):
        adaptations.learn(str(number), [Adaptation.NO_TEMPERATURE])
    assert adaptations.of("0")
    adaptations.learn("more", [Adaptation.NO_TEMPERATURE])
    assert adaptations.of("0")
    assert not adaptations.of("1")
    assert len([number for number in range(MAX_MODELS) if adaptations.of(str(number))]) == 255


def test_threads_learn_side_by_side() -> None:
    """No thread undoes the learning of another."""
    adaptations = Adaptations()
    start = threading.Barrier(len(Adaptation))

    def learn(each: Adaptation) -> None:
        start.wait()
        for number in range(MAX_MODELS // 2):
            adaptations.learn(str(number), [each])

    threads = [threading.Thread(target=learn, args=(each,)) for each in Adaptation]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(adaptations.of(str(n))) == len(Adaptation) for n in range(MAX_MODELS // 2))
