"""The part that follows runs: curves, progress, the log's last lines, the chart as words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from workbench.notebook.curves import WEIGHTS, Curves, Look, described, metrics_of, table_of
from workbench.notebook.logtail import LogTail
from workbench.notebook.messages import Message
from workbench.notebook.progress import progress_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from workbench.notebook.curves import Line, Piece
    from workbench.runs.directory import RunDir
    from workbench.runs.follow import Follower
    from workbench.runs.status import Verdict

MOST_RUNS = 8  # that are drawn over each other; as many colours can be told apart
_BYTES_AT_ONCE = 8 * 2**20
_JUDGED = 5  # ticks between two looks at a live run's lock
_ENDED = 10  # ticks between two looks at an ended one
_LOG_EVERY = 10
_SPOKEN = 10  # ticks between two descriptions of the chart


class Watching:
    """Follows runs for a chart.

    Args:
        runs_dir: Where the runs are; asked each time, for an edit can move it.
        names: The runs, the first one in front.
        look: How the curves are looked at.
        log: Whether the log is wanted.
    """

    def __init__(
        self,
        runs_dir: Callable[[], Path],
        names: Sequence[str] = (),
        look: Look | None = None,
        *,
        log: bool = True,
    ) -> None:
        self.runs_dir = runs_dir
        self.look = look or Look()
        self.curves = Curves(self.look)
        self.followers: dict[str, Follower] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._generation = 0
        self._log = LogTail() if log else None
        self._facts: dict[str, Any] = {}
        self._metrics: list[str] = []
        if names:
            self.follow(names)

    @property
    def names(self) -> list[str]:
        """The runs that are followed, the first one in front."""
        return list(self.followers)

    @property
    def front(self) -> RunDir | None:
        """The run in front."""
        return None if self._front is None else self._front.run

    @property
    def _front(self) -> Follower | None:
        return next(iter(self.followers.values()), None)

    def follow(self, names: Sequence[str]) -> None:
        """Follow these runs from now on.

        Raises:
            WorkbenchError: There is no such run.
        """
        from workbench.runs.directory import open_run
        from workbench.runs.follow import Follower

        wanted: dict[str, Follower] = {}
        for name in names[:MOST_RUNS]:
            run = open_run(self.runs_dir(), name)
            known = self.followers.get(run.name)
            same = known is not None and known.run.path == run.path
            wanted[run.name] = known if known is not None and same else Follower(run)
        self.followers = wanted
        self.curves.forget()
        self.look.window = None
        self._read(everything=True)
        self._judge(everything=True)

    # ---------------------------------------------------------------- what views are told

    def opening(self) -> Iterable[Message]:
        """The curves as they are, the progress, the log."""
        self._read(everything=True)
        self._judge(everything=True)
        yield self._whole()
        if self._log is not None:
            yield self._log.whole(self._front)

    def tick(self, count: int) -> Iterable[Message]:
        """What has come since the last time."""
        changed = self._read(everything=count % _ENDED == 0)
        judged = count % _JUDGED == 0
        if judged:
            self._judge(everything=count % _ENDED == 0)
        if changed and metrics_of(self.followers) != self._metrics:
            yield self._whole()
        elif changed:
            lines = self.curves.lines(self.followers)
            pieces = self.curves.fresh(lines)
            words = count % _SPOKEN == 0
            yield self._whole() if pieces is None else self._points(pieces, lines, words=words)
        elif judged and self.progress() != self._facts:
            yield self._points([], self.curves.lines(self.followers))
        if self._log is not None and count % _LOG_EVERY == 0:
            yield from self._log.news(self._front)

    def hear(self, asked: dict[str, Any]) -> Iterable[Message] | None:
        """Look at the curves in another way."""
        look = self.look
        match asked.get("type"):
            case "metric":
                look.metric = str(asked.get("name", "loss"))
            case "smoothing":
                look.smoothing = min(max(int(asked.get("place", 3)), 0), len(WEIGHTS) - 1)
            case "log_axis":
                look.log = bool(asked.get("on"))
            case "window":
                look.window = _window(asked.get("ends"))
            case "zoom":
                look.zoom(float(asked.get("by", 2)), self.curves.lines(self.followers))
            case "table":
                table = table_of(self.curves.lines(self.followers)[::-1])
                return [Message({"type": "table", "to": asked.get("view")} | table)]
            case "follow":
                self.follow([str(name) for name in asked.get("runs", ())])
                return self.opening()
            case _:
                return None
        return [self._whole()]

    def judged(self) -> list[Message]:
        """The progress, after a look at the state of all runs."""
        self._judge(everything=True)
        return [self._points([], self.curves.lines(self.followers))]

    def _read(self, *, everything: bool) -> bool:
        """Read what is new of the live runs, or of all; returns whether there was something."""
        changed = False
        for name, follower in self.followers.items():
            verdict = self._verdicts.get(name)
            if everything or verdict is None or verdict.alive:
                while follower.poll(max_bytes=_BYTES_AT_ONCE):
                    changed = True
                    if not everything:
                        break
        return changed

    def _judge(self, *, everything: bool) -> None:
        from workbench.runs.status import verdict

        for name, follower in self.followers.items():
            known = self._verdicts.get(name)
            if everything or known is None or known.alive:
                self._verdicts[name] = verdict(follower.run)

    def _whole(self) -> Message:
        """The message that makes a chart anew."""
        self._generation += 1
        lines = self.curves.lines(self.followers)
        pieces = self.curves.whole(lines)
        self._facts = self.progress()
        self._metrics = metrics_of(self.followers)
        buffers = tuple(data.tobytes() for piece in pieces for data in (piece.x, piece.y))
        names = self.names
        content = {
            "type": "curve",
            "generation": self._generation,
            "metric": self.look.metric,
            "metrics": self._metrics,
            "smoothing": self.look.smoothing,
            "weights": list(WEIGHTS),
            "log": self.look.log,
            "window": self.look.window,
            "runs": names,
            "lines": [
                {
                    "run": piece.line.run,
                    "role": piece.line.role,
                    "name": piece.line.name,
                    "colour": names.index(piece.line.run),
                    "total": piece.total,
                }
                for piece in pieces
            ],
            "words": described(lines, self.look.metric),
            "facts": self._facts,
        }
        return Message(content, buffers)

    def _points(
        self, pieces: Sequence[Piece], lines: Sequence[Line], *, words: bool = True
    ) -> Message:
        """The message that makes a chart longer.

        Args:
            pieces: What is new.
            lines: The whole lines.
            words: Whether to say the chart in words, which takes a pass over all samples.
        """
        self._facts = self.progress()
        places = {id(line): place for place, line in enumerate(lines)}
        content: dict[str, Any] = {
            "type": "points",
            "generation": self._generation,
            "lines": [[places[id(piece.line)], piece.total] for piece in pieces],
            "facts": self._facts,
        }
        front = self._front
        if pieces and front is not None:
            content["t"] = front.last("t")
        if lines and words:
            content["words"] = described(lines, self.look.metric)
        return Message(
            content, tuple(data.tobytes() for piece in pieces for data in (piece.x, piece.y))
        )

    def progress(self) -> dict[str, Any]:
        """The front run in figures and one sentence."""
        run = self.front
        if run is None:
            return {"run": "", "state": "", "words": "No run is followed."}
        return progress_of(self.followers[run.name], self._verdicts[run.name])


def _window(ends: Any) -> tuple[float, float] | None:
    if not isinstance(ends, list) or len(ends) != 2:
        return None
    low, high = float(ends[0]), float(ends[1])
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None
