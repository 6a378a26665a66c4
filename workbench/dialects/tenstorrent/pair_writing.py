"""A config as the pair of files of tt-train, or as whichever of its sections the file had."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from workbench.dialects.building import ABSENT, NoPlace
from workbench.dialects.tenstorrent.flat_writing import header, restore_type
from workbench.dialects.tenstorrent.model_telling import tell_model, tell_overlay
from workbench.dialects.tenstorrent.saying import held, in_order, tell
from workbench.dialects.tenstorrent.shapes import SECTIONS
from workbench.dialects.tenstorrent.text import block_yaml
from workbench.dialects.tenstorrent.training import (
    ALWAYS,
    DEFAULTS,
    SPARE,
    TABLE,
    told_schedule,
)

if TYPE_CHECKING:
    from workbench.dialects.base import Writing
    from workbench.dialects.telling import Teller

MODEL: Final = "transformer_config"
HOSTS: Final = "multihost_config"
_MODELS: Final = "${TT_METAL_RUNTIME_ROOT}/tt-train/configs/model_configs"
_NO_KEY: Final = "tt-train has no such key"


def write_pair(teller: Teller, order: list[str], kept: dict[str, Any]) -> Writing:
    """Say a config in tt-train's sections.

    Args:
        teller: The writing; its tree is the residue.
        order: The keys of the file that it came from; empty for a new one.
        kept: The residue as it was before anything was said.
    """
    return _TtTrain(teller, order, kept).write()


class _TtTrain:
    """The pair of files of tt-train, or whichever of its sections the file had."""

    def __init__(self, teller: Teller, order: list[str], kept: dict[str, Any]) -> None:
        self._to = teller
        self._order = order
        self._kept = kept
        self._had = {path.partition(".")[0] for path in order} or set(SECTIONS[:3])
        self._fresh = not order

    def write(self) -> Writing:
        to = self._to
        if "training_config" in self._had:
            always = ALWAYS if self._fresh else frozenset()
            tell(to, TABLE, self._order, DEFAULTS, always)
            self._training()
        else:
            tell(
                to,
                [each for each in TABLE if each.path.partition(".")[0] in self._had],
                self._order,
            )
        if "device_config" in self._had or self._fresh:
            self._device()
        model = self._model()
        for path in ("parallel.strategy", "parallel.devices_per_node"):
            if to.our(path) in (1, "auto"):
                to.said(path)
        self._goes_without_saying()
        own = {key: value for key, value in to.tree.items() if self._is_own(key, model)}
        files = self._files(in_order(own, self._order, SPARE), model)
        if HOSTS in to.tree and HOSTS not in own:
            files[self._host_file()] = block_yaml(
                in_order({HOSTS: to.tree[HOSTS]}, self._order, {})
            )
        command = self._command(next(iter(files))) if "training_config" in self._had else ""
        return to.writing(files, command=command, rest=_NO_KEY)

    def _command(self, first: str) -> str:
        """How tt-train is started; a new model file goes to where the training file looks."""
        start = f"python3 train_nanogpt.py --config {shlex.quote(first)}"
        if not self._fresh:
            return start
        place = _MODELS.replace("${TT_METAL_RUNTIME_ROOT}", "$TT_METAL_RUNTIME_ROOT")
        return f'cp {shlex.quote(self._model_file())} "{place}/"\n{start}'

    def _is_own(self, key: str, model: dict[str, Any] | None) -> bool:
        """Whether a section stands in the first file, and not in one that it names."""
        if key == MODEL:
            return model is None
        return key != HOSTS or not self._named("multihost_config")

    def _named(self, key: str) -> bool:
        """Whether the training file names another file."""
        return isinstance(held(self._kept, f"training_config.{key}"), str)

    # ------------------------------------------------------------ sections

    def _say(self, path: str, value: Any, *ours: str) -> None:
        """Say a key, unless the file's own value is kept beside."""
        if held(self._kept, path) is ABSENT:
            self._to.say(path, value, ours=ours)
        else:
            self._to.said(*ours)

    def _training(self) -> None:
        to = self._to
        limit = to.our("training.max_gradient_norm")
        switch, norm = (
            "training_config.use_clip_grad_norm",
            "training_config.clip_grad_norm_max_norm",
        )
        if self._fresh or "training.max_gradient_norm" in to.chosen or switch in self._order:
            self._say(switch, bool(limit), "training.max_gradient_norm")
            if limit:
                to.say(norm, limit, ours="training.max_gradient_norm")
        self._batch()
        self._schedule()
        restore_type(to, "training_config.optimizer.type", self._kept)
        if "training_config.tokenizer_type" in self._order:
            self._say("training_config.tokenizer_type", "bpe")
        if self._fresh:
            name = self._model_file()
            to.say("training_config.model_config", f"{_MODELS}/{name}")
        to.said("training.mixed_precision")
        if to.our("rlhf.enabled") and any(
            p.startswith("training_config.grpo") for p in self._order
        ):
            to.said("rlhf.enabled", "rlhf.algorithm", "run.objective")

    def _batch(self) -> None:
        path = "training_config.batch_size"
        value = self._to.our("training.batch_size") * self._data()
        if self._fresh or "training.batch_size" in self._to.chosen:
            self._say(path, value, "training.batch_size")

    def _schedule(self) -> None:
        to = self._to
        if any(path.startswith("scheduler_config") for path in self._order):
            to.said("training.lr_scheduler_type")
            return
        kind = to.our("training.lr_scheduler_type")
        try:
            word = told_schedule(kind)
        except NoPlace as error:
            to.lose("training.lr_scheduler_type", str(error))
            return
        warm = to.our("training.warmup_ratio") == 0.1 and to.our("training.lr_end_ratio") == 0.01
        if word == "warmup_linear" and not warm:
            to.lose("training.lr_scheduler_type", "warmup_linear always warms up for a tenth and "
                    "falls to a hundredth")  # fmt: skip
        path = "training_config.scheduler_type"
        if path in self._order or word != "identity" or self._fresh:
            self._say(path, word, "training.lr_scheduler_type")
        to.said("training.lr_scheduler_type")
        if word == "warmup_linear" and warm:
            to.said("training.warmup_ratio", "training.lr_end_ratio")

    def _data(self) -> int:
        """Data-parallel chips of a machine."""
        to = self._to
        shared: int = to.our("parallel.tensor_parallel_size")
        shared *= to.our("parallel.context_parallel_size")
        chips: int = to.our("parallel.devices_per_node")
        return max(1, chips // max(1, shared))

    def _device(self) -> None:
        to = self._to
        tensor, context = (to.our("parallel.tensor_parallel_size"),
                           to.our("parallel.context_parallel_size"))  # fmt: skip
        data, strategy = self._data(), to.our("parallel.strategy")
        mesh = to.our("parallel.mesh_shape")
        if mesh is None:
            shared = tensor * context
            mesh = [data, shared] if data > 1 and shared > 1 else [1, data * shared]
        if (
            self._fresh
            or "device_config.mesh_shape" in self._order
            or "parallel.mesh_shape" in to.chosen
        ):
            self._say("device_config.mesh_shape", list(mesh), "parallel.mesh_shape")
        sharded = strategy == "fsdp"
        for name, on, ours in (
            ("enable_ddp", data > 1 and not sharded, "parallel.strategy"),
            ("enable_tp", tensor > 1, "parallel.tensor_parallel_size"),
            ("enable_fsdp", data > 1 and sharded, "parallel.strategy"),
            ("enable_cp", context > 1, "parallel.context_parallel_size"),
        ):
            path = f"device_config.{name}"
            if on or path in self._order or (self._fresh and name == "enable_ddp"):
                self._say(path, on)
            to.said(ours)
        if strategy == "deepspeed":
            to.lose("parallel.strategy", "tt-train has data parallelism and FSDP")
        to.said("parallel.devices_per_node", "parallel.mesh_shape")
        if to.our("run.hardware") is not None:
            to.said("run.hardware")

    # ------------------------------------------------------------ the model's file

    def _model(self) -> dict[str, Any] | None:
        """The model's own file; None where its section stands in the training file."""
        to = self._to
        touched = any(path.startswith("model.") for path in to.chosen)
        begins = (MODEL, f"training_config.{MODEL}", "training_config.model_config")
        named = any(path.startswith(begins) for path in self._order)
        if not touched or not (named or self._fresh):
            return None
        if not self._fresh and "model.hidden_size" not in to.chosen:
            tell_overlay(to, self._order, self._kept)
            return None
        tell_model(to, self._order, self._kept)
        if not self._fresh and not self._named("model_config"):
            return None
        section = to.tree.get(MODEL)
        return {MODEL: section} if isinstance(section, dict) and section else None

    def _model_file(self) -> str:
        named = held(self._kept, "training_config.model_config")
        if isinstance(named, str) and named:
            return PurePosixPath(named).name
        return f"{self._stem()}_model.yaml"

    def _stem(self) -> str:
        name = self._to.config.run.name or "model"
        return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-") or "model"

    def _files(self, training: dict[str, Any], model: dict[str, Any] | None) -> dict[str, str]:
        source = self._to.config.imported.source if not self._fresh else None
        text = header(self._to) + block_yaml(training)
        files = {source or f"training_{self._stem()}.yaml": text}
        if model is not None:
            files[self._model_file()] = block_yaml(in_order(model, self._order, SPARE))
        return files

    def _goes_without_saying(self) -> None:
        to = self._to
        if to.our("run.objective") in (None, "pretrain"):
            to.said("run.objective")
        if self._fresh:
            to.said("run.name")  # the files are called by it
        if any(path.startswith("lora_config") for path in self._order):
            to.said("lora.enabled")
        if HOSTS in self._had or isinstance(to.tree.get(HOSTS), dict):
            self._hosts()

    def _hosts(self) -> None:
        """The stages of a pipeline."""
        to = self._to
        stages = f"{HOSTS}.pipeline_parallel_config"
        if "parallel.pipeline_parallel_size" in to.chosen:
            self._say(f"{HOSTS}.enabled", True)
            self._say(f"{HOSTS}.num_workers", to.our("parallel.num_nodes"),
                      "parallel.num_nodes", "parallel.pipeline_parallel_size")  # fmt: skip
        elif "parallel.num_nodes" not in to.chosen:
            return
        if "model.num_layers" in to.chosen:
            self._say(f"{stages}.num_blocks", to.our("model.num_layers"))
        blocks = to.our("parallel.blocks_per_rank")
        for rank, count in enumerate(blocks or ()):
            to.say((*stages.split("."), "blocks_per_rank", str(rank)), count)
        to.said("parallel.blocks_per_rank")

    def _host_file(self) -> str:
        named = held(self._kept, "training_config.multihost_config")
        return PurePosixPath(named).name if isinstance(named, str) and named else f"{HOSTS}.yaml"
