"""training_curves.png: the loss, and below it what drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.runs.curves import smooth
from workbench.runs.follow import Follower

if TYPE_CHECKING:
    from workbench.runs.directory import RunDir

_BLUE, _ORANGE, _GREY, _GREEN = "#2b6cb0", "#dd6b20", "#718096", "#2f855a"
_TEXT, _FAINT = "#1a202c", "#e2e8f0"


def draw_curves(run: RunDir, smoothing: float = 0.9) -> str | None:
    """Draw the picture of a run from its metrics files.

    Args:
        run: The run directory.
        smoothing: Weight of the past in the smoothed lines.

    Returns:
        None, or why there is no picture: a missing picture must not fail a training.
    """
    try:
        follower = Follower(run)
        follower.poll()
        _draw(follower, run, smoothing)
    except Exception as error:  # noqa: BLE001 - fonts, disk: whatever matplotlib meets
        return f"{type(error).__name__}: {error}"
    return None


def _draw(follower: Follower, run: RunDir, smoothing: float) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), dpi=150, layout="constrained", facecolor="white")
    axes = figure.subplot_mosaic([["loss", "loss"], ["lr", "norm"]], height_ratios=[2.2, 1])
    loss, lr, norm = axes["loss"], axes["lr"], axes["norm"]

    steps, values = _series(follower, "loss")
    if len(steps):
        loss.plot(
            steps, values, color=_BLUE, alpha=0.25, linewidth=0.8, label="training, each step"
        )
        loss.plot(
            steps, smooth(values, smoothing), color=_BLUE, linewidth=1.8, label="training, smoothed"
        )
    val_steps, val_values = _series(follower, "val_loss")
    if len(val_steps):
        loss.plot(
            val_steps, val_values, "o-", color=_ORANGE, markersize=4, linewidth=1, label="held out"
        )
        loss.annotate(
            f"{val_values[-1]:.3f}",
            (val_steps[-1], val_values[-1]),
            textcoords="offset points",
            xytext=(6, 6),
            color=_ORANGE,
            fontsize=9,
            annotation_clip=False,
        )
    untrained = (follower.ready or {}).get("untrained_loss")
    if untrained:
        loss.axhline(untrained, color=_GREY, linewidth=0.9, linestyle=(0, (4, 3)))
        loss.text(
            0.995,
            untrained,
            f"knowing nothing: {untrained:.2f}",
            transform=loss.get_yaxis_transform(),
            ha="right",
            va="bottom",
            fontsize=8,
            color=_GREY,
        )
    loss.set_title(run.name, loc="left", fontsize=13, color=_TEXT, fontweight="bold")
    loss.set_ylabel("loss (nats per token)")
    if loss.get_legend_handles_labels()[0]:
        loss.legend(frameon=False, fontsize=9)

    lr.plot(*_series(follower, "lr"), color=_GREEN, linewidth=1.5)
    lr.set_ylabel("learning rate")
    lr.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    steps, values = _series(follower, "grad_norm")
    norm.plot(steps, values, color=_GREY, alpha=0.3, linewidth=0.8)
    if len(steps):
        norm.plot(steps, smooth(values, smoothing), color=_GREY, linewidth=1.5)
    norm.set_ylabel("gradient norm")
    for axis in (loss, lr, norm):
        _tidy(axis)

    temporary = run.curves_path.with_name(f".{run.curves_path.name}.tmp")
    figure.savefig(temporary, format="png")
    temporary.replace(run.curves_path)


def _series(follower: Follower, name: str) -> tuple[Any, Any]:
    import numpy as np

    if name not in follower.metric_names:
        return np.empty(0), np.empty(0)
    series = follower.series(name)
    return np.asarray(series.steps), np.asarray(series.values)


def _tidy(axis: Any) -> None:
    axis.set_xlabel("step", color=_TEXT)
    axis.yaxis.label.set_color(_TEXT)
    axis.grid(visible=True, color=_FAINT, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(_GREY)
    axis.tick_params(colors=_TEXT, labelsize=9)
