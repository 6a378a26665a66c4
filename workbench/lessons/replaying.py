"""Whether the first steps of a run come out again: its rows beside those of a replay.

`workbench.training.replay` computes the steps in a process of its own; here they are asked for,
compared, and the verdict kept. A verdict is about content: it is filed under a hash of config,
environment, metrics and events, so that asking a second time costs nothing, and a run that was
changed by one byte is asked about anew.

**Tolerance.** The replay takes the run's own number format and number of threads, and on the
machine of the run its losses came out equal to the last bit: 60 steps of the lessons' model, in
bf16 and in fp32, beside a busy machine and with 1, 2 and 3 threads. With other instructions of the
processor (AVX2 and SSE4 instead of AVX-512, as another machine would have) they differed within the
first 5 steps by 9e-8 in fp32 and 6e-5 in bf16, relative; after 60 steps by 6e-6 in fp32, and in
bf16 by 5 %, for rounding is amplified from step to step. So what is allowed is 1e-4 in fp32 and
1e-3 in 16 bits, over ten times that of the first steps, and where processor, device or torch differ
from the run's only those are compared. Another seed made 6e-3 in a network of 16 numbers, where it
makes least. Gradient norms, which cancel less, get ten times as much; learning rates and counts of
tokens, which nothing rounds, get nothing.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from workbench.runs.files import atomic_write_json, read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from workbench.runs.directory import RunDir

LEAST: Final = 5
"""Steps that are replayed at least, and compared on any machine."""

_TOLERANCES: Final = {"fp32": 1e-4, "bf16": 1e-3, "fp16": 1e-3}
_NORM: Final = 10.0
_SECONDS: Final = 600.0
_FILE: Final = "replays.json"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay has shown.

    Attributes:
        why: Why the run's rows are not those of its config; empty when they are.
        steps: How many steps were compared.
    """

    why: str
    steps: int


Rows = list[dict[str, Any]]


def replayed(
    runs: Mapping[RunDir, Rows],
    cache: Path | None,
    *,
    least: int = LEAST,
    told: Callable[[str], None] = lambda _: None,
) -> dict[RunDir, Replayed]:
    """Replay runs and compare, those together that one process can replay.

    Args:
        runs: Each with its rows of losses, in order.
        cache: The folder where verdicts are kept; None keeps none.
        least: Steps to replay at least.
        told: Called with a line before each process that replays.
    """
    kept = read_json(cache / _FILE) if cache is not None else {}
    keys = {run: fingerprint(run) for run in runs}
    found: dict[RunDir, Replayed] = {}
    missing: list[RunDir] = []
    for run, key in keys.items():
        verdict = kept.get(key)
        if isinstance(verdict, dict) and isinstance(verdict.get("why"), str):
            found[run] = Replayed(verdict["why"], int(verdict.get("steps", 0)))
        else:
            missing.append(run)
    for group in _groups(missing):
        names = ", ".join(run.name for run in group)
        told(f"replaying the first steps of {names}: do they come out again? (some seconds)")
        for run, answer in zip(group, _ask(group, least), strict=True):
            found[run] = _compared(run, runs[run], answer)
            if answer.get("problem") != _NO_ANSWER:
                kept[keys[run]] = {"why": found[run].why, "steps": found[run].steps}
    if missing and cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
        atomic_write_json(cache / _FILE, kept)
    return found


