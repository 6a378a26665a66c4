"""What each face really imports at start-up, seen from inside a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "matplotlib", "safetensors", "ava_kernels")

FACES = {
    "ava --help": "from workbench.cli import main; main(['--help'])",
    "ava runs": "from workbench.cli import main; main(['runs', '--runs_dir', '/nonexistent'])",
    "ava train --help": "from workbench.cli import main; main(['train', '--help'])",
    "ava config show": "from workbench.cli import main; main(['config', 'show', 'tiny_cpu'])",
    "the plan": "from workbench.plan import plan_from; plan_from('tiny_cpu').equation",
    "the live view": "import workbench.cli.live, workbench.runs.braille, workbench.runs.curves",
    "the supervisor": "import workbench.runs.supervise",
    "ava-tui": "import workbench.tui.app",
}


def modules_after(code: str) -> set[str]:
    probe = f"{code}\nimport sys\nprint('\\n@' + ' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("@")[2].split())


@pytest.mark.parametrize("face", FACES)
def test_no_face_imports_torch(face: str) -> None:
    loaded = modules_after(FACES[face])
    heavy = {name for name in loaded if name.partition(".")[0] in HEAVY}
    trainer = {
        name for name in loaded if name.startswith(("workbench.training", "workbench.models"))
    }
    assert not heavy | trainer


def test_help_imports_almost_nothing() -> None:
    loaded = modules_after(FACES["ava --help"])
    assert not {"pydantic", "yaml", "rich", "numpy", "textual", "argparse"} & loaded


def test_the_supervisor_is_small() -> None:
    loaded = modules_after(FACES["the supervisor"])
    assert not {"pydantic", "yaml", "rich", "numpy", "textual"} & loaded


def test_the_workbench_paints_before_it_computes() -> None:
    loaded = modules_after(FACES["ava-tui"])
    assert not {"pydantic", "numpy"} & loaded


def test_no_package_is_called_kernels() -> None:
    """Hugging Face owns that name; ours inside `kernels/` is `ava_kernels`."""
    assert not (ROOT / "kernels" / "__init__.py").exists()
    assert not (ROOT / "configs" / "__init__.py").exists()
    assert not (ROOT / "lessons" / "__init__.py").exists()
