"""Hugging Face's config.json: the shape of a network.

Which families there are is in `workbench.config.huggingface`, which reads published weights too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.dialects.base import Guess

if TYPE_CHECKING:
    from workbench.config.schema import Config
    from workbench.dialects.base import Foreign, Reading, Writing

_TYPICAL = ("architectures", "transformers_version", "torch_dtype", "num_hidden_layers", "n_layer",
            "bos_token_id", "eos_token_id", "initializer_range", "use_cache")  # fmt: skip


def _without_type(tree: dict[str, Any]) -> Guess | None:
    from workbench.dialects.huggingface.families import family

    if (found := family(tree)) is not None:
        return Guess(0.6, f"it is a {found[0]}, by {found[1]}")
    if isinstance(tree.get("architectures"), list):
        return Guess(0.5, 'it has "architectures" at its top')
    return None


class HuggingFace:
    """The dialect of transformers' config.json."""

    name = "huggingface"
    title = "Hugging Face"

    def recognise(self, foreign: Foreign) -> Guess | None:
        """By ``model_type`` at the top, beside what every such file has."""
        from workbench.dialects.parsing import peek

        tree = peek(foreign)
        if not tree:
            return None
        kind = tree.get("model_type")
        typical = [key for key in _TYPICAL if key in tree]
        if not isinstance(kind, str) or not typical:
            return _without_type(tree)
        score = 0.6 + 0.1 * min(4, len(typical))
        return Guess(score, f'it has "model_type": "{kind[:40]}" and "{typical[0]}" at its top')

    def read(self, foreign: Foreign) -> Reading:
        """Understand a config.json.

        Raises:
            ConfigError: It is no JSON, or of a network that is not built.
        """
        from workbench.dialects.huggingface.reading import read

        return read(foreign)

    def write(self, config: Config, *, chosen: frozenset[str]) -> Writing:
        """The config.json of a network.

        Raises:
            ConfigError: No family of Hugging Face has such a network.
        """
        from workbench.dialects.huggingface.writing import write

        return write(config, chosen)


DIALECT = HuggingFace()
