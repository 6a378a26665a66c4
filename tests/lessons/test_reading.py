"""A lesson file becomes words and cells, as jupytext reads them, or one message that helps."""

from __future__ import annotations

from pathlib import Path

import jupytext
import pytest

from tests.lessons.writing import BODY, text_of, write_lesson
from workbench.errors import LessonError
from workbench.lessons import course, find, read_lesson
from workbench.lessons.catalogue import course_files
from workbench.lessons.lesson_file import Cell, Lesson, Text
from workbench.lessons.reading import parse


def parsed(text: str) -> Lesson:
    lesson, problems = parse(text, Path("01-small.md"))
    assert lesson is not None
    assert problems == []
    return lesson


def test_everything_that_a_lesson_says_is_read(tmp_path: Path) -> None:
    lesson = read_lesson(write_lesson(tmp_path, number=7))
    assert (lesson.id, lesson.number, lesson.title) == ("small", 7, "A small lesson")
    assert (lesson.category, lesson.tags, lesson.supported_hardware) == (
        "Basics",
        ("test",),
        ("cpu",),
    )
    assert (lesson.prerequisites, lesson.estimated_minutes) == ((), 4)
    kinds = [type(block).__name__ for block in lesson.blocks]
    assert kinds == ["Text", "Cell", "Text", "Cell", "Cell", "Text", "Cell", "Cell", "Text"]
    assert lesson.checks == ("q1",)
    assert [cell.id for cell in lesson.cells] == ["setup", "show", "a-config", "your-answer", "q1"]


def test_both_forms_of_options_are_read(tmp_path: Path) -> None:
    lesson = read_lesson(write_lesson(tmp_path))
    setup, config = lesson.cell("setup"), lesson.cell("a-config")
    assert setup is not None
    assert config is not None
    assert setup.is_setup
    assert setup.title == "Open the lesson"
    assert config.is_config
    assert config.title == "A layer: of your own"
    assert config.config_name == "first.yaml"
    assert config.config_arguments == ("--hardware_config", "gpu/tiny")
    assert config.config_text == "training:\n  batch_size: 2"


def test_every_block_knows_its_line(tmp_path: Path) -> None:
    path = write_lesson(tmp_path)
    lines = path.read_text().split("\n")
    for block in read_lesson(path).blocks:
        if isinstance(block, Cell):
            assert "{code-cell}" in lines[block.line - 1]
            assert lines[block.source_line - 1] == block.source.split("\n")[0]
        else:
            assert lines[block.line - 1] == block.markdown.split("\n")[0]


def test_a_fence_may_be_longer_and_hold_fences() -> None:
    body = (
        '`````{code-cell} ipython3\n:ava: {id: long}\n\nx = """\n```python\n"""\n`````\n\n'
        "````markdown\n```{code-cell} ipython3\nshown, not run\n```\n````\n"
    )
    lesson = parsed(text_of(body))
    (cell,) = lesson.cells
    assert cell.source == 'x = """\n```python\n"""'
    assert isinstance(lesson.blocks[1], Text)


def test_a_cell_in_a_list_is_words_as_it_is_for_jupytext() -> None:
    lesson = parsed(text_of("- item\n\n  ```{code-cell} ipython3\n  1\n  ```\n"))
    assert lesson.cells == ()


def test_a_line_of_three_plus_signs_parts_words_as_it_does_for_jupytext() -> None:
    lesson = parsed(text_of("one\n\n+++\n\ntwo\n"))
    assert [block.markdown for block in lesson.blocks if isinstance(block, Text)] == ["one", "two"]


def test_line_ends_and_a_byte_order_mark_make_no_difference(tmp_path: Path) -> None:
    here, there = tmp_path / "01-small.md", tmp_path / "02-small.md"
    here.write_text(text_of())
    there.write_bytes(b"\xef\xbb\xbf" + text_of().replace("\n", "\r\n").encode())
    assert read_lesson(here).blocks == read_lesson(there).blocks
    assert read_lesson(here).digest == read_lesson(there).digest


def test_words_change_no_digest_and_code_changes_both() -> None:
    before = parsed(text_of())
    reworded = parsed(text_of(BODY.replace("Words before", "Better words before"), title="New"))
    assert reworded.digest == before.digest
    demonstration = parsed(text_of(BODY.replace("6 * 7", "6 * 8")))
    assert demonstration.digest != before.digest
    assert demonstration.digest_of("q1") == before.digest_of("q1")
    check = parsed(text_of(BODY.replace("answer=answer_q1", "answer=answer_q1, run='a'")))
    assert check.digest_of("q1") != before.digest_of("q1")


