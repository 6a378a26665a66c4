"""From a run directory to everything the loop needs."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from pydantic import ValidationError

from workbench import machine, units
from workbench.config.schema import Config
from workbench.data.opening import Opened, open_source
from workbench.errors import CheckpointError, ConfigError, RunError, TrainingError
from workbench.estimate.batch import Batch
from workbench.models.build import build_model
from workbench.models.huggingface import load_pretrained
from workbench.models.init import init_weights
from workbench.models.lora import add_adapters, frozen_fingerprint, init_adapters
from workbench.runs.files import atomic_write_json, read_json
from workbench.training import environment
from workbench.training.cadence import epoch_ends
from workbench.training.checkpoint_tiers import Tiers
from workbench.training.compiling import compile_blocks
from workbench.training.distributed import World
from workbench.training.ema import WeightAverage, weight_average
from workbench.training.engines.choose import choose_strategy, make_engine
from workbench.training.length import settle_length
from workbench.training.metrics import StepMeter, peak_flops
from workbench.training.objective import Objective
from workbench.training.precision import Precision, choose_precision
from workbench.training.progress import Progress, set_rng_state
from workbench.training.reactions import Reactions
from workbench.training.report import Reporter
from workbench.training.saving import Saver
from workbench.training.silence import Silence

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from workbench.config.schema import TrainingConfig
    from workbench.data.batches import MicroBatch
    from workbench.models.base import LanguageModel, Recompute
    from workbench.runs.directory import RunDir
    from workbench.training.checkpoint import Loaded
    from workbench.training.engines.base import Engine
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
    dataset: Opened
    engine: Engine
    tiers: Tiers
    saver: Saver
    meter: StepMeter
    progress: Progress
    report: Reporter
    stop: StopSignals
    parameters: int
    reactions: Reactions
    average: WeightAverage | None = None
    """The average of the weights, which is evaluated in their place."""
    frozen: str | None = None
    """A hash of the weights that LoRA leaves alone."""
    sample: tuple[int, str] | None = None
    """The newest sample, and the step it was drawn at."""

    @property
    def tokens_per_step(self) -> int:
        """Positions of one step, over all micro-batches and devices."""
        return Batch.of(self.config, self.engine.world.size).tokens

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to do: all steps are done, or more would not pay."""
        return self.progress.step >= self.config.training.max_steps or self.reactions.stopping.over

    def epoch_ends(self, step: int) -> bool:
        """Whether a step completes a pass over the text."""
        per_step = Batch.of(self.config, self.engine.world.size).sequences
        return epoch_ends(step, per_step, self.dataset.sequences_per_pass)

    def use_learning_rate(self, rate: float) -> None:
        """Train with another highest learning rate than the config's."""
        training = self.config.training.model_copy(update={"learning_rate": rate})
        self.config = self.config.model_copy(update={"training": training})
        self.reactions.configure(training)

    def micro_batches(self, step: int) -> list[MicroBatch]:
        """What this process computes of a step: every N-th of its micro-batches."""
        world = self.engine.world
        return [
            self.dataset.source.batch(step, micro * world.size + world.rank)
            for micro in range(self.config.training.gradient_accumulation_steps)
        ]

    def averaged(self) -> AbstractContextManager[None]:
        """The model with the weights that are evaluated: its own, or their average."""
        return nullcontext() if self.average is None else self.average.in_place()

    def close(self) -> None:
        """Let what is being written come to its end."""
        try:
            self.saver.wait()
        finally:
            self.dataset.source.close()
            self.report.close()

    def stopping(self) -> bool:
        """Whether any process was asked to stop: all agree, so that none waits for another."""
        return self.engine.world.any(self.stop.requested)


