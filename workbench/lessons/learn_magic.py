"""What a lesson adds to IPython: ``%%config``, and our errors as messages without a traceback."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from workbench.errors import WorkbenchError
from workbench.lessons.learn_config import plan_of, write_config
from workbench.lessons.learn_show import Shown

if TYPE_CHECKING:
    from workbench.lessons.learn import Learn

_SIGNS = {"error": "✗", "warning": "!", "hint": "·"}


def register(shell: Any, learn: Learn) -> None:
    """Make ``%%config`` write into the lesson's folder, and errors of ours readable."""

    def config(line: str, cell: str | None = None) -> None:
        from IPython.display import display

        display(show_config(learn, line, cell or ""))  # type: ignore[no-untyped-call]

    # register_magic_function would set an attribute `config`, which its object has as a trait.
    shell.magics_manager.magics["cell"]["config"] = config
    shell.set_custom_exc((WorkbenchError,), _explain)


def _explain(shell: Any, kind: Any, error: Any, trace: Any, tb_offset: int | None = None) -> None:
    """Show the message alone."""
    del trace, tb_offset
    shell._showtraceback(kind, error, [error.render()])  # noqa: SLF001 - where a kernel overrides it


def show_config(learn: Learn, line: str, text: str) -> Shown:
    """Write the config of a cell, and say what the workbench makes of it.

    Raises:
        UsageError: The cell names no file of the lesson's folder.
    """
    path, options = write_config(learn.folder, line, text)
    shown = f"wrote {path.relative_to(learn.workspace.path)}"
    try:
        plan = plan_of(path, options, folder=learn.folder)
        findings = plan.findings
    except WorkbenchError as error:
        words = error.render()
        return Shown(f"{shown}\n{words}", f"<div>{html.escape(shown)}</div>{_pre(words)}")
    lines = [f"{_SIGNS[each.severity]} {each.render()}" for each in findings]
    if not any(each.severity == "error" for each in findings):
        lines.insert(0, f"✓ it loads: {plan.equation}")
    body = "\n".join(lines)
    return Shown(f"{shown}\n{body}", f"<div>{html.escape(shown)}</div>{_pre(body)}")


def _pre(text: str) -> str:
    return f'<pre style="white-space:pre-wrap;margin:.2em 0">{html.escape(text)}</pre>'
