"""Everything the trainer says: metrics rows and events for the faces, text files for people."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Literal

from workbench import units
from workbench.errors import WorkbenchError
from workbench.runs.files import atomic_write_json, atomic_write_text
from workbench.runs.writer import EventWriter, LogWriter, MetricWriter
from workbench.training.writers import open_writers

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.data.opening import Opened
    from workbench.runs.directory import RunDir
    from workbench.training.checkpoint import Saved
    from workbench.training.progress import Progress

_NAMED_SKIPS = 20
Level = Literal["debug", "info", "warning", "error"]
_LEVELS = ("debug", "info", "warning", "error")


class Reporter:
    """The voice of one attempt.

    Args:
        run: The run directory.
        attempt: Number of the attempt.
        config: For ``logging``: how much is told, and to whom else.
    """

    def __init__(self, run: RunDir, attempt: int, config: Config | None = None) -> None:
        self.run = run
        directory = run.attempt_dir(attempt)
        directory.mkdir(parents=True, exist_ok=True)
        for folder in (run.metrics_dir, run.checkpoints_dir, run.samples_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self._metrics = MetricWriter(run.metrics_path(attempt))
        self._events = EventWriter(run.attempt_events_path(attempt))
        self._log = LogWriter(run.log_path)
        self._validation = LogWriter(run.validation_path)
        self._level = _LEVELS.index("info" if config is None else config.logging.level)
        self._writers = [] if config is None else open_writers(config, run, self._writer_trouble)

    def line(self, text: str, level: Level = "info") -> None:
        """Tell people something, if they want to know that much."""
        if _LEVELS.index(level) >= self._level:
            self._log.write(f"{time.strftime('%H:%M:%S')}  {text}")

    def _writer_trouble(self, text: str) -> None:
        self._events.write("writer_failed", why=text)
        self.line(f"elsewhere  {text}", "warning")

    def ready(self, facts: dict[str, Any], dataset: Opened) -> None:
        """The run is set up; training begins."""
        self._events.write(
            "ready",
            **facts,
            data=dataset.description,
            train_tokens=dataset.train_tokens,
            val_tokens=dataset.held_out_tokens,
            skipped=[{"path": s.path, "why": s.why} for s in dataset.skipped[:_NAMED_SKIPS]],
            skipped_total=len(dataset.skipped),
        )
        self.line(f"data       {dataset.description}")
        for skip in dataset.skipped[:_NAMED_SKIPS]:
            self.line(f"skipped    {skip.path} {skip.why}", "warning")
        if len(dataset.skipped) > _NAMED_SKIPS:
            self.line(f"skipped    {len(dataset.skipped) - _NAMED_SKIPS:,} more")
        for note in dataset.notes:
            self.line(f"data       {note}")
        train = "endless" if dataset.train_tokens is None else f"{dataset.train_tokens:,}"
        self.line(f"tokens     {train} to train on, {dataset.held_out_tokens:,} held out")
        self.line(f"model      {units.count(facts['parameters'])} parameters")
        self.line(f"step       {facts['equation']}")
        self.line(f"length     {facts['length']}")
        self.line(
            f"computing  {facts['precision']} on {facts['device']}, threads: {facts['threads']}; "
            f"{facts['precision_reason']}"
        )
        self.line(
            f"untrained  a loss of ln({facts['vocab_size']}) = {facts['untrained_loss']:.4f} "
            "is knowing nothing"
        )

    def resumed(self, step: int, checkpoint: str, differences: list[str]) -> None:
        """The run goes on from a checkpoint."""
        self._events.write("resumed", step=step, checkpoint=checkpoint)
        self.line(f"resumed    from {checkpoint}, {step:,} steps done")
        for difference in differences:
            self.line(f"resumed    not bit for bit the same: {difference}", "warning")

    def stepped(self, row: dict[str, Any], max_steps: int) -> None:
        """A step was measured."""
        self._write(row)
        self.line(
            f"step {row['step']:>{len(str(max_steps))}}/{max_steps}"
            f"  loss {row['loss']:.4f}  lr {row['lr']:.2e}  grad {units.number(row['grad_norm'])}"
            f"  {row['tokens_per_s']:,.0f} tokens/s"
            + (f"  busiest expert {row['expert_load']:.2f}x" if "expert_load" in row else "")
        )

    def reacted(self, step: int, event: dict[str, Any]) -> None:
        """The trainer did something by itself, or saw something worth knowing."""
        facts = {key: value for key, value in event.items() if key != "event"}
        self._events.write(event["event"], step=step, **facts)
        told = ", ".join(
            f"{name.replace('_', ' ')} {units.number(value) if isinstance(value, float) else value}"
            for name, value in facts.items()
            if value is not None
        )
        self.line(f"{event['event'].replace('_', ' ')}  at step {step:,}: {told}")

    def _write(self, row: dict[str, Any]) -> None:
        self._metrics.write(row)
        for writer in self._writers:
            writer.write(row)

    def evaluated(self, step: int, val_loss: float, sample: str | None) -> None:
        """The held-out text was evaluated, and perhaps a sample drawn."""
        self._write({"step": step, "t": time.time(), "val_loss": val_loss})
        self._events.write("eval", step=step, val_loss=val_loss)
        # e^709 is the largest a float can hold.
        perplexity = math.exp(val_loss) if val_loss < 709 else math.inf
        self.line(f"evaluated  validation loss {val_loss:.4f}, perplexity {perplexity:.3f}")
        block = f"step {step}  validation loss {val_loss:.4f}  perplexity {perplexity:.3f}\n"
        if sample is not None:
            path = self.run.samples_dir / f"step-{step:08d}.txt"
            try:
                atomic_write_text(path, sample)
            except (OSError, WorkbenchError):  # a full disk: the event below still holds the text
                self.line(f"sample     could not be written to {path.name}")
            self._events.write("sample", step=step, text=sample, path=str(path))
            block += f"{'-' * 72}\n{sample}\n{'-' * 72}\n"
        self._validation.write(block)

    def saved(self, step: int, saved: Saved, tier: str = "run") -> None:
        """A checkpoint was written: to the run's directory, or to another tier."""
        self._events.write(
            "saved",
            step=step,
            path=str(saved.path),
            seconds=saved.seconds,
            bytes=saved.bytes,
            tier=tier,
        )
        self.line(
            f"saved      {saved.path.name}, {units.size(saved.bytes)} "
            f"in {units.duration(saved.seconds)}" + (f", in {tier}" if tier != "run" else "")
        )

    def save_failed(self, step: int, error: WorkbenchError) -> None:
        """A checkpoint could not be written; training goes on."""
        self._events.write("save_failed", step=step, error=error.to_dict())
        self.line(
            f"not saved  {error.what}: {error.why}; training goes on, the next save tries again",
            "error",
        )

    def checkpoint_bad(self, name: str, why: str) -> None:
        """A checkpoint did not verify."""
        self._events.write("checkpoint_bad", path=name, why=why)
        self.line(f"damaged    {name}: {why}; it is set aside and never loaded", "warning")

    def stopping(self, step: int) -> None:
        """Somebody asked the run to stop."""
        self._events.write("stopping", step=step)
        self.line(f"stopping   as asked, {step:,} steps done")

    def done(self, progress: Progress, summary: dict[str, Any]) -> None:
        """The attempt is over, as planned or as asked."""
        try:
            atomic_write_json(self.run.summary_path, summary)
        except (OSError, WorkbenchError):
            self.line("summary    could not be written")
        self._events.write("done", step=progress.step, summary=summary)
        self.line(
            f"{summary['state']:<9}  step {progress.step:,} of {summary['max_steps']:,}, "
            f"loss {units.number(summary['loss'])}, "
            f"validation loss {units.number(summary['val_loss'])}, "
            f"{units.duration(summary['seconds'])}"
        )

    def close(self) -> None:
        """Write what is still waiting."""
        for elsewhere in self._writers:
            elsewhere.close()
        for writer in (self._metrics, self._events, self._log, self._validation):
            writer.close()
