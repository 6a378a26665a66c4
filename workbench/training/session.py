"""From a run directory to everything the loop needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError

from workbench import units
from workbench.config.schema import Config
from workbench.data.dataset import Dataset, check_unchanged, load_dataset
from workbench.data.order import DataOrder, validation_starts
from workbench.errors import CheckpointError, ConfigError, RunError, TrainingError
from workbench.estimate.batch import Batch
from workbench.models.build import build_model
from workbench.models.init import init_weights
from workbench.runs.files import atomic_write_json, read_json
from workbench.training import environment
from workbench.training.checkpoint import Checkpoints, Loaded
from workbench.training.engine import Engine, SingleEngine
from workbench.training.precision import Precision, choose_precision
from workbench.training.progress import Progress, set_rng_state
from workbench.training.report import Reporter

if TYPE_CHECKING:
    from workbench.models.base import LanguageModel
    from workbench.runs.directory import RunDir
    from workbench.training.stop import StopSignals

# fp32 weight, gradient and the two moments of AdamW.
_BYTES_PER_PARAMETER = 16

# What an attempt takes from the environment.json of the first one.
_TAKEN_UP_AGAIN = ("threads", "precision", "precision_reason", "data_fingerprint")


@dataclass
class Session:
    """One attempt at a run, ready to train."""

    run: RunDir
    config: Config
    dataset: Dataset
    order: DataOrder
    validation_starts: list[int]
    engine: Engine
    checkpoints: Checkpoints
    progress: Progress
    report: Reporter
    stop: StopSignals
    sample: tuple[int, str] | None = None
    """The newest sample, and the step it was drawn at."""

    @property
    def tokens_per_step(self) -> int:
        """Targets of one step, over all micro-batches and devices."""
        return Batch.of(self.config, self.engine.world_size).tokens


def open_session(run: RunDir, attempt: int, stop: StopSignals) -> Session:
    """Set up the run: from its newest good checkpoint, or from the beginning.

    Raises:
        WorkbenchError: Something the user can repair stands in the way.
    """
    config = _read_config(run)
    recorded = _read_environment(run)
    report = Reporter(run, attempt)

    device = environment.choose_device(config.run)
    threads = recorded["threads"] if recorded else environment.choose_threads(config.run)
    precision = (
        Precision(recorded["precision"], recorded["precision_reason"])
        if recorded
        else choose_precision(config.training.mixed_precision, device)
    )
    environment.make_deterministic(threads, config.run.seed)

    dataset = load_dataset(config.data)
    if recorded:
        check_unchanged(dataset, recorded["data_fingerprint"], config.data.path)
    model = _build_model(config, dataset, precision, device)
    engine = SingleEngine(model, config.training, device)

    now = environment.describe(device, threads)
    if not recorded:
        _write_environment(run, now, precision, dataset, model)
    progress = Progress()
    checkpoints = Checkpoints(
        run.checkpoints_dir, config.training.save_total_limit, report.checkpoint_bad
    )
    checkpoints.clear_leftovers()
    loaded = checkpoints.load_newest()
    if loaded is not None:
        progress = _restore(loaded, engine, device)

    training, data = config.training, config.data
    session = Session(
        run=run,
        config=config,
        dataset=dataset,
        order=DataOrder(
            dataset.train,
            length=data.max_length,
            batch_size=training.batch_size,
            accumulation=training.gradient_accumulation_steps,
            seed=data.shuffle_seed,
        ),
        validation_starts=validation_starts(
            dataset.validation, data.max_length, data.max_eval_examples
        ),
        engine=engine,
        checkpoints=checkpoints,
        progress=progress,
        report=report,
        stop=stop,
    )
    report.ready(_facts(session, precision, threads), dataset)
    if loaded is not None:
        report.resumed(
            progress.step, loaded.path.name, environment.differences(recorded or {}, now)
        )
    return session


def _read_config(run: RunDir) -> Config:
    try:
        return Config.model_validate(run.config())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(
            "the config of this run cannot be used",
            where=f"{run.path}: {'.'.join(map(str, first['loc']))}",
            why=first["msg"],
            fix="start a new run; this one was made by another version or edited",
        ) from None


def _read_environment(run: RunDir) -> dict[str, Any] | None:
    path = run.environment_path
    if not path.exists():
        return None
    recorded = read_json(path)
    if missing := [name for name in _TAKEN_UP_AGAIN if name not in recorded]:
        raise RunError(
            "environment.json of this run is damaged",
            where=str(path),
            why=f"it lacks {', '.join(missing)}",
            fix="delete the file; the run then goes on with what this machine offers",
        )
    return recorded


def _write_environment(
    run: RunDir, now: dict[str, Any], precision: Precision, dataset: Dataset, model: LanguageModel
) -> None:
    atomic_write_json(
        run.environment_path,
        now
        | {
            "precision": precision.name,
            "precision_reason": precision.reason,
            "data": dataset.description,
            "data_fingerprint": dataset.fingerprint,
            "parameters": model.num_parameters(),
        },
    )


def _build_model(
    config: Config, dataset: Dataset, precision: Precision, device: torch.device
) -> LanguageModel:
    if config.model.vocab_size < dataset.tokenizer.vocab_size:
        raise ConfigError(
            f"model.vocab_size {config.model.vocab_size} is too small",
            where="model.vocab_size",
            why=f"the {dataset.tokenizer.name} tokenizer has {dataset.tokenizer.vocab_size}",
            fix=f"use --model.vocab_size {dataset.tokenizer.vocab_size}",
        )
    if config.data.max_length > config.model.max_position_embeddings:
        raise ConfigError(
            f"data.max_length {config.data.max_length} is longer than the model is meant for",
            where="data.max_length",
            why=f"model.max_position_embeddings is {config.model.max_position_embeddings}",
            fix="shorten the sequences, or raise model.max_position_embeddings",
        )
    try:
        with torch.device("meta"):
            model = build_model(
                config.model,
                compute_dtype=precision.dtype,
                recompute="block" if config.training.gradient_checkpointing else "none",
            )
    except ValueError as error:
        raise ConfigError(str(error), where="model", fix="change one of the two") from None
    _check_memory(model, device)
    model.to_empty(device=device)
    init_weights(model, config.run.seed)
    return model


def _check_memory(model: LanguageModel, device: torch.device) -> None:
    """Refuse what cannot fit before the kernel has to kill the process without a word."""
    free = environment.available_memory()
    needed = model.num_parameters() * _BYTES_PER_PARAMETER
    if device.type == "cpu" and free is not None and needed > free:
        raise TrainingError(
            f"the model does not fit into memory: {units.count(model.num_parameters())} parameters",
            why=f"weights, gradients and optimizer take {units.size(needed)}, before any "
            f"activations; {units.size(free)} are free",
            fix="use a smaller model: fewer num_layers, or a smaller hidden_size",
        )


def _restore(loaded: Loaded, engine: Engine, device: torch.device) -> Progress:
    try:
        engine.load_state(loaded.tensors)
        set_rng_state(loaded.state["rng"], device)
        return Progress(**loaded.state["progress"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{loaded.path.name} is whole, but not of this model",
            where=str(loaded.path),
            why=str(error),
            fix="it was written by another version or config: start a new run",
        ) from None


def _facts(session: Session, precision: Precision, threads: int) -> dict[str, Any]:
    return {
        "parameters": session.engine.model.num_parameters(),
        "vocab_size": session.config.model.vocab_size,
        "untrained_loss": math.log(session.config.model.vocab_size),
        "max_steps": session.config.training.max_steps,
        "start_step": session.progress.step,
        "precision": precision.name,
        "precision_reason": precision.reason,
        "device": str(session.engine.device),
        "threads": threads,
        "equation": Batch.of(session.config, session.engine.world_size).equation(),
    }
