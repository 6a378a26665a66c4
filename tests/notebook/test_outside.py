"""Around the widgets: plain functions, what a page without widgets shows, files, imports."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.conftest import ROOT
from tests.tui.rundirs import finish, make_run
from workbench.errors import UsageError
from workbench.notebook import (
    ConfigForm,
    LossCurve,
    MemoryMeter,
    RunTable,
    Workbench,
    estimate,
    fit,
    runs,
)
from workbench.notebook.assets import SCRIPTS, STATIC, STYLES, module, style

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.notebook.conftest import Wire
    from workbench.notebook.base import Piece


def bundle(shown: object) -> dict[str, str]:
    """The forms of something, without the view that needs a kernel."""
    made = shown._repr_mimebundle_()  # type: ignore[attr-defined]
    return made[0] if isinstance(made, tuple) else made  # type: ignore[no-any-return]


def is_whole(html: str) -> None:
    """HTML that needs nothing else, with pictures that are well formed."""
    assert not re.search(r"<script|<link|<style|src=|href=|url\(|on\w+=", html)
    ET.fromstring(f"<div>{html.replace('<br>', '<br/>')}</div>")  # noqa: S314 - our own


def test_widgets_have_a_form_without_widgets(
    wire: Wire, still: Callable[[Piece, int], None], folder: Path
) -> None:
    run = make_run(folder / "runs", "r", nan_at=7)
    finish(run)
    panel = bundle(Workbench("tiny_cpu", hardware="t4", batch_size=100_000))
    assert "does not fit" in panel["text/plain"]
    assert "All 400 steps are done" in panel["text/html"]
    for shown in (Workbench("tiny_cpu"), MemoryMeter("tiny_cpu"), ConfigForm("tiny_cpu"),
                  LossCurve(run), LossCurve("r", "r"), RunTable()):  # fmt: skip
        forms = bundle(shown)
        assert forms["application/vnd.jupyter.widget-view+json"]
        assert forms["text/plain"]
        is_whole(forms["text/html"])


def test_a_config_that_is_none_is_shown_too(wire: Wire) -> None:
    forms = bundle(Workbench("tiny_cpu", batch_size="many"))
    assert "batch_size" in forms["text/plain"]
    is_whole(forms["text/html"])


def test_an_estimate_in_a_cell() -> None:
    shown = estimate("tiny_cpu", hardware="h100_80gb", batch_size=4)
    assert "fits" in repr(shown)
    is_whole(bundle(shown)["text/html"])
    table = shown.to_dataframe().set_index("figure")
    assert table.loc["tokens per step", "value"] == 4 * 256
    memory = shown.outlook.estimate.memory  # type: ignore[union-attr]
    assert table.loc["needed", "value"] == memory.process  # type: ignore[union-attr]


def test_a_search_in_a_cell() -> None:
    shown = fit("tiny_cpu", hardware="t4", hidden_size=2048, num_layers=24, head_dim=128,
                intermediate_size=8192, batch_size=64)  # fmt: skip
    assert "plans that fit" in repr(shown)
    is_whole(bundle(shown)["text/html"])
    before = shown.draft.plan.equation
    draft = shown.apply(1)
    assert draft.estimate is not None
    assert draft.estimate.fits
    assert draft.plan.equation.split("=")[1] == before.split("=")[1]
    with pytest.raises(UsageError, match="there is no plan 99"):
        shown.apply(99)


def test_runs_in_a_cell(folder: Path) -> None:
    assert "no runs yet" in repr(runs())
    for seed, name in enumerate("ab"):
        make_run(folder / "runs", name, seed=seed)
    assert list(runs().to_dataframe()["run"]) == ["b", "a"]
    both = runs("a", "b")
    assert list(both.to_dataframe()["run"]) == ["a", "b"]
    is_whole(bundle(both)["text/html"])
    assert "<svg" in bundle(both)["text/html"]


def test_without_pandas_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="needs pandas"):
        runs().to_dataframe()


def test_an_unknown_key_is_one_message() -> None:
    with pytest.raises(UsageError, match="there is no option or config key"):
        estimate("tiny_cpu", batchsize_typo=3)


# ---------------------------------------------------------------- the front end


def test_the_front_end_is_one_module_that_asks_nobody() -> None:
    text = module() + style()
    assert module().rstrip().endswith("export default { render };")
    assert len(re.findall(r"^export ", module(), re.MULTILINE)) == 1
    assert not re.search(r"^\s*import[ {*]", module(), re.MULTILINE)
    links = set(re.findall(r"https?://[\w./-]+", text))
    # In uPlot's licence comment; and the name of SVG elements, which nobody asks for.
    assert links == {"https://github.com/leeoniya/uPlot", "http://www.w3.org/2000/svg"}
    assert "fetch(" not in text
    assert "XMLHttpRequest" not in text
    assert "innerHTML" not in "".join(
        (STATIC / name).read_text("utf-8") for name in SCRIPTS if not name.startswith("uPlot")
    )
    assert len(text) < 150_000


def test_everything_in_the_folder_is_used() -> None:
    known = {*SCRIPTS, *STYLES, "README.md", "uPlot.LICENSE"}
    assert {path.name for path in STATIC.iterdir()} == known
    assert "MIT License" in (STATIC / "uPlot.LICENSE").read_text("utf-8")


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
def test_the_front_end_is_javascript(tmp_path: Path) -> None:
    file = tmp_path / "module.mjs"
    file.write_text(module(), "utf-8")
    done = subprocess.run(
        ["node", "--check", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_message_has_its_listener() -> None:
    """What the kernel sends is heard by the views, and what these ask, by a part."""
    sources = "".join((STATIC / name).read_text("utf-8") for name in SCRIPTS if "uPlot" not in name)
    python = "".join(path.read_text("utf-8") for path in (ROOT / "workbench/notebook").glob("*.py"))
    sent = set(re.findall(r'(?:\{|^ +)"type": "(\w+)"', python, re.MULTILINE))
    heard = set(re.findall(r'channel\.on\("(\w+)"', sources))
    asked = set(re.findall(r'(?:channel\.send|ask)\("(\w+)"', sources)) | {"recipe", "hardware"}
    answered = set(re.findall(r'(?:case |^ +)"(\w+)"(?::| if)', python, re.MULTILINE))
    assert sent - heard - {"hello", "launch", "recipe"} == set()
    assert asked - answered == set()


def test_a_panel_loads_nothing_heavy(tmp_path: Path) -> None:
    code = """
import sys
from workbench.notebook import Workbench, estimate
panel = Workbench("tiny_cpu")
for part in panel._parts:
    list(part.opening())
panel._repr_mimebundle_()
estimate("tiny_cpu")
panel.close()
heavy = {"torch", "pandas", "matplotlib", "textual", "rich", "datasets", "ava_kernels"}
ours = {name for name in sys.modules if name.startswith(("workbench.training", "workbench.models"))}
print(sorted(heavy & set(sys.modules) | ours))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