def open_session(
    run: RunDir, attempt: int, stop: StopSignals, world: World | None = None
) -> Session:
    """Set up the run: from its newest good checkpoint, or from the beginning.

    Args:
        run: The run directory.
        attempt: Number of the attempt.
        stop: Requests to end early.
        world: This process among those of the attempt, which must have met; None: it is alone.

    Raises:
        WorkbenchError: Something the user can repair stands in the way.
    """
    world = world or World()
    config = read_config(run)
    recorded = world.from_leader(_read_environment(run) if world.leads else None)
    report = Reporter(run, attempt, config) if world.leads else cast("Reporter", Silence())

    device = environment.choose_device(config.run, world.local_rank)
    threads = (
        recorded["threads"]
        if recorded
        else environment.choose_threads(config.run, world.local_size)
    )
    precision = (
        Precision(recorded["precision"], recorded["precision_reason"])
        if recorded
        else choose_precision(config.training.mixed_precision, device)
    )
    environment.make_deterministic(
        threads, config.run.seed + world.rank, config.training.float32_matmul_precision
    )

    dataset = open_source(config, data_parallel=world.size)
    if recorded:
        dataset.check_unchanged(recorded["data_fingerprint"], config.data.path)
    model = _build_model(config, dataset, precision)
    if config.lora.enabled:
        add_adapters(model, config.lora)
    parameters = model.num_parameters()
    _fill(model, config, device, world)
    frozen = None
    if config.lora.enabled:
        frozen = world.from_leader(frozen_fingerprint(model) if world.leads else None)
    compile_blocks(model, config.training.compile, device)
    engine = make_engine(Objective(model, config.training), config, device, world)
    average = weight_average(engine, config.training)

    now = environment.describe(device, threads)
    if not recorded and world.leads:
        _write_environment(run, now, precision, dataset, parameters)
    tiers = Tiers(run, config, report.checkpoint_bad)
    config, budget = settle_length(
        run,
        config,
        devices=world.size,
        parameters=parameters,
        sequences_per_epoch=dataset.sequences_per_pass,
    )
    reactions = Reactions(config.training, scale_loss=precision.dtype == torch.float16)
    loaded = _newest(tiers, world)
    if loaded is not None:
        _check_frozen(loaded, frozen)
        if average is not None and loaded.state.get("average"):
            average.load_state(loaded.tensors)
    progress = Progress() if loaded is None else _restore(loaded, engine, tiers, dataset)
    if loaded is not None and progress.step and "reactions" in loaded.state:
        reactions.load_state(loaded.state["reactions"])
    asynchronous = config.checkpointing.asynchronous
    lasting = loaded is not None and loaded.path.parent == run.checkpoints_dir
    start = progress.step if lasting else 0
    saver = Saver(tiers, report, asynchronous=asynchronous, start=start)

    session = Session(
        run=run,
        config=config,
        dataset=dataset,
        engine=engine,
        tiers=tiers,
        saver=saver,
        meter=StepMeter(
            config,
            model,
            device,
            devices=world.size,
            peak_flops=peak_flops(config, device, precision.name),
        ),
        progress=progress,
        report=report,
        stop=stop,
        parameters=parameters,
        reactions=reactions,
        average=average,
        frozen=frozen,
    )
    report.ready(_facts(session, precision, threads, budget.because), dataset)
    if loaded is not None:
        report.resumed(
            progress.step, loaded.path.name, environment.differences(recorded or {}, now)
        )
    return session


def _newest(tiers: Tiers, world: World) -> Loaded | None:
    """The newest good checkpoint. Rank 0 reads it; the others get all of it but the tensors."""
    loaded = None
    if world.leads:
        tiers.clear_leftovers()
        loaded = tiers.load()
    without = None if loaded is None else loaded._replace(tensors={})
    told: Loaded | None = world.from_leader(without)
    return loaded if world.leads else told


def read_config(run: RunDir) -> Config:
    """The resolved config of a run.

    Raises:
        ConfigError: It is not of this version.
    """
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
    run: RunDir, now: dict[str, Any], precision: Precision, dataset: Opened, parameters: int
) -> None:
    atomic_write_json(
        run.environment_path,
        now
        | {
            "precision": precision.name,
            "precision_reason": precision.reason,
            "data": dataset.description,
            "data_fingerprint": dataset.fingerprint,
            "parameters": parameters,
        },
    )