def test_a_check_is_called_what_its_cell_calls() -> None:
    lesson = parsed(text_of(BODY.replace("id: q1,", "id: check-q1,")))
    assert lesson.checks == ("q1",)
    cell = lesson.check_cell("q1")
    assert cell is not None
    assert cell.id == "check-q1"
    assert cell.call is not None
    assert cell.call.names == {"answer": "answer_q1"}


SHOWN = "```{code-cell} ipython3\n:ava: {"


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("# no front matter\n", "# no", "front matter"),
        (text_of(title=...), "ava:", "ava.title is missing"),
        (text_of(estimatedMinutes="soon"), "soon", "estimatedMinutes is 'soon'"),
        (text_of(category="Cooking"), "Cooking", "category"),
        (text_of(supportedHardware=["tpu"]), "tpu", "supportedHardware"),
        (text_of(estimatedMinute=3), "estimatedMinute: 3", "no key ava.estimatedMinute"),
        (text_of().replace("ava:\n", "ave:\n", 1), "---", "'ava:' map"),
        (
            text_of().replace('"A small lesson"', "A small: lesson"),
            "A small: lesson",
            "not valid YAML",
        ),
        (text_of(BODY.replace("{id: show}", "{title: show}")), SHOWN, "no ava.id"),
        (text_of(BODY.replace("id: show", "id: Show it")), "Show it", "'Show it' is no id"),
        (text_of(BODY.replace("id: show", "id: setup")), SHOWN, "stands twice"),
        (text_of(BODY.replace("{id: show}", "{id: show")), "\n6 * 7", "not valid YAML"),
        (
            text_of(BODY.replace("tags: [ava-edit]", "tags: ava-edit")),
            "tags: ava-edit",
            "tags are a list",
        ),
        (
            text_of(BODY.replace(":ava: {id: show}", ":ava: {id: show, title: 4}")),
            "title: 4",
            "is no text",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, text: str, at: str, words: str
) -> None:
    path = tmp_path / "01-small.md"
    path.write_text(text)
    line = text[: text.index(at)].count("\n") + 1
    with pytest.raises(LessonError) as caught:
        read_lesson(path)
    shown = caught.value.render()
    assert words in shown
    assert f"{path}:{line}\n" in shown + "\n"


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    for name, data in (("no.md", None), ("bin.md", b"\0\1"), ("latin.md", b"---\n\xe4\n---\n")):
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(LessonError) as caught:
            read_lesson(path)
        assert name in caught.value.render()
        assert "config" not in caught.value.what


@pytest.mark.parametrize("path", course_files(), ids=lambda path: path.stem)
def test_the_course_is_read_as_jupytext_reads_it(path: Path) -> None:
    lesson = read_lesson(path)
    assert path.stem == f"{lesson.number:02d}-{lesson.id}"
    notebook = jupytext.reads(path.read_text(), fmt="md:myst")
    blocks = [
        ("code", block.source) if isinstance(block, Cell) else ("markdown", block.markdown)
        for block in lesson.blocks
    ]
    assert blocks == [(cell.cell_type, cell.source.rstrip()) for cell in notebook.cells]


def test_the_course_is_in_order_and_found_by_every_name() -> None:
    lessons = course()
    assert [each.number for each in lessons] == sorted(each.number for each in lessons)
    for each in lessons:
        for name in (each.id, str(each.number), each.path.stem, each.path.name):
            assert find(name) is each


def test_an_unknown_lesson_is_refused_with_the_nearest() -> None:
    with pytest.raises(LessonError, match="no lesson 'frist-launch'") as caught:
        find("frist-launch")
    assert "first-launch" in (caught.value.fix or "")


def test_a_lesson_of_ones_own_is_found_by_its_path(tmp_path: Path) -> None:
    assert find(str(write_lesson(tmp_path))).id == "small"


def test_a_lesson_of_ones_own_is_found_by_its_id_where_one_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_lesson(tmp_path)
    monkeypatch.setenv("AVA_WORKSPACE", str(tmp_path))
    assert find("small").path == path
    monkeypatch.delenv("AVA_WORKSPACE")
    monkeypatch.chdir(tmp_path)
    assert find("small").path == path
    with pytest.raises(LessonError, match="no lesson"):
        find("sm*")
