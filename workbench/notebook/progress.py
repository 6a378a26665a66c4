"""How far a run is, as data that a view only has to draw."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench import units
from workbench.errors import WorkbenchError
from workbench.runs.words import mark, seconds_left, sentence

if TYPE_CHECKING:
    from workbench.runs.follow import Follower
    from workbench.runs.status import Verdict


def progress_of(follower: Follower, verdict: Verdict) -> dict[str, Any]:
    """A run in figures and one sentence."""
    step = follower.step
    most = int((follower.ready or {}).get("max_steps") or verdict.max_steps or 0)
    sign, role = mark(verdict.state)
    speed = follower.last("tokens_per_s")
    return {
        "run": follower.run.name,
        "state": verdict.state,
        "alive": verdict.alive,
        "sign": sign,
        "role": role,
        "step": step,
        "most": most,
        "words": _words(follower, verdict, step, most),
        "tiles": [
            ["loss", units.number(follower.last("loss"))],
            ["validation", units.number(follower.last("val_loss"))],
            ["lr", units.number(follower.last("lr"))],
            ["grad norm", units.number(follower.last("grad_norm"))],
            ["tokens/s", "–" if speed is None else units.count(speed)],
        ],
        "error": _error_text(verdict),
    }


def _words(follower: Follower, verdict: Verdict, step: int, most: int) -> str:
    match verdict.state:
        case "running":
            left = seconds_left(follower, most - step)
            words = f"step {step:,} of {most:,}"
            return words + (f", {units.duration(left)} left" if math.isfinite(left) else "")
        case "starting":
            return "getting ready: reading the text, building the model"
        case "stopping":
            return "finishing the step and saving"
        case _:
            from workbench.runs.files import read_json

            summary = {} if verdict.alive else read_json(follower.run.summary_path)
            return sentence(verdict, summary, step, most)


def _error_text(verdict: Verdict) -> str:
    if not verdict.error:
        return ""
    return WorkbenchError.from_dict(verdict.error).render().removeprefix("error: ")
