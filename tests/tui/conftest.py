"""A private folder, two recipes that never change, and the application in it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workbench import plan
from workbench.errors import ConfigError
from workbench.tui import acts

RECIPES = [
    plan.Recipe(
        name="tiny_cpu",
        title="A small language model on this computer",
        summary="Learns to write Python from the Python library's own source, in three minutes.",
        objective="pre-train",
        hardware="any CPU, 2 cores or more",
        budget="3 minutes on 2 cores",
        stack=("gpu/tiny",),
        path=Path("configs/recipes/tiny_cpu.yaml"),
    ),
    plan.Recipe(
        name="broken",
        title="A recipe with a mistake in it",
        summary="Shows what a mistake looks like.",
        objective="pre-train",
        hardware="any",
        budget="nothing",
        stack=("gpu/typo",),
        path=Path("configs/recipes/broken.yaml"),
    ),
]
MISTAKE = ConfigError(
    "batch_sise is no key of training",
    where="configs/gpu/typo.yaml:4",
    why="unknown keys are refused, so that a typing error cannot pass silently",
    fix="did you mean batch_size?",
)
TREE = {
    "model": {"hidden_size": 256, "num_layers": 6, "vocab_size": 256},
    "training": {"max_steps": 400, "batch_size": 16, "learning_rate": 1e-3},
    "data": {"path": None, "max_length": 256},
}


class FakePlan:
    """A plan that is known in advance and remembers how it was launched."""

    config = None
    tree = TREE
    origins = {"training.batch_size": {"layer": "gpu/tiny"}}  # noqa: RUF012
    findings = (SimpleNamespace(severity="hint", message="a longer warm-up is steadier"),)
    equation = (
        "16 sequences × 1 accumulation × 1 device"
        " = 16 sequences × 256 tokens = 4,096 tokens per step"
    )
    launches: list[tuple[str | None, list[str]]]
    then: Any = None

    def launch(self, name: str | None = None, *, command: list[str]) -> Any:
        """Remember, and do what the test wants."""
        self.launches.append((name, command))
        return self.then(name)


@pytest.fixture
def fake_plan(monkeypatch: pytest.MonkeyPatch) -> FakePlan:
    """Two recipes, one of them broken; returns the plan behind the good one."""
    made = FakePlan()
    made.launches = []

    def plan_from(name: str, **_: Any) -> FakePlan:
        if name == "broken":
            raise MISTAKE
        return made

    monkeypatch.setattr(plan, "recipes", lambda: RECIPES)
    monkeypatch.setattr(plan, "plan_from", plan_from)
    monkeypatch.setattr(acts, "fits", lambda _recipe, _runs_dir: ("▸", "brand"))
    return made


@pytest.fixture
def runs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`runs` in a private current folder, in a terminal with colours."""
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "TEXTUAL", "TEXTUAL_THEME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    return Path("runs")
