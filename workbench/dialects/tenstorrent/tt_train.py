"""A file of tt-train to a reading: a training, a model, or one of the small files beside them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from workbench.dialects.building import ABSENT, NoPlace
from workbench.dialects.tenstorrent.device import Mesh, mesh_of
from workbench.dialects.tenstorrent.machines import Machines
from workbench.dialects.tenstorrent.model import ModelReader
from workbench.dialects.tenstorrent.saying import understand
from workbench.dialects.tenstorrent.training import DEFAULTS, KEPT, OPTIMIZERS, TABLE
from workbench.dialects.tenstorrent.words import LARGEST, TYPES

if TYPE_CHECKING:
    from workbench.dialects.base import Reading
    from workbench.dialects.building import Builder


def read(builder: Builder) -> Reading:
    """Understand a file with sections of tt-train."""
    return _TtTrain(builder).read()


class _TtTrain:
    """A training file, a model file, or one of the small files beside them."""

    def __init__(self, builder: Builder) -> None:
        self._to = builder
        self._training = self._section("training_config")
        self._device = self._section("device_config")
        self._flat = "optimizer" not in self._training and "learning_rate" in self._training

    def read(self) -> Reading:
        mesh = mesh_of(self._device) if self._device else Mesh((1, 1), 1, 1)
        machines = Machines(self._to, flat=self._flat)
        machines.devices(mesh)
        self._schedule_first()
        understand(self._to, TABLE)
        self._model(mesh)
        self._batch(mesh)
        self._clipping(mesh)
        self._optimizer()
        machines.hosts()
        self._adapters()
        self._rewards()
        self._defaults()
        self._tokens()
        for path, reason in KEPT.items():
            self._to.keep(path, reason)
        if self._to.has("eval_config"):
            self._to.ignored("eval_config", "train_nanogpt.py does not read it: --temperature and "
                             "--top_k on the command line say it")  # fmt: skip
        return self._to.reading(rest="tt-train has the key and the workbench has none")

    def _section(self, name: str) -> dict[str, Any]:
        value = self._to.value(name)
        return value if isinstance(value, dict) else {}

    # ------------------------------------------------------------ the training

    def _schedule_first(self) -> None:
        """The schedule decides which learning rate counts."""
        kind = self._training.get("scheduler_type")
        path = "training_config.scheduler_type"
        if self._to.has("scheduler_config"):
            self._to.put("training.lr_scheduler_type", "linear")
            self._to.remark("scheduler_config", "translated", "the rate rises to max_lr, stays "
                            "there for hold_steps, and falls in a line to min_lr")  # fmt: skip
        elif kind == "warmup_linear":
            self._to.put("training.lr_scheduler_type", "linear", source=path)
            self._to.put("training.warmup_ratio", 0.1)
            self._to.put("training.lr_end_ratio", 0.01)
        elif kind == "identity":
            self._to.put("training.lr_scheduler_type", "constant", source=path)
        elif kind is not None:
            self._to.refused(path, f"Unknown scheduler type: {kind}")
            self._to.keep(path, "it is identity or warmup_linear")

    def _batch(self, mesh: Mesh | None) -> None:
        path = "training_config.batch_size"
        total, data = self._training.get("batch_size"), mesh.data if mesh else 1
        if type(total) is not int or not 0 < total < LARGEST:
            return
        if total % data:
            self._to.refused(path, f"batch_size {total} cannot be shared evenly by {data} chips")
            self._to.keep(path, f"it is no multiple of the {data} data-parallel chips")
            return
        self._to.put("training.batch_size", total // data, source=path)
        if data > 1:
            self._to.remark(path, "translated", f"it counts the sequences of all {data} "
                            f"data-parallel chips: {total // data} on each")  # fmt: skip

    def _clipping(self, mesh: Mesh | None) -> None:
        switch = "training_config.use_clip_grad_norm"
        limit = "training_config.clip_grad_norm_max_norm"
        on, norm = self._training.get("use_clip_grad_norm"), self._training.get(
            "clip_grad_norm_max_norm", 1.0)  # fmt: skip
        if on is True:
            try:
                source = limit if self._to.has(limit) else switch
                self._to.put("training.max_gradient_norm", norm, source=source)
                self._to.understood(switch, "training.max_gradient_norm")
            except NoPlace as error:
                self._to.keep(limit, str(error))
            if mesh and mesh.tensor > 1:
                self._to.refused(switch, "clip_grad_norm is not supported with tensor parallelism")
        elif on is False:
            self._to.put("training.max_gradient_norm", 0.0, source=switch)
            self._to.keep(limit, "use_clip_grad_norm is false")

    def _optimizer(self) -> None:
        path = ("training_config", "optimizer", "type")
        kind = self._to.value(path)
        if kind is ABSENT:
            return
        ours = OPTIMIZERS.get(str(kind).lower())
        if ours is not None:
            self._to.put("training.optimizer", ours)
        elif str(kind).lower() == "noop":
            self._to.ignored(path, "NoOp changes no weights; here they would change")
        else:
            self._to.refused(path, f"Unknown optimizer type: {kind}")

    def _adapters(self) -> None:
        if self._to.has("lora_config"):
            self._to.put("lora.enabled", True)

    def _rewards(self) -> None:
        if self._to.has("training_config.grpo_config"):
            self._to.put("rlhf.enabled", True)
            self._to.put("rlhf.algorithm", "grpo")
            self._to.put("run.objective", "rlhf")
            self._to.remark("training_config.grpo_config", "translated", "one step learns from "
                            "per_device_train_batch_size answers on each chip, num_generations to "
                            "a prompt")  # fmt: skip

    # ------------------------------------------------------------ the model

    def _characters(self) -> tuple[bool, bool]:
        """Whether tokens are characters, and whether they are those of tiny Shakespeare."""
        kind = self._training.get("tokenizer_type")
        data = str(self._training.get("data_path") or "")
        named = PurePosixPath(str(self._training.get("model_config") or "")).stem
        named = f"{self._to.foreign.path.stem} {named}"
        char = bool(re.search(r"(?<![a-z])char(?![a-z])", named.replace("_", " ")))
        if kind == "bpe" or self._training.get("tokenizer_path"):
            return False, False
        text = data.endswith(".txt")
        shakespeare = "shakespeare" in data.lower() or (char and not data)
        return kind == "char" or char or text, shakespeare

    def _model(self, mesh: Mesh | None) -> None:
        overlay = self._to.value("training_config.transformer_config")
        if not self._to.has("transformer_config") and not isinstance(overlay, dict):
            return
        characters, known = self._characters()
        reader = ModelReader(self._to, tensor=mesh.tensor if mesh else 1,
                             characters=characters, characters_known=known)  # fmt: skip
        kind, path = reader.kind(self._training.get("model_type"))
        if kind not in TYPES:
            self._to.refused(path, f"Unsupported model type: {kind}")
            self._to.keep(path, f"it is one of {', '.join(TYPES)}")
            self._to.keep("transformer_config", f"the network of an unknown type: {kind}")
            return
        reader.understand(kind)
        if self._training.get("model_type") in TYPES:
            self._to.understood("training_config.model_type", "model.model_type")

    def _tokens(self) -> None:
        kind = self._training.get("tokenizer_type")
        if kind == "bpe" and self._training.get("tokenizer_path"):
            self._to.understood("training_config.tokenizer_type", "data.tokenizer_name")
        self._to.keep(
            "training_config.tokenizer_type",
            "a tokenizer here is a file or a name; bytes is the nearest to char",
        )
        data = str(self._training.get("data_path") or "")
        if data.endswith((".yaml", ".yml", ".csv")):
            self._to.remark(
                "training_config.data_path",
                "upstream",
                "tokens in tt-train's own form: ava data prepare makes ours",
                "read",
            )

    def _defaults(self) -> None:
        """What tt-train takes for what a whole training file leaves out."""
        inline = self._to.has("training_config.transformer_config.embedding_dim")
        if not inline and not (
            {"model_config", "optimizer", "grpo_config"} & self._training.keys()
        ):
            return
        self._to.put("training.mixed_precision", "bf16")
        missing = []
        for ours, value in DEFAULTS.items():
            if self._to.ours(ours, ABSENT) is ABSENT and not (
                ours == "training.eval_steps" and not self._flat
            ):
                self._to.put(ours, value)
                missing.append(f"{ours} {value}")
        if self._to.ours("training.max_gradient_norm", ABSENT) is ABSENT:
            self._to.put("training.max_gradient_norm", 0.0)
        if missing:
            self._to.assume(
                (), f"defaults of tt-train for what the file leaves out: {', '.join(missing)}"
            )
