"""Tokenizers of the `tokenizers` library: from a file, a folder or the hub, or trained here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from workbench.config.schema.data.naming import is_path
from workbench.data.offline import offline_error
from workbench.data.reading import display
from workbench.data.tokens import ByteTokenizer, Tokenizer
from workbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import tokenizers

    from workbench.config.schema import DataConfig
    from workbench.data.tokens import Row

END_OF_TEXT = "<|endoftext|>"
"""What separates documents in a vocabulary that is trained here."""

# What the families call the token that ends a text, the likeliest first.
_SEPARATORS = (
    END_OF_TEXT,
    "<|end_of_text|>",
    "<|eot_id|>",
    "<|im_end|>",
    "</s>",
    "<eos>",
    "[SEP]",
    "[EOS]",
)
_MASKS = ("[MASK]", "<mask>")
_FIRSTS = ("[CLS]", "<s>", "<cls>")
_PADDINGS = ("<pad>", "[PAD]", "<|pad|>")


N = TypeVar("N", int, None)


class LibraryTokenizer:
    """A vocabulary of the `tokenizers` library.

    Args:
        inner: The library's object.
        name: What the user calls it.
        separator: Number of the token after each document.
    """

    def __init__(self, inner: tokenizers.Tokenizer, name: str, separator: int) -> None:
        self.inner = inner
        self.name = name
        self.vocab_size = 1 + max(inner.get_vocab(with_added_tokens=True).values())
        self.separator = separator
        # T5's decoder begins with its padding token, so it is more than a filler.
        self.padding = _first_known(inner, _PADDINGS, separator)
        self.first = _first_known(inner, _FIRSTS, separator)
        self.mask = _first_known(inner, _MASKS, None)
        marks = (inner.token_to_id(f"<extra_id_{n}>") for n in range(1000))
        self.sentinels = tuple(_until_none(marks))
        # Text that spells a special token is text: nobody's file may end a document by itself.
        inner.encode_special_tokens = True
        inner.no_truncation()
        inner.no_padding()

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""
        ids: list[int] = self.inner.encode(text, add_special_tokens=False).ids
        return ids

    def encode_all(self, texts: Sequence[str]) -> list[Row]:
        """The tokens of several texts, on all cores."""
        encoded = self.inner.encode_batch_fast(list(texts), add_special_tokens=False)
        return [each.ids for each in encoded]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; special ones are left out."""
        text: str = self.inner.decode([token for token in tokens if token < self.vocab_size])
        return text


def open_tokenizer(config: DataConfig) -> Tokenizer:
    """The tokenizer that the config names.

    Raises:
        DataError: It is not there, cannot be read, or does not say how a text ends.
    """
    name = config.tokenizer_name
    if name == "bytes":
        return ByteTokenizer()
    inner, folder = _load(name, config.cache_dir)
    return LibraryTokenizer(inner, name, _separator(inner, folder, config, name))


def _load(name: str, cache_dir: str | None) -> tuple[tokenizers.Tokenizer, Path | None]:
    import tokenizers

    try:
        path = Path(name).expanduser()
        here = path.exists()
    except (OSError, ValueError, RuntimeError):
        path, here = Path(), False
    if not here:
        _refuse_lost_path(name)
        return _from_hub(name, cache_dir)
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        return tokenizers.Tokenizer.from_file(str(file)), file.parent
    except Exception as error:  # noqa: BLE001 - the library raises bare Exception
        raise DataError(
            f"cannot read the tokenizer {display(file)}",
            where="data.tokenizer_name",
            why=str(error).splitlines()[0][:200] if file.exists() else "there is no such file",
            fix="name a tokenizer.json, or the folder that holds one, or a name of the hub;\n"
            "or train one: ava data prepare TEXT --out DIR --vocab_size 8192",
        ) from None


def _refuse_lost_path(name: str) -> None:
    if is_path(name):
        raise DataError(
            f"there is no tokenizer {name!r}",
            where=f"data.tokenizer_name, seen from {display(Path.cwd())}",
            fix="name a tokenizer.json, or the folder that holds one, or a name of the hub;\n"
            "or train one: ava data prepare TEXT --out DIR --vocab_size 8192",
        )


def _from_hub(name: str, cache_dir: str | None) -> tuple[tokenizers.Tokenizer, Path | None]:
    import tokenizers
    from huggingface_hub import hf_hub_download

    folder: Path | None = None
    try:
        file = Path(hf_hub_download(name, "tokenizer.json", cache_dir=cache_dir))
        for more in ("tokenizer_config.json", "special_tokens_map.json"):
            try:
                hf_hub_download(name, more, cache_dir=cache_dir)
            except Exception:  # noqa: BLE001, S112 - not every vocabulary has one
                continue
        folder = file.parent
        return tokenizers.Tokenizer.from_file(str(file)), folder
    except Exception as error:  # noqa: BLE001 - the hub's client raises many kinds
        raise offline_error("the tokenizer", name, "data.tokenizer_name", error) from None


def _separator(
    inner: tokenizers.Tokenizer, folder: Path | None, config: DataConfig, name: str
) -> int:
    if config.eos_token_id is not None:
        if inner.id_to_token(config.eos_token_id) is None:
            raise DataError(
                f"the tokenizer {name} has no token {config.eos_token_id}",
                where="data.eos_token_id",
                fix="leave data.eos_token_id out, or give the number of a token that it has",
            )
        return config.eos_token_id
    for word in (*_configured(folder), *_SEPARATORS):
        if (found := inner.token_to_id(word)) is not None:
            return int(found)
    raise DataError(
        f"the tokenizer {name} does not say which token ends a text",
        where="data.tokenizer_name",
        why="it has none of the usual ones: " + ", ".join(_SEPARATORS),
        fix="give its number: --data.eos_token_id N",
    )


def _configured(folder: Path | None) -> Iterator[str]:
    """The token that ends a text, as the files beside the vocabulary name it."""
    if folder is None:
        return
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        try:
            told: Any = json.loads((folder / name).read_text("utf-8"))["eos_token"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        word = told.get("content") if isinstance(told, dict) else told
        if isinstance(word, str):
            yield word


def _first_known(inner: tokenizers.Tokenizer, words: Iterable[str], otherwise: N) -> int | N:
    """The number of the first of some words that the vocabulary has."""
    for word in words:
        if (number := inner.token_to_id(word)) is not None:
            return int(number)
    return otherwise


def _until_none(numbers: Iterable[int | None]) -> Iterator[int]:
    for number in numbers:
        if number is None:
            return
        yield number


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, *, length: int | None = None
) -> tokenizers.Tokenizer:
    """Learn a byte-level BPE vocabulary, as GPT-2's: no text that it cannot write.

    Args:
        texts: What to learn from.
        vocab_size: Tokens of the vocabulary, the 256 bytes and the end of text among them.
        length: How many texts there are, for the library's progress.
    """
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    # A fixed order of equal pairs and one thread's counts: the library's training is deterministic.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer=trainer, length=length)
    return inner