def _build_model(config: Config, dataset: Opened, precision: Precision) -> LanguageModel:
    """The network, without memory for its weights."""
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
            return build_model(
                config.model,
                compute_dtype=precision.dtype,
                recompute=_recompute(config.training),
                mtp=config.training.mtp,
            )
    except ValueError as error:
        raise ConfigError(str(error), where="model", fix="change one of the two") from None


def _recompute(training: TrainingConfig) -> Recompute:
    return training.gradient_checkpointing_kind if training.gradient_checkpointing else "none"


def _fill(model: LanguageModel, config: Config, device: torch.device, world: World) -> None:
    """Give the model its first weights; where they will be cut up, in rank 0's host memory only."""
    strategy = choose_strategy(config, world)
    sharded = strategy == "fsdp"
    _check_memory(model, device, 1 if sharded else world.local_size)
    if sharded and not world.leads:
        return
    model.to_empty(device="cpu" if sharded else device)
    init_weights(model, config.run.seed)
    if config.model.pretrained_path is not None:
        load_pretrained(model, config.model.pretrained_path)
    init_adapters(model, config.run.seed)


def _check_memory(model: LanguageModel, device: torch.device, copies: int) -> None:
    """Refuse what cannot fit before the kernel has to kill the process without a word."""
    free = machine.available_memory()
    needed = model.num_parameters() * _BYTES_PER_PARAMETER * copies
    if device.type == "cpu" and free is not None and needed > free:
        raise TrainingError(
            f"the model does not fit into memory: {units.count(model.num_parameters())} parameters",
            why=f"weights, gradients and optimizer take {units.size(needed)}, before any "
            f"activations; {units.size(free)} are free",
            fix="use a smaller model: fewer num_layers, or a smaller hidden_size",
        )


def _restore(loaded: Loaded, engine: Engine, tiers: Tiers, dataset: Opened) -> Progress:
    try:
        if tiers.fresh_start and not loaded.own:  # the weights of another run, and nothing else
            engine.load_state(
                {name: loaded.tensors[name] for name in loaded.tensors.keys() & {"model"}}
            )
            return Progress()
        engine.load_state(loaded.tensors)
        states, rank = loaded.state["rng"], engine.world.rank
        if rank < len(states):  # a process that was not there before keeps what its seed gave it
            set_rng_state(states[rank], engine.device)
        if loaded.own or loaded.state["data_fingerprint"] == dataset.fingerprint:
            dataset.source.load_state(loaded.state["data"])
        return Progress(**loaded.state["progress"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(
            f"{loaded.path.name} is whole, but not of this model",
            where=str(loaded.path),
            why=str(error),
            fix="it was written by another version or config: start a new run",
        ) from None


def _check_frozen(loaded: Loaded, frozen: str | None) -> None:
    """Adapters only mean something beside the weights they were trained with."""
    if loaded.state.get("frozen") != frozen:
        raise CheckpointError(
            f"{loaded.path.name} does not fit the weights that this run begins with",
            where=str(loaded.path),
            why="its adapters were trained beside other weights"
            if frozen and loaded.state.get("frozen")
            else "it has adapters (lora.enabled), and the run has none, or the other way round",
            fix="put back what model.pretrained_path was, or start a new run",
        )


def _facts(session: Session, precision: Precision, threads: int, length: str) -> dict[str, Any]:
    return {
        "parameters": session.parameters,
        "vocab_size": session.config.model.vocab_size,
        "untrained_loss": math.log(session.config.model.vocab_size),
        "max_steps": session.config.training.max_steps,
        "start_step": session.progress.step,
        "precision": precision.name,
        "precision_reason": precision.reason,
        "device": str(session.engine.device),
        "threads": threads,
        "equation": Batch.of(session.config, session.engine.world.size).equation(),
        "length": length,
    }
