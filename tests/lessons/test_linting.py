"""Every rule of the linter finds what it is for, in a lesson that is right but for that."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lessons.writing import BODY, text_of, write_lesson
from workbench.cli import COMMANDS
from workbench.lessons import course, linting_course, linting_time
from workbench.lessons.catalogue import course_files
from workbench.lessons.linting import RULES, lint
from workbench.lessons.markup import github_anchor, jupyter_anchor, markup
from workbench.lessons.problems import Problem

CHECKS = """
from workbench.lessons.checking import Outcome, check, passed, unattempted


@check("q1", hints=("b",))
def q1(work: object, answer: str | None = None) -> Outcome:
    return passed() if answer == "b" else unattempted()
"""

Lint = Callable[..., list[Problem]]


@pytest.fixture
def linted(tmp_path: Path) -> Lint:
    """Lint one lesson with its checks; by default the good one."""

    def run(
        text: str | None = None, *, checks: str = CHECKS, name: str = "small.md"
    ) -> list[Problem]:
        path = tmp_path / name
        path.write_text(text_of() if text is None else text)
        path.with_suffix(".py").write_text(checks)
        return lint([path], commands=COMMANDS)

    return run


def with_words(words: str) -> str:
    """The good lesson with other words at its end."""
    return text_of(BODY + "\n" + words + "\n")


def cell(code: str, options: str = ":ava: {id: extra}") -> str:
    return f"```{{code-cell}} ipython3\n{options}\n\n{code}\n```"


def changed(old: str, new: str) -> str:
    text = text_of()
    assert old in text
    return text.replace(old, new, 1)


def test_a_good_lesson_has_no_problem(linted: Lint) -> None:
    assert linted() == []


# rule, text of the lesson, a part of the message
BAD = [
    ("front-matter", text_of(title=...), "title is missing"),
    ("front-matter", text_of(colour="red"), "no key ava.colour"),
    ("jupytext", changed("format_name: myst", "format_name: markdown"), "loses the 'ava:' map"),
    ("jupytext", changed("filter: ava,-jup", "filter: -jup"), "keeps no 'ava'"),
    ("jupytext", changed("name: ava-workbench", "name: python3"), "no workbench"),
    ("cell", with_words("```{code-cell} ipython3\n1\n```"), "no ava.id"),
    ("cell", with_words(cell("1", ":ava: {id: show}")), "stands twice"),
    ("tag", changed("tags: [ava-edit]", "tags: [ava-edt]"), "no tag 'ava-edt'"),
    ("tag", changed("tags: [ava-edit]", "tags: [ava-edit, ava-setup]"), "a cell is one thing"),
    ("tag", changed("{id: show}", "{id: show, colour: red}"), "no key ava.colour"),
    ("tag", changed("{id: show}", "{id: show, expect: joy}"), "can only be error"),
    ("code", changed("6 * 7", "6 * "), "not valid Python"),
    ("code", changed("6 * 7\n", "\n"), "is empty"),
    (
        "code",
        changed("%%config first.yaml --hardware_config gpu/tiny\n", ""),
        "begins with %%config",
    ),
    ("code", with_words("```python\nif:\n```"), "not valid Python"),
    ("setup", changed(":tags: [ava-setup]\n", ""), "has to open the lesson"),
    ("setup", changed('lesson("small")', 'lesson("another")'), "another lesson"),
    (
        "setup",
        with_words(cell('learn = lesson("small")', ":tags: [ava-setup]\n:ava: {id: again}")),
        "second time",
    ),
    ("check", changed('check("q1"', 'check("q2"'), "no check 'q2'"),
    ("check", changed('check("q1"', 'check("q2"'), "no cell calls the check 'q1'"),
    ("check", changed("answer=answer_q1", "anwser=answer_q1"), "takes no 'anwser'"),
    ("check", changed('learn.check("q1", answer=answer_q1)', "answer_q1"), "not 0"),
    ("check", changed(":tags: [ava-check]\n", ""), "only with the tag ava-check"),
    (
        "check",
        with_words(
            cell('learn.check("q1")', ':tags: [ava-check]\n:ava: {id: more, title: "More"}')
        ),
        "called twice",
    ),
    ("config", changed("batch_size: 2", "batch_size: none"), "does not load"),
    ("config", changed("batch_size: 2", "batsh_size: 2"), "does not load"),
    (
        "config",
        changed('title: "A layer: of your own"', 'title: "A layer"\n  expect: error'),
        "the lesson says it fails",
    ),
    ("config", with_words("```yaml config\ntraining:\n  batch_size: none\n```"), "does not load"),
    ("config", with_words("```yaml\na: b: c\n```"), "not YAML"),
    ("mojibake", with_words("It wonâ€™t do â€” at all."), "garbled"),
    ("mojibake", with_words("A lost \ufffd character."), "is lost"),
    ("mojibake", with_words("An invisible\u200b space."), "U+200B"),
    ("mojibake", with_words("A line\u2028separator."), "U+2028"),
    ("link", with_words("[there](nowhere.yaml)"), "does not exist"),
    ("link", with_words("[there](small.py)"), "is not where"),
    ("link", with_words("[next](02-what-a-config-says.md)"), "another file in every face"),
    ("link", with_words("[](https://example.org)"), "no words"),
    ("link", with_words("[nothing]()"), "leads nowhere"),
    ("link", with_words("[up](#no-such-heading)"), "no heading"),
    ("link", with_words("[up](#a-small-lesson)"), "two anchors"),
    ("link", with_words("[x](https://exa mple)".replace(" ", "%20")), "no address"),
    ("link", with_words("[x](ftp://example.org/a)"), "not opened everywhere"),
    ("picture", with_words("![](images/good.png)"), "no alt text"),
    ("picture", with_words("![A curve](images/bad.png)"), "there is no picture"),
    ("picture", with_words("![A curve](https://example.org/a.png)"), "no picture in images/"),
    ("picture", with_words("![A curve](images/../images/good.png)"), "no picture in images/"),
    ("picture", with_words("![A curve](images/good.tiff)"), "browsers"),
    ("face", with_words("> [!TIP]\n> Look."), "an alert"),
    ("face", with_words("```{note}\nLook.\n```"), "directive {note}"),
    ("face", with_words(":::{note}\nLook.\n:::"), "a directive with colons"),
    ("face", with_words("<details>\n\nmore\n\n</details>"), "raw HTML"),
    ("face", with_words("Press <kbd>x</kbd>."), "raw HTML"),
    ("face", with_words("The loss is $-\\ln p$."), "mathematics"),
    ("face", with_words("It costs $3, not $4."), "mathematics"),
    ("face", with_words("```mermaid\ngraph TD\n```"), "'mermaid'"),
    ("face", with_words("one\n\n+++\n\ntwo"), "block break"),
    ("face", with_words("% not said"), "comment of MyST"),
    ("face", with_words("(label)=\n## Section"), "label"),
    ("face", with_words("[^1]: A note."), "footnote"),
    ("face", with_words("- [ ] done"), "box to tick"),
    ("face", with_words("- item\n\n  ```{code-cell} ipython3\n  1\n  ```"), "inside a list"),
    ("title", changed("# A small lesson", "# Another title"), "the first heading is"),
    ("title", text_of(re.sub("(?m)^#.*", "", BODY)), "no heading"),
    ("title", with_words("# Again"), "second title"),
    ("title", with_words("#### Deep"), "skips a level"),
    ("title", changed(', title: "Your answer"', ""), "has no title"),
    ("prerequisite", text_of(prerequisites=["frist-launch"]), "no lesson 'frist-launch'"),
    ("prerequisite", text_of(prerequisites=["small"]), "its own prerequisite"),
    ("command", with_words("```bash\nava trian tiny_cpu\n```"), "no command 'ava trian'"),
    ("command", with_words("```bash\nava train tiny_gpu_cpu\n```"), "no recipe"),
    ("command", with_words("Type `ava lunch x`."), "no command 'ava lunch'"),
    ("command", with_words(cell('learn.shell("ava rnus show first")')), "no command 'ava rnus'"),
    ("time", text_of(estimatedMinutes=30), "it takes about"),
    ("time", with_words("word " * 4000), "to read"),
    ("id", text_of(id="first-launch"), "has the id 'first-launch' too"),
    ("id", text_of(id="another"), "is called small.md"),
]


@pytest.mark.parametrize(
    ("rule", "text", "words"), BAD, ids=[f"{rule}: {words}" for rule, _, words in BAD]
)
def test_a_bad_lesson_is_found_and_told_what_to_do(
    linted: Lint, tmp_path: Path, rule: str, text: str, words: str
) -> None:
    (tmp_path / "images").mkdir()
    for name in ("good.png", "good.tiff"):
        (tmp_path / "images" / name).write_bytes(b"")
    found = linted(text)
    matching = [each for each in found if each.rule == rule and words in each.message]
    assert matching, [each.render() for each in found]
    for each in matching:
        assert each.fix
        assert 1 <= each.line <= text.count("\n") + 1
        assert each.render().startswith(f"{tmp_path / 'small.md'}:{each.line}: ")


def test_every_rule_has_a_bad_lesson() -> None:
    assert {rule for rule, _, _ in BAD} | {"unreadable"} == set(RULES)


def test_what_is_right_is_not_complained_of(linted: Lint) -> None:
    good = (
        "> **Tip.** Look.\n\nPrices: \\$3 and \\$4, or `$HOME` and `a$b`.\n\n"
        "```bash\nava train tiny_cpu --max_steps 5\nava runs list | head\n# ava nothing\n```\n\n"
        "```yaml config\ntraining:\n  batch_size: 2\n```\n\n```yaml\nfoo: [1]\n```\n\n"
        "[web](https://docs.pytorch.org/docs/stable/amp.html#typo) ![A curve](images/good.png)\n\n"
        "## here\n\n[up](#here)\n\nType `ava runs watch NAME` or `ava --help`.\n\n"
        "````markdown\n> [!TIP]\n$x$ <b>\n````\n\n| a | b |\n|--|--|\n| 1 | 2 |\n"
    )
    assert [each.message for each in linted(with_words(good))] == [
        "there is no picture images/good.png"
    ]


def test_an_error_that_is_the_lesson_may_be_shown(linted: Lint) -> None:
    text = changed("batch_size: 2", "batch_size: none").replace(
        'title: "A layer: of your own"', 'title: "A layer"\n  expect: error'
    )
    assert linted(text) == []


def test_a_lesson_without_check_functions_is_told_where_they_belong(tmp_path: Path) -> None:
    path = write_lesson(tmp_path)  # its number is also that of a lesson of the course
    (found,) = lint([path], commands=COMMANDS)
    assert found.rule == "check"
    assert str(path.with_suffix(".py")) in (found.fix or "")


def test_an_unreadable_file_is_a_problem_like_others(tmp_path: Path) -> None:
    path = tmp_path / "01-bin.md"
    path.write_bytes(b"\0")
    found = lint([path, tmp_path / "none.md"])
    assert [each.rule for each in found] == ["unreadable", "unreadable"]


def test_prerequisites_in_a_circle_are_found(tmp_path: Path) -> None:
    chain = {"aa": ["cc"], "bb": ["aa"], "cc": ["bb"]}
    paths = [
        write_lesson(tmp_path, number=0, id=name, prerequisites=before)
        for name, before in chain.items()
    ]
    found = [each for each in lint(paths) if each.rule == "prerequisite"]
    assert len(found) == 3
    assert "aa → cc → bb → aa" in found[0].message


def test_a_later_lesson_is_no_prerequisite(tmp_path: Path) -> None:
    paths = [
        write_lesson(tmp_path, number=50, id="early", prerequisites=["late"]),
        write_lesson(tmp_path, number=51, id="late"),
        write_lesson(tmp_path, number=51, id="same"),
    ]
    found = {(each.rule, each.message) for each in lint(paths)}
    assert (
        "prerequisite",
        "late comes after this lesson in the course, so it is no prerequisite",
    ) in found
    assert ("id", "51-same.md has the number 51 too") in found


def test_a_lesson_spelt_in_another_way_is_the_same_lesson(monkeypatch: pytest.MonkeyPatch) -> None:
    path = course_files()[0]
    monkeypatch.chdir(path.parent)
    for spelling in (Path(path.name), path.parent / ".." / path.parent.name / path.name):
        assert lint([spelling]) == []


def test_lines_are_those_of_the_file(linted: Lint) -> None:
    text = with_words("fine\nand `code\nspan` then <b>html</b>\nthen ![](x.png)")
    lines = text.split("\n")
    found = {each.message[:8]: each.line for each in linted(text)}
    assert "<b>" in lines[found["raw HTML"] - 1]
    assert "![]" in lines[found["x.png is"] - 1]


def test_anchors_are_those_of_the_faces() -> None:
    assert github_anchor("What's in it, then?") == "whats-in-it-then"
    assert jupyter_anchor("What's in it, then?") == "What's-in-it,-then?"


def test_time_is_the_sum_of_what_a_learner_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.lessons import validation

    lesson = course()[0]
    monkeypatch.setattr(validation, "measured_seconds", lambda _lesson: 120.0)
    found = linting_time.minutes(lesson)
    assert found.running == 2.0
    assert found.total == found.reading + found.doing + found.running
    words = sum(markup(block).words for block in lesson.blocks if hasattr(block, "markdown"))
    assert found.reading == words / linting_time.WORDS_PER_MINUTE
    assert linting_course.line_of_key("---\nava:\n  id: x\n", "id") == 3


@pytest.mark.parametrize("path", course_files(), ids=lambda path: path.stem)
def test_the_course_has_no_problem(path: Path) -> None:
    assert [each.render() for each in lint([path], commands=COMMANDS)] == []
