"""Lessons for tests: a valid one, and ways to change it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FRONT: dict[str, Any] = {
    "schema": 1,
    "id": "small",
    "title": "A small lesson",
    "description": "Everything that a lesson can hold, once.",
    "category": "Basics",
    "tags": ["test"],
    "supportedHardware": ["cpu"],
    "prerequisites": [],
    "estimatedMinutes": 4,
}

BODY = """
# A small lesson

Words before the first cell.

```{code-cell} ipython3
:tags: [ava-setup]
:ava: {id: setup, title: "Open the lesson"}

from workbench.lessons import lesson

learn = lesson("small")
```

A demonstration.

```{code-cell} ipython3
:ava: {id: show}

6 * 7
```

~~~~{code-cell} ipython3
---
tags: [ava-config]
ava:
  id: a-config
  title: "A layer: of your own"
---
%%config first.yaml --hardware_config gpu/tiny
training:
  batch_size: 2
~~~~

Two cells in a row, then a question.

```{code-cell} ipython3
:tags: [ava-edit]
:ava: {id: your-answer, title: "Your answer"}

answer_q1 = None  # "a" or "b"
```

```{code-cell} ipython3
:tags: [ava-check]
:ava: {id: q1, title: "The question"}

learn.check("q1", answer=answer_q1)
```

Words after the last cell.
"""


def text_of(body: str = BODY, **front: Any) -> str:
    """A lesson's text; a key of the front matter that is `...` is left out."""
    known = {**FRONT, **front}
    ava = "".join(
        f"  {k}: {json.dumps(v, ensure_ascii=False)}\n" for k, v in known.items() if v is not ...
    )
    return (
        "---\n"
        "jupytext:\n"
        "  text_representation: {extension: .md, format_name: myst}\n"
        "  notebook_metadata_filter: ava,-jupytext.text_representation.jupytext_version\n"
        "kernelspec: {display_name: Ava Workbench, language: python, name: ava-workbench}\n"
        f"ava:\n{ava}---\n{body}"
    )


def write_lesson(folder: Path, body: str = BODY, *, number: int = 1, **front: Any) -> Path:
    """A lesson in a folder; see `text_of`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number:02d}-{front.get('id', FRONT['id'])}.md"
    path.write_text(text_of(body, **front))
    return path
