"""``transformer_config`` to our words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.config.keys import keys
from workbench.dialects.building import ABSENT, NoPlace
from workbench.dialects.tenstorrent.words import (
    BASE,
    CHARACTERS,
    DEFAULTS,
    FIXED,
    LARGEST,
    LLAMA,
    MLA,
    MOE,
    ROPE,
    TILE,
    default_inner,
    padded,
)

if TYPE_CHECKING:
    from workbench.dialects.building import Builder


class ModelReader:
    """Understands ``transformer_config``, and what overlays it in ``training_config``.

    Args:
        builder: Its tree has the sections.
        tensor: Tensor-parallel degree, for the padding of the vocabulary.
        characters: Whether the tokens are characters of the text.
        characters_known: Whether the text is tiny Shakespeare.
    """

    def __init__(
        self, builder: Builder, *, tensor: int, characters: bool, characters_known: bool
    ) -> None:
        self._to = builder
        self._tensor = tensor
        self._characters = characters
        self._characters_known = characters_known
        self._sections = [
            ("training_config", "transformer_config"), ("transformer_config",)
        ]  # fmt: skip
        self._whole = any(builder.has((*s, "embedding_dim")) for s in self._sections)

    def kind(self, legacy: Any) -> tuple[str, tuple[str, ...]]:
        """The type of the network and where it stands; 2025's files have it in training_config.

        Without a type a network with groups of keys or a rotary base is a Llama.
        """
        path = self._path("model_type")
        if path is not None:
            return str(self._to.value(path)), path
        if legacy is not None:
            return str(legacy), ("training_config", "model_type")
        llama = any(self._path(name) for name in ("num_groups", "theta"))
        return ("llama" if llama else "gpt2"), ("transformer_config",)

    def understand(self, kind: str) -> None:
        """Put the network of a kind: one of `TYPES`."""
        to = self._to
        if self._whole:
            for ours, value in FIXED[kind].items():
                if value != keys()[ours].default or ours == "model.model_type":
                    to.put(ours, value)
            if kind == "gpt2":
                bias = self._value("bias") is not False
                to.put("model.attention_bias", bias)
                to.put("model.mlp_bias", bias)
        self._all("model_type", "model.model_type", value="decoder", quiet=True)
        for name, ours in BASE.items():
            self._all(name, ours)
        if kind == "gpt2":
            self._all("bias", "model.attention_bias", quiet=True)
            self._positions()
        elif kind == "deepseek":
            self._deepseek()
        else:
            for name, ours in LLAMA.items():
                self._all(name, ours)
            self._rope()
        self._inner(kind)
        self._common()
        self._vocabulary()

    # ------------------------------------------------------------ values

    def _path(self, name: str) -> tuple[str, ...] | None:
        """Where a key stands: in the overlay, else in the model."""
        for section in self._sections:
            if self._to.has((*section, name)):
                return (*section, name)
        return None

    def _value(self, name: str) -> Any:
        path = self._path(name)
        if path is not None:
            return self._to.value(path)
        return DEFAULTS.get(name) if self._whole else None

    def _all(self, name: str, ours: str, *, value: Any = ABSENT, quiet: bool = False) -> None:
        """Put a key; what an overlay covers becomes residue."""
        path = self._path(name)
        meant = self._value(name) if value is ABSENT else value
        if path is None and (meant is None or quiet):
            return
        try:
            self._to.put(ours, meant, source=path or ())
        except NoPlace as error:
            if path is not None:
                self._to.keep(path, str(error))
        self._covered(name, path)

    def _covered(self, name: str, path: tuple[str, ...] | None) -> None:
        for section in self._sections:
            other = (*section, name)
            if path is not None and other != path and self._to.is_left(other):
                self._to.keep(other, "training_config.transformer_config overrides it")

    # ------------------------------------------------------------ parts

    def _positions(self) -> None:
        path = self._path("positional_embedding_type")
        kind = self._value("positional_embedding_type")
        if kind == "fixed":
            self._to.put("model.position_embedding_type", "none")
            if path:
                self._to.keep(path, "fixed sines are added to the embedding: nothing here does")
        elif self._whole or path:
            self._to.put("model.position_embedding_type", "learned", source=path or ())

    def _rope(self) -> None:
        for section in self._sections:
            scaling = self._to.value((*section, "rope_scaling"))
            if not isinstance(scaling, dict):
                continue
            if not scaling.get("scaling_factor"):
                self._to.keep((*section, "rope_scaling"), "scaling_factor 0 scales nothing")
                continue
            self._to.put("model.rope_scaling.type", "llama3")
            for name, ours in ROPE.items():
                path = (*section, "rope_scaling", name)
                if not self._to.is_left(path):
                    continue
                try:
                    self._to.put(ours, scaling[name], source=path)
                except NoPlace as error:
                    self._to.keep(path, str(error))

    def _inner(self, kind: str) -> None:
        name = "inter_dim" if kind == "deepseek" else "intermediate_dim"
        width = self._value("embedding_dim")
        if kind != "gpt2" and self._path(name) and self._value(name) is not None:
            self._all(name, "model.intermediate_size")
        elif type(width) is int and 0 < width < LARGEST:
            inner = 4 * width if kind == "gpt2" else default_inner(width)
            self._to.put("model.intermediate_size", inner)
            if kind != "gpt2":
                self._to.assume((), f"without {name} the inner width is {inner}: 8/3 of "
                                "embedding_dim in steps of 256")  # fmt: skip

    def _deepseek(self) -> None:
        if self._whole:
            self._to.put("model.mla.enabled", True)
        if self._path("theta") is None and self._whole:
            self._to.put("model.rope_theta", 10000.0)
        for name, ours in MLA.items():
            if name != "theta" or self._path(name):
                self._all(name, ours)
        rank = self._value("q_lora_rank")
        self._all("q_lora_rank", "model.mla.q_lora_rank", value=rank or None)
        nested = [(*section, "moe_hyperparam") for section in self._sections]
        where = next((path for path in nested if self._to.has(path)), None)
        for name, ours in MOE.items():
            if where is not None and self._to.has((*where, name)):
                try:
                    self._to.put(ours, self._to.value((*where, name)), source=(*where, name))
                except NoPlace as error:
                    self._to.keep((*where, name), str(error))
            else:
                self._all(name, ours)
        groups, limited = (self._to.ours("model.moe.num_expert_groups"),
                           self._to.ours("model.moe.num_limited_groups"))  # fmt: skip
        if groups is not None and limited is not None and limited > groups:
            self._to.put("model.moe.num_limited_groups", groups)

    def _common(self) -> None:
        runner = self._path("runner_type")
        efficient = self._value("runner_type")
        if efficient in ("memory_efficient", "default"):
            again = efficient == "memory_efficient"
            self._to.put("training.gradient_checkpointing", again, source=runner or ())
        elif runner:
            self._to.refused(runner, f"Unknown runner type: {efficient}")
            self._to.keep(runner, "it is default or memory_efficient")
        tied, path = self._value("weight_tying"), self._path("weight_tying")
        if tied in ("enabled", "disabled"):
            self._to.put("model.tie_word_embeddings", tied == "enabled", source=path or ())
        elif path:
            self._to.keep(path, "it is enabled or disabled")
        dropout = self._value("dropout_prob")
        self._all("dropout_prob", "model.hidden_dropout")
        if isinstance(dropout, int | float) and dropout and self._to.ours("model.hidden_dropout"):
            self._to.put("model.attention_dropout", dropout)
            if self._to.ours("model.norm_type") == "layernorm":
                self._to.put("model.embedding_dropout", dropout)
        self._all("max_sequence_length", "model.max_position_embeddings")
        length = self._to.ours("model.max_position_embeddings")
        if length:
            self._to.put("data.max_length", max(2, length))
        path = self._path("model_path")
        if path and self._value("model_path"):
            self._all("model_path", "model.pretrained_path")
        for section in self._sections:
            self._to.keep((*section, "experimental"), "a choice between Tenstorrent's kernels")
            self._to.keep((*section, "embedding_placement"),
                          "where tensor-parallel chips hold the embedding")  # fmt: skip
            self._to.keep((*section, "moe_type"), "how Tenstorrent's chips compute the experts")

    def _vocabulary(self) -> None:
        path, given = self._path("vocab_size"), self._value("vocab_size")
        self._covered("vocab_size", path)
        vocab = given
        if self._characters:
            vocab = CHARACTERS if self._characters_known or not isinstance(given, int) else given
            if self._characters_known:
                self._to.assume(path or (), f"the vocabulary is that of the text's characters, not "
                                f"{given}: {CHARACTERS} in tiny Shakespeare")  # fmt: skip
        if not isinstance(vocab, int) or isinstance(vocab, bool) or not 0 < vocab < 10**9:
            return
        size = padded(vocab, self._tensor)
        if size == given:
            self._to.put("model.vocab_size", size, source=path or ())
            return
        self._to.put("model.vocab_size", size)
        if path is None:
            return
        self._to.keep(path, f"the trainer makes {size} of it")
        if not self._characters_known or not self._characters:
            step = f"{TILE} x {self._tensor}" if self._tensor > 1 else str(TILE)
            self._to.remark(path, "translated", f"the trainer pads the vocabulary to a multiple of "
                            f"{step}: {vocab:,} becomes {size:,}")  # fmt: skip
