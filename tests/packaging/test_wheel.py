"""The wheel holds what it needs and works from an empty folder, without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.conftest import mini

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=cwd, env=env | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT),
        cwd=out,
    )  # fmt: skip
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_holds_code_data_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "workbench/_data/configs/gpu/tiny.yaml" in names
    assert "workbench/_data/configs/recipes/tiny_cpu.yaml" in names
    assert any(name.startswith("workbench/_data/lessons/") for name in names)
    assert "ava_kernels/__init__.py" in names
    assert "workbench/py.typed" in names
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"workbench", "ava_kernels"}


def test_installed_elsewhere_it_trains_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """The wheel alone in a fresh environment; the libraries are borrowed, the checkout is not."""
    venv, empty = tmp_path / "venv", tmp_path / "empty"
    empty.mkdir()
    run(sys.executable, "-m", "venv", str(venv), cwd=tmp_path)
    python = str(venv / "bin" / "python")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", str(wheel), cwd=tmp_path)
    # A plain path entry borrows the libraries without running the .pth of our editable install.
    borrowed = {"PYTHONPATH": sysconfig.get_path("purelib"), "OMP_NUM_THREADS": "1"}
    where = run(python, "-c", "import workbench; print(workbench.__file__)", cwd=empty, **borrowed)
    assert str(venv) in where.stdout
    ava = str(venv / "bin" / "ava")
    run(ava, "train", "tiny_cpu", *mini(max_steps=3), "--name", "first", cwd=empty, **borrowed)
    assert (empty / "runs" / "first" / "training_curves.png").stat().st_size > 1000
    shown = run(ava, "runs", "show", "first", cwd=empty, **borrowed)
    assert "finished" in shown.stdout


@pytest.mark.slow
def test_pip_install_into_a_fresh_environment(tmp_path: Path) -> None:
    """What a person does: `pip install .`, then `ava train` somewhere else."""
    venv, empty = tmp_path / "venv", tmp_path / "empty"
    empty.mkdir()
    run(sys.executable, "-m", "venv", str(venv), cwd=tmp_path)
    constraints = str(ROOT / "constraints.txt")
    pip = (str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet")
    run(*pip, "--constraint", constraints, str(ROOT), cwd=tmp_path)
    ava = str(venv / "bin" / "ava")
    run(ava, "train", "tiny_cpu", *mini(max_steps=3), cwd=empty)
    assert list((empty / "runs").glob("tiny_cpu-*/summary.json"))
