"""Nothing that is held out is ever trained on."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.reading import Document
from workbench.data.split import _cut, split_documents

lines = st.lists(st.text(st.characters(exclude_characters="\0\r", codec="utf-8")), max_size=8)
texts = lines.map("\n".join).filter(str.strip)
corpora = st.lists(texts, min_size=1, max_size=40, unique=True)
fractions = st.floats(0.01, 0.49)


def split(corpus: list[str], fraction: float, smallest: int) -> tuple[list[str], list[str]]:
    train, held = split_documents(documents(corpus), fraction, smallest)
    return [each.text for each in train], [each.text for each in held]


def documents(corpus: list[str]) -> list[Document]:
    return [Document(f"{n}.txt", text) for n, text in enumerate(corpus)]


@given(text=texts, share=fractions, at_lines=st.booleans())
@settings(max_examples=3000, deadline=None)
def test_a_cut_loses_and_repeats_nothing(text: str, share: float, *, at_lines: bool) -> None:
    head, tail = _cut(text.encode(), share, at_lines=at_lines)
    assert head + tail == text.encode()
    assert head.decode() + tail.decode() == text  # never inside a character


@given(corpora, fractions, st.integers(1, 200))
@settings(max_examples=3000, deadline=None)
def test_every_character_is_on_exactly_one_side(
    corpus: list[str], fraction: float, smallest: int
) -> None:
    train, held = split(corpus, fraction, smallest)
    assert sorted("".join(train + held)) == sorted("".join(corpus))
    whole_train, whole_held = set(train) & set(corpus), set(held) & set(corpus)
    if len(train) + len(held) == len(corpus) >= 20:  # whole documents
        assert whole_train | whole_held == set(corpus)
        assert not whole_train & whole_held


@given(st.lists(texts, min_size=30, max_size=60, unique=True), fractions)
@settings(max_examples=3000, deadline=None)
def test_the_choice_depends_on_content_alone(corpus: list[str], fraction: float) -> None:
    one = split(corpus, fraction, 1)
    other = split(corpus[::-1], fraction, 1)
    assert sorted(one[0]) == sorted(other[0])
    assert sorted(one[1]) == sorted(other[1])


def test_the_share_is_met() -> None:
    corpus = [f"document {n}\n" * (n % 7 + 3) for n in range(300)]
    train, held = split(corpus, 0.1, 1)
    size = sum(map(len, corpus))
    assert 0.1 <= sum(map(len, held)) / size < 0.12
    assert sorted(train + held) == sorted(corpus)


def test_one_giant_among_many_is_not_held_out() -> None:
    corpus = ["giant\n" * 100_000, *(f"small {n}\n" * 20 for n in range(50))]
    train, held = split(corpus, 0.05, 100)
    assert sum(map(len, held)) < 0.3 * sum(map(len, corpus))
    assert sum(map(len, held)) >= 100
    assert train


def test_a_single_text_is_cut_at_a_line() -> None:
    text = "".join(f"line {n}\n" for n in range(500))
    (train,), (held,) = split([text], 0.1, 1)
    assert train + held == text
    assert train.endswith("\n")
    assert held.startswith("line ")
    assert 0.1 <= len(held) / len(text) < 0.11
