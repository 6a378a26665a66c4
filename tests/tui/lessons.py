"""Two small lessons and a kernel that answers at once, for the tests of Learn."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from workbench.errors import RunError
from workbench.lessons import catalogue
from workbench.lessons.kernel import Output
from workbench.lessons.outcome import Outcome
from workbench.tui import learner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

FRONT = """\
---
jupytext:
  text_representation: {{extension: .md, format_name: myst}}
  notebook_metadata_filter: ava,-jupytext.text_representation.jupytext_version
kernelspec: {{display_name: Ava Workbench, language: python, name: ava-workbench}}
ava:
  schema: 1
  id: {id}
  title: "{title}"
  description: "What a loss is, and how one sees that it falls."
  category: "{category}"
  tags: [loss, launch]
  supportedHardware: [cpu]
  prerequisites: [{after}]
  estimatedMinutes: 12
---

"""
BODY = """\
# {title}

Words with `code`, **weight** and *stress*, and a [link](README.md) that leads on.

```{{code-cell}} ipython3
:tags: [ava-setup]
:ava: {{id: setup, title: "Set up"}}

from workbench.lessons import lesson
learn = lesson("{id}")
```

## A first number

- one thing
- another thing that is long enough to be broken over two lines of a narrow terminal, as it should

> **Tip.** A loss of 5.5 is what one gets by guessing among 256 letters.

```{{code-cell}} ipython3
:ava: {{id: guess, title: "Guess"}}

import math
print(math.log(256))  # nats
```

```{{code-cell}} ipython3
:tags: [ava-edit]
:ava: {{id: answer, title: "Your answer"}}

answer = None  # "a" or "b"
```

```{{code-cell}} ipython3
:tags: [ava-check]
:ava: {{id: guessed, title: "Is it right?"}}

learn.check("guessed", answer=answer)
```

## A config

| key | value |
|---|--:|
| `training.max_steps` | 20 |

```{{code-cell}} ipython3
:tags: [ava-config]
:ava: {{id: config, title: "Fewer steps"}}

%%config first.yaml
extends: recipes/lesson
training:
  max_steps: 20
```
"""


def write(folder: Path) -> None:
    """Two lessons in a folder."""
    folder.mkdir(exist_ok=True)
    for number, (name, title, category, after) in enumerate(
        (
            ("first", "The first lesson", "Basics", ""),
            ("second", "The second lesson", "Practice", "first"),
        ),
        start=1,
    ):
        text = FRONT.format(id=name, title=title, category=category, after=after)
        (folder / f"{number:02d}-{name}.md").write_text(
            text + BODY.format(id=name, title=title), encoding="utf-8"
        )


class QuickKernel:
    """Answers at once: what a cell prints is decided by its text."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.started = False
        self.closed = 0
        self.interrupted = asyncio.Event()

    async def start(self) -> None:
        """Be there."""
        self.started = True

    async def run(self, source: str) -> AsyncIterator[Output]:
        """What a cell of that text shows."""
        self.ran.append(source)
        if "die" in source:
            raise RunError("the kernel that runs the cells has died", fix="run the cells again")
        if "sleep" in source:
            yield Output("stream", "asleep\n", name="stdout")
            await self.interrupted.wait()
            yield Output("error", "---> 1 sleep\nKeyboardInterrupt: ", name="KeyboardInterrupt")
        elif "log(256)" in source:
            yield Output("stream", "5.5", name="stdout")
            yield Output("stream", "45\n", name="stdout")
        elif "check(" in source:
            yield self._verdict(source)
        elif "wrong" in source:
            yield Output("error", "---> 1 wrong\nNameError: no wrong", name="NameError")
        elif "again" in source:
            yield Output("display", "one", {"text/plain": "one"}, display="x")
            yield Output("update", "two", {"text/plain": "two"}, display="x")
        elif "clean" in source:
            yield Output("stream", "old\n", name="stdout")
            yield Output("clear")
            yield Output("stream", "new\n", name="stdout")

    def _verdict(self, source: str) -> Output:
        right = any('"a"' in each for each in self.ran)
        made = Outcome("pass" if right else "unattempted", "" if right else "there is no answer")
        data: dict[str, Any] = made.of("guessed", title=source)._repr_mimebundle_()
        return Output("display", data["text/plain"], data)

    async def interrupt(self) -> None:
        """Wake what sleeps."""
        self.interrupted.set()

    async def close(self) -> None:
        """Be gone."""
        self.closed += 1
        self.started = False


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[QuickKernel]:
    """The two lessons as the course, and the quick kernel for every study."""
    folder = tmp_path / "course"
    write(folder)
    monkeypatch.setattr(catalogue, "course_files", lambda: sorted(folder.glob("*.md")))
    made: list[QuickKernel] = [QuickKernel()]
    monkeypatch.setattr(learner, "new_kernel", lambda _place: made[0])
    yield made[0]
    made.clear()