def fingerprint(run: RunDir) -> str:
    """A hash of everything that the verdict on a run depends on."""
    import xxhash

    digest = xxhash.xxh3_128()
    paths = [run.config_path, run.environment_path, run.events_path]
    paths += [run.metrics_path(attempt) for attempt in run.attempts()]
    paths += [run.attempt_dir(1) / "cmd.json"]
    for path in paths:
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        digest.update(f"{path.name}:{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()


def _processes(run: RunDir) -> int:
    parallel = _section(run, "parallel")
    nodes, devices = parallel.get("num_nodes", 1), parallel.get("devices_per_node", 1)
    return nodes * devices if isinstance(nodes, int) and isinstance(devices, int) else 1


def _section(run: RunDir, name: str) -> dict[str, Any]:
    config = read_json(run.config_path).get("config")
    section = config.get(name) if isinstance(config, dict) else None
    return section if isinstance(section, dict) else {}


def _groups(runs: Iterable[RunDir]) -> list[list[RunDir]]:
    """Runs of one process together; a process group is met once in a process, so others alone."""
    together: list[RunDir] = []
    alone: list[list[RunDir]] = []
    for run in runs:
        if _processes(run) > 1 or _section(run, "deepspeed").get("enabled"):
            alone.append([run])
        else:
            together.append(run)
    return ([together] if together else []) + alone


_NO_ANSWER: Final = "the replay has ended without an answer"


def _ask(runs: Sequence[RunDir], least: int) -> list[dict[str, Any]]:
    """What the replaying process answers, a run each."""
    from workbench.runs.launcher import HEAP

    processes = _processes(runs[0])
    argv = [sys.executable, "-P", "-m"]
    with tempfile.TemporaryDirectory(prefix="ava-replayed-") as folder:
        if processes > 1:
            argv += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}",
                     "--max-restarts=0", f"--log-dir={folder}", "--module"]  # fmt: skip
        out = Path(folder) / "answers.json"
        argv += ["workbench.training.replay", *(str(run.path) for run in runs)]
        argv += ["--least", str(least), "--out", str(out)]
        told = _run(argv, {**HEAP, **_environment()})
        answers = read_json(out).get("answers")
    known = answers if isinstance(answers, list) else []
    lost: dict[str, Any] = {"problem": _NO_ANSWER, "detail": told, "rows": []}
    return [known[place] if place < len(known) else lost for place in range(len(runs))]


def _run(argv: list[str], env: dict[str, str]) -> str:
    """Run a command to its end; returns its last words. It dies with whoever waits for it."""
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
        start_new_session=True,
    ) as child:  # fmt: skip
        try:
            output, _ = child.communicate(timeout=_SECONDS)
        except BaseException as error:
            import contextlib
            import signal

            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return f"nothing has come for {_SECONDS:.0f} seconds"
            raise
    lines = [line for line in output.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _environment() -> dict[str, str]:
    """Our environment, without what tells a process its place among those of another training."""
    from workbench.runs.process import MARKER

    places = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", MARKER}
    kept = {name: value for name, value in os.environ.items() if name not in places}
    package = Path(__file__).resolve().parents[2]
    if package.name not in ("site-packages", "dist-packages"):  # a checkout, perhaps not installed
        paths = [str(package), str(package / "kernels")]
        kept["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [kept.get("PYTHONPATH")])])
    return kept


def _compared(run: RunDir, rows: Rows, answer: dict[str, Any]) -> Replayed:
    if answer.get("problem"):
        detail = f" ({answer['detail']})" if answer.get("detail") else ""
        return Replayed(f"its first steps cannot be replayed: {answer['problem']}{detail}", 0)
    again = {row["step"]: row for row in answer["rows"]}
    precision = str(read_json(run.environment_path).get("precision", "fp32"))
    tolerance = _TOLERANCES.get(precision, max(_TOLERANCES.values()))
    differences = answer.get("differences") or []
    compared = 0
    for row in rows:
        other = again.get(row["step"])
        if other is None or (differences and row["step"] > LEAST):
            continue
        compared += 1
        if why := _difference(row, other, tolerance):
            note = f"; {differences[0]}, which may be why" if differences else ""
            return Replayed(f"step {row['step']} says {why}{note}", compared)
    if not compared:
        return Replayed("none of its steps could be compared with a replay", 0)
    return Replayed("", compared)


def _difference(row: Mapping[str, Any], other: Mapping[str, Any], tolerance: float) -> str:
    """In what a row differs from its replay; empty when in nothing that counts."""
    for name, words, allowed in (
        ("lr", "learning rate", 1e-6),
        ("loss", "loss", tolerance),
        ("tokens", "tokens", 0.0),
        ("grad_norm", "gradient norm", _NORM * tolerance),
    ):
        if name not in row or name not in other:
            continue
        said, computed = _number(row[name]), _number(other[name])
        if math.isfinite(said) != math.isfinite(computed) or (
            math.isfinite(said) and abs(said - computed) > allowed * max(abs(computed), 1e-12)
        ):
            return f"{words} {_spelled(said)}, replaying its config gives {_spelled(computed)}"
    return ""


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan


def _spelled(value: float) -> str:
    return f"{value:.4f}" if 0.01 <= abs(value) < 1e5 else f"{value:.6g}"
