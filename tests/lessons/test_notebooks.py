"""A lesson becomes a notebook and comes back; what a learner has done to a notebook stays."""

from __future__ import annotations

import json
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.lessons.writing import BODY, text_of, write_lesson
from workbench.lessons import course, read_lesson
from workbench.lessons.catalogue import course_files
from workbench.lessons.lesson_file import Lesson
from workbench.lessons.notebooks import (
    KERNEL,
    cell_ids,
    to_markdown,
    to_notebook,
    with_copy,
)
from workbench.lessons.notebooks_merge import merge
from workbench.lessons.notebooks_reading import Prepared, read
from workbench.lessons.reading import parse
from workbench.lessons.workspace import Workspace

Notebook = dict[str, Any]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "space")


def lesson_of(folder: Path, body: str = BODY, **front: Any) -> Lesson:
    return read_lesson(write_lesson(folder, body, **front))


def prepared(workspace: Workspace, lesson: Lesson) -> Prepared:
    (done,) = workspace.prepare([lesson])
    return done


def saved_by_jupyterlab(path: Path, **changes: str) -> Notebook:
    """What JupyterLab does when it saves: outputs, counts, its own metadata, sorted keys."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    for number, cell in enumerate(notebook.cells, start=1):
        cell.source = changes.get(cell.id, cell.source)
        if cell.cell_type == "code":
            cell.execution_count = number
            cell.outputs = [nbformat.v4.new_output("stream", text=f"output of {cell.id}\n")]
            cell.metadata["execution"] = {"iopub.status.busy": "2026-01-01T00:00:00Z"}
    nbformat.validate(notebook)
    nbformat.write(notebook, path)
    return read(path)


def sources(path: Path) -> dict[str, str]:
    return {cell["id"]: cell["source"] for cell in read(path)["cells"]}


def order(path: Path) -> list[str]:
    return [cell["id"] for cell in read(path)["cells"]]


# The round trip


def contents(text: str) -> tuple[object, object]:
    """What a lesson says of itself, and its blocks with all their options."""
    lesson, problems = parse(text, Path("01-small.md"))
    assert lesson is not None
    assert not problems
    said = (lesson.id, lesson.title, lesson.description, lesson.category, lesson.tags)
    more = (lesson.supported_hardware, lesson.prerequisites, lesson.estimated_minutes)
    blocks = [
        block.markdown
        if hasattr(block, "markdown")
        else (block.source, {k: v for k, v in block.options.items() if v != []})
        for block in lesson.blocks
    ]
    return (said, more), blocks


def round_trip(text: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return to_markdown(jupytext.reads(text, fmt="md:myst"))


@pytest.mark.parametrize("path", course_files(), ids=lambda path: path.stem)
def test_a_lesson_of_the_course_survives_the_round_trip(path: Path) -> None:
    text = path.read_text()
    once = round_trip(text)
    assert contents(once) == contents(text)
    assert round_trip(once) == once
    before, after = read_lesson(path), parse(once, path)[0]
    assert after is not None
    assert after.digest == before.digest


# Words that cannot end a fence or begin one, and code that may hold fences.
_line = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=30)
_words = st.lists(_line.map(lambda line: "w " + line), min_size=1, max_size=4).map("\n".join)
_code = st.lists(_line | st.sampled_from(["", "```", "~~~", "````", "# ---"]), max_size=5).map(
    lambda lines: "\n".join(["x = 1", *lines, "y = 2"])
)
_title = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20)
_cell = st.tuples(st.booleans(), st.sampled_from([[], ["ava-edit"]]), _title, _code)


def _written(number: int, long_form: object, tags: list[str], title: str, code: str) -> str:
    fence = "`" * (2 + max((len(run) for run in re.findall("`{3,}", code)), default=1) + 1)
    ava = f"{{id: cell-{number}, title: {json.dumps(title, ensure_ascii=False)}}}"
    tagged = f"tags: {json.dumps(tags)}"
    options = f"---\n{tagged}\nava: {ava}\n---" if long_form else f":{tagged}\n:ava: {ava}\n"
    return f"{fence}{{code-cell}} ipython3\n{options}\n{code}\n{fence}"


@given(st.lists(_words | _cell, min_size=1, max_size=6), _title, st.lists(_title, max_size=3))
@settings(max_examples=15, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_any_lesson_survives_the_round_trip(blocks: list[Any], title: str, tags: list[str]) -> None:
    body = [
        _written(number, *block) if isinstance(block, tuple) else block
        for number, block in enumerate(blocks)
    ]
    text = text_of("\n\n".join(body) + "\n", title=f"t{title}", tags=tags)
    once = round_trip(text)
    assert contents(once) == contents(text)
    assert round_trip(once) == once


def test_a_learners_copy_comes_back_as_the_lesson(workspace: Workspace, tmp_path: Path) -> None:
    lesson = lesson_of(tmp_path)
    prepared(workspace, lesson)
    text = to_markdown(saved_by_jupyterlab(workspace.notebook(lesson)))
    assert "ava_copy" not in text
    said, blocks = contents(text)
    assert (said, [b if isinstance(b, str) else b[0] for b in blocks]) == (
        contents(lesson.path.read_text())[0],
        [getattr(b, "markdown", None) or b.source for b in lesson.blocks],
    )


# Making and updating


def test_notebooks_are_valid_and_know_their_cells(workspace: Workspace, tmp_path: Path) -> None:
    lesson = lesson_of(tmp_path)
    assert prepared(workspace, lesson).action == "new"
    notebook = nbformat.read(workspace.notebook(lesson), as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec == KERNEL
    assert notebook.metadata.ava.title == "A small lesson"
    assert [cell.id for cell in notebook.cells] == [
        "start--text",
        "setup",
        "setup--text",
        "show",
        "a-config",
        "a-config--text",
        "your-answer",
        "q1",
        "q1--text",
    ]
    assert notebook.cells[1].metadata.tags == ["ava-setup"]


@pytest.mark.parametrize("path", course_files(), ids=lambda path: path.stem)
def test_every_lesson_of_the_course_is_a_valid_notebook(path: Path) -> None:
    lesson = read_lesson(path)
    nbformat.validate(nbformat.from_dict(to_notebook(lesson)))
    ids = cell_ids(lesson)
    assert len(set(ids)) == len(ids)


def test_the_second_time_nothing_is_written(workspace: Workspace, tmp_path: Path) -> None:
    lesson = lesson_of(tmp_path)
    workspace.prepare([lesson])
    saved_by_jupyterlab(workspace.notebook(lesson), **{"your-answer": "answer_q1 = 'b'"})
    before = workspace.notebook(lesson).read_bytes()
    assert [done.action for done in workspace.prepare([lesson])] == ["unchanged"]
    assert workspace.notebook(lesson).read_bytes() == before


def test_several_at_once_write_a_notebook_once(workspace: Workspace, tmp_path: Path) -> None:
    lesson = lesson_of(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: prepared(workspace, lesson).action, range(4)))
    assert sorted(found) == ["new", "unchanged", "unchanged", "unchanged"]


def test_saving_in_jupyterlab_keeps_what_an_update_needs(
    workspace: Workspace, tmp_path: Path
) -> None:
    lesson = lesson_of(tmp_path)
    workspace.prepare([lesson])
    before = read(workspace.notebook(lesson))
    after = saved_by_jupyterlab(workspace.notebook(lesson))
    assert after["metadata"]["ava_copy"] == before["metadata"]["ava_copy"]
    assert after["metadata"]["ava"] == before["metadata"]["ava"]
    assert [cell["id"] for cell in after["cells"]] == [cell["id"] for cell in before["cells"]]
    assert all(
        old["metadata"].items() <= new["metadata"].items()
        for old, new in zip(before["cells"], after["cells"], strict=True)
    )


def test_a_new_version_changes_what_is_untouched_and_keeps_edits(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.prepare([lesson_of(tmp_path)])
    path = workspace.path / "01-small.ipynb"
    saved_by_jupyterlab(path, **{"your-answer": "answer_q1 = 'b'  # mine"})
    newer = BODY.replace("6 * 7", "6 * 9").replace('# "a" or "b"', '# "a", "b" or "c"')
    newer = newer.replace("Words after", "Better words after").replace(
        'title: "The question"', 'title: "A title"'
    )
    done = prepared(workspace, lesson_of(tmp_path, newer))
    assert done.action == "updated"
    assert done.notes == ("cell your-answer: new in the lesson; your edit stays as it is",)
    found = sources(path)
    assert found["show"] == "6 * 9"
    assert found["your-answer"] == "answer_q1 = 'b'  # mine"
    assert found["q1--text"].startswith("Better words")
    cells = {cell["id"]: cell for cell in read(path)["cells"]}
    assert cells["show"]["outputs"] == []  # they came from other code
    assert cells["setup"]["outputs"][0]["text"] == ["output of setup\n"]
    assert cells["q1"]["metadata"]["ava"]["title"] == "A title"
    assert "execution" in cells["q1"]["metadata"]
    assert prepared(workspace, lesson_of(tmp_path, newer)).action == "unchanged"


def test_cells_that_the_learner_adds_stay_where_they_are(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.prepare([lesson_of(tmp_path)])
    path = workspace.path / "01-small.ipynb"
    notebook = nbformat.read(path, as_version=4)
    own = [nbformat.v4.new_code_cell(f"own_{n} = {n}", id=f"own-{n}") for n in range(3)]
    copy = nbformat.v4.new_code_cell("6 * 7 + 1", id="copied", metadata={"ava": {"id": "show"}})
    notebook.cells.insert(0, own[0])
    notebook.cells.insert(5, own[1])
    notebook.cells.insert(6, copy)
    notebook.cells.append(own[2])
    nbformat.write(notebook, path)
    newer = BODY.replace(
        "~~~~{code-cell}", "```{code-cell} ipython3\n:ava: {id: added}\n\n1\n```\n\n~~~~{code-cell}"
    )
    done = prepared(workspace, lesson_of(tmp_path, newer))
    assert done.notes == ()
    assert order(path) == [
        "own-0",
        "start--text",
        "setup",
        "setup--text",
        "show",
        "own-1",
        "copied",
        "added",
        "a-config",
        "a-config--text",
        "your-answer",
        "q1",
        "q1--text",
        "own-2",
    ]


def test_cells_leave_with_the_lesson_unless_they_were_edited(
    workspace: Workspace, tmp_path: Path
) -> None:
    for edit, stays in (({}, False), ({"show": "6 * 7  # mine"}, True)):
        workspace.prepare([lesson_of(tmp_path)])
        path = workspace.path / "01-small.ipynb"
        saved_by_jupyterlab(path, **edit)
        newer = BODY.replace("```{code-cell} ipython3\n:ava: {id: show}\n\n6 * 7\n```\n", "")
        done = prepared(workspace, lesson_of(tmp_path, newer))
        assert ("show" in order(path)) is stays
        assert bool(done.notes) is stays
        path.unlink()


def test_what_the_learner_has_deleted_stays_deleted(workspace: Workspace, tmp_path: Path) -> None:
    workspace.prepare([lesson_of(tmp_path)])
    path = workspace.path / "01-small.ipynb"
    notebook = nbformat.read(path, as_version=4)
    del notebook.cells[0]
    nbformat.write(notebook, path)
    done = prepared(workspace, lesson_of(tmp_path, BODY.replace("6 * 7", "6 * 8")))
    assert "start--text" not in order(path)
    assert done.notes == ("you have deleted start--text: not brought back",)


def test_the_learners_order_stays_and_the_lessons_new_order_comes(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.prepare([lesson_of(tmp_path)])
    path = workspace.path / "01-small.ipynb"
    shown = "```{code-cell} ipython3\n:ava: {id: show}\n\n6 * 7\n```\n"
    moved = BODY.replace(shown, "").rstrip() + "\n\n" + shown
    prepared(workspace, lesson_of(tmp_path, moved))
    assert order(path)[-1] == "show"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, notebook.cells.pop())  # the learner wants it at the top
    nbformat.write(notebook, path)
    prepared(workspace, lesson_of(tmp_path, BODY))
    assert order(path)[0] == "show"


# A notebook of a few cells that the lesson's author and the learner change independently.
_versions = st.dictionaries(st.sampled_from("abcdefg"), st.integers(0, 1), min_size=1)


def _book(cells: list[tuple[str, str]]) -> Notebook:
    made = [
        {"id": cell_id, "cell_type": "markdown", "metadata": {}, "source": source}
        for cell_id, source in cells
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}


@given(_versions, _versions, st.data())
@settings(max_examples=100, deadline=None)
def test_nothing_of_the_learners_is_lost_in_any_update(
    old: dict[str, int], new: dict[str, int], data: st.DataObject
) -> None:
    mine = with_copy(_book([(cell_id, f"v{n}") for cell_id, n in old.items()]), "1")
    fresh = with_copy(_book([(cell_id, f"v{n}") for cell_id, n in new.items()]), "2")
    cells = mine["cells"]
    for number in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(cells)))
        what = data.draw(st.sampled_from(["add", "edit", "delete", "move"]))
        if what == "add":
            added = {**_book([(f"own-{number}", f"own {number}")])["cells"][0]}
            cells.insert(at, added)
        elif at < len(cells) and what == "edit":
            cells[at]["source"] = f"edited {number}"
        elif at < len(cells):
            cell = cells.pop(at)
            if what == "move":
                cells.insert(data.draw(st.integers(0, len(cells))), cell)
    own = [cell["source"] for cell in cells if cell["source"] not in ("v0", "v1")]
    there = [cell["id"] for cell in cells]
    merged, _notes = merge(mine, fresh)
    ids = [cell["id"] for cell in merged["cells"]]
    assert len(set(ids)) == len(ids)
    found = {cell["id"]: cell["source"] for cell in merged["cells"]}
    assert sorted(s for s in found.values() if s not in ("v0", "v1")) == sorted(own)
    for cell_id, version in new.items():
        if cell_id in found and not found[cell_id].startswith("edited"):
            assert found[cell_id] == f"v{version}"
        if cell_id not in old:
            assert cell_id in found
        elif cell_id not in there:
            assert cell_id not in found  # the learner has deleted it
    for cell_id, source in found.items():
        assert cell_id in new or source.startswith(("own", "edited"))
    again, notes = merge(merged, fresh)
    assert again == merged
    assert not [note for note in notes if "no longer" in note or "new in" in note]


def test_a_program_that_drops_cell_ids_costs_no_edit(workspace: Workspace, tmp_path: Path) -> None:
    workspace.prepare([lesson_of(tmp_path)])
    path = workspace.path / "01-small.ipynb"
    data = read(path)
    data["nbformat_minor"] = 4
    for cell in data["cells"]:
        del cell["id"]
        if "answer_q1 = None" in cell["source"]:
            cell["source"] = "answer_q1 = 'a'"
    path.write_text(json.dumps(data))
    prepared(workspace, lesson_of(tmp_path, BODY.replace("6 * 7", "6 * 8")))
    nbformat.validate(nbformat.read(path, as_version=4))
    assert sources(path)["your-answer"] == "answer_q1 = 'a'"
    assert sources(path)["show"] == "6 * 8"


@pytest.mark.parametrize(
    ("text", "action", "words"),
    [
        ("{ not JSON", "unreadable", "no JSON"),
        ("[1]", "unreadable", "no cells"),
        ('{"cells": [{"cell_type": "code"}], "nbformat": 4}', "unreadable", "cell 1 has no text"),
        ('{"cells": [], "nbformat": 3, "metadata": {}}', "unreadable", "format 3"),
        ('{"cells": [], "nbformat": 4, "metadata": []}', "unreadable", "no map"),
        ('{"cells": [], "nbformat": 4, "nbformat_minor": "x"}', "unreadable", "no number"),
        (
            '{"cells": [{"cell_type": "code", "source": [], "id": []}], "nbformat": 4}',
            "unreadable",
            "cell 1 has an id that is no text",
        ),
        ('{"cells": [], "nbformat": 4, "metadata": {}}', "foreign", "not made from the lesson"),
    ],
)
def test_a_file_that_is_not_ours_is_left_alone_and_named(
    workspace: Workspace, tmp_path: Path, text: str, action: str, words: str
) -> None:
    lesson = lesson_of(tmp_path)
    workspace.notebook(lesson).write_text(text)
    done = prepared(workspace, lesson)
    assert done.action == action
    assert done.path == workspace.notebook(lesson)
    assert words in done.notes[0]
    assert workspace.notebook(lesson).read_text() == text


def test_a_notebook_behind_a_link_stays_behind_it(workspace: Workspace, tmp_path: Path) -> None:
    lesson = lesson_of(tmp_path)
    workspace.notebook(lesson).symlink_to(tmp_path / "elsewhere.ipynb")
    assert prepared(workspace, lesson).action == "new"
    assert workspace.notebook(lesson).is_symlink()
    assert (tmp_path / "elsewhere.ipynb").is_file()


def test_the_first_page_links_every_lesson_and_shows_progress(workspace: Workspace) -> None:
    lessons = course()
    workspace.prepare(lessons)
    page = workspace.path / "START.ipynb"
    nbformat.validate(nbformat.read(page, as_version=4))
    table = sources(page)["lessons"]
    for lesson in lessons:
        assert f"({lesson.notebook_name})" in table
        assert workspace.notebook(lesson).is_file()
        assert f"0 of {len(lesson.checks)}" in table
    compile(sources(page)["progress"], "START", "exec")


def test_pictures_of_a_lesson_come_along(workspace: Workspace, tmp_path: Path) -> None:
    picture = tmp_path / "images" / "a b.png"
    picture.parent.mkdir()
    picture.write_bytes(b"one")
    lesson = lesson_of(tmp_path, BODY + "\n![A picture](images/a%20b.png)\n")
    workspace.prepare([lesson])
    copied = workspace.path / "images" / "a b.png"
    assert copied.read_bytes() == b"one"
    picture.write_bytes(b"two")
    workspace.prepare([lesson])
    assert copied.read_bytes() == b"two"
    copied.write_bytes(b"the learner's own")
    picture.write_bytes(b"three")
    *_, done = workspace.prepare([lesson])
    assert copied.read_bytes() == b"the learner's own"
    assert done.action == "foreign"
