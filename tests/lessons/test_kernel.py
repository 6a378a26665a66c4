"""The kernel that runs cells for the terminal: outputs, interrupts, an end without remains."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lessons.conftest import TINY
from tests.lessons.gate import environment
from workbench.errors import RunError
from workbench.lessons.kernel import Kernel, Output, fold
from workbench.lessons.workspace import Workspace


def _kernel(folder: Path) -> Kernel:
    return Kernel(folder, environment(folder))


async def test_cells_stream_what_they_put_out_and_remember_what_they_did(
    tmp_path: Path, trained: Workspace
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    async with _kernel(folder) as kernel:
        assert not kernel.started, "it starts with the first cell"
        seen = [
            output
            async for output in kernel.run(
                "import os, sys; x = 20\nprint('a'); print('b', file=sys.stderr)\nx + 1"
            )
        ]
        assert [(each.kind, each.text, each.name) for each in seen] == [
            ("stream", "a\n", "stdout"),
            ("stream", "b\n", "stderr"),
            ("display", "21", ""),
        ]
        (where,) = await kernel.outputs("print(os.getcwd(), x)")
        assert where.text == f"{folder} 20\n"
        (error,) = await kernel.outputs("1 / 0")
        assert (error.kind, error.name) == ("error", "ZeroDivisionError")
        assert "\x1b" not in error.text

        # The lesson's own things: errors of ours without a traceback, one display that changes.
        (opened,) = await kernel.outputs(
            "from workbench.lessons import lesson\n"
            f"learn = lesson({str(TINY)!r}, {str(trained.path)!r})\nlearn"
        )
        assert opened.text.startswith("lesson tiny: A lesson for tests")
        (wrong,) = await kernel.outputs("learn.launch('a', 'lessson')")
        assert wrong.text.startswith("error: there is no recipe 'lessson'")
        assert "Traceback" not in wrong.text
        (run,) = await kernel.outputs("learn.run('honest')")
        assert run.text.startswith("✓ honest finished")
        assert set(run.data) == {"text/plain", "text/html"}
        (verdict,) = await kernel.outputs("learn.check('q1', answer='b')")
        assert verdict.check is not None
        assert verdict.check["status"] == "pass"
        (line,) = await kernel.outputs(
            "from workbench.lessons.learn_screen import Screen\n"
            "screen = Screen()\nscreen.say('one')\nscreen.say('two')"
        )
        assert (line.kind, line.text) == ("update", "two")
        (config,) = await kernel.outputs("%%config own.yaml lesson\ntraining:\n  batch_sise: 2\n")
        assert "unknown key 'training.batch_sise'" in config.text


async def test_interrupt_restart_death_and_close(tmp_path: Path) -> None:
    async with _kernel(tmp_path) as kernel:
        waiting = kernel.run("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)")
        first = await anext(waiting)
        pid = int(first.text)
        assert kernel.busy
        await kernel.interrupt()
        rest = [output async for output in waiting]
        assert [each.name for each in rest] == ["KeyboardInterrupt"]
        assert not kernel.busy

        (same,) = await kernel.outputs("print(os.getpid())")
        assert int(same.text) == pid, "an interrupt keeps the kernel"
        await kernel.restart()
        (gone,) = await kernel.outputs("os")
        assert gone.name == "NameError", "a restart forgets"
        assert _is_gone(pid)

        with pytest.raises(RunError, match="has died"):
            await kernel.outputs("import os; os._exit(3)")
        await kernel.restart()
        (again,) = await kernel.outputs("import os; print(os.getpid())")
        last = int(again.text)
        folder = kernel._folder
        assert folder is not None
    assert _is_gone(last)
    assert not _is_there(folder)


def _is_there(path: Path) -> bool:
    return path.exists()


def _is_gone(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


def test_an_update_takes_the_place_of_what_it_replaces() -> None:
    shown = [Output("display", "a", display="1"), Output("display", "b", display="2")]
    assert fold(shown, Output("update", "c", display="1")) == 0
    assert fold(shown, Output("update", "c", display="9")) is None
    assert fold(shown, Output("display", "c")) is None
