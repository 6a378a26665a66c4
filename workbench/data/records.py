"""A record with fields becomes a document: plain text, an instruction, a conversation, columns.

What the loss counts is decided here: of an instruction or a conversation the answers only, of
columns those whose role is ``target``.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.data.reading import NO_CLASS, Document, Part, unix_lines
from workbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from workbench.config.schema import DataConfig

ROLES = ("system", "user", "assistant")
TURN_END = "<|end|>"
"""Closes each turn of a conversation. A turn reads ``<|user|>\\nHello<|end|>\\n``; the loss counts
what the assistant says, with the mark that ends it."""

_FIELDS_FIX = (
    'every line should be an object like {"text": "..."}; '
    "name the field that holds the text with --data.text_field"
)
_INSTRUCTION_FIX = (
    'every record should be like {"prompt": "...", "completion": "..."}, '
    '{"instruction": "...", "input": "...", "output": "..."}, or {"messages": [...]}'
)
_CHAT_FIX = (
    'every record should be like {"messages": [{"role": "user", "content": "..."}, '
    '{"role": "assistant", "content": "..."}]}'
)
_LABEL_FIX = (
    'every record should be like {"text": "...", "label": 0}; name other fields with '
    "--data.text_field, --data.pair_field and --data.label_field"
)
_TAGS_FIX = (
    'every record should be like {"text": ["Ada", "wrote"], "label": [1, 0]}; name other fields '
    "with --data.text_field tokens --data.label_field ner_tags"
)
_COLUMNS_FIX = "name fields that every record has: --data.multi_column.column_names [a, b]"


class Maker:
    """Makes documents of records, as the config says.

    Raises:
        DataError: The template names no field, or is not one.
    """

    def __init__(self, config: DataConfig) -> None:
        self.config = config
        self.skip_malformed = config.skip_malformed_sequences
        self.columns = config.multi_column if config.multi_column.enabled else None
        self._template: list[tuple[str, str | None]] = []
        if self.columns is not None and self.columns.combine_strategy == "template":
            self._template = _parsed(self.columns.column_template or "")

    @property
    def fix(self) -> str:
        """What a user whose records are refused should do."""
        if self.columns is not None:
            return _COLUMNS_FIX
        fixes = {
            "instruction": _INSTRUCTION_FIX,
            "chat": _CHAT_FIX,
            "classification": _LABEL_FIX,
            "token_classification": _TAGS_FIX,
        }
        return fixes.get(self.config.format, _FIELDS_FIX)

    @property
    def records_only(self) -> bool:
        """Whether plain text files hold nothing of what was asked for."""
        return self.columns is not None or self.config.format != "text"

    def documents(self, name: str, record: object) -> list[Document]:
        """The documents of one record.

        Args:
            name: Where it stands: file:line.
            record: What was read there.

        Raises:
            ValueError: It cannot be used; the reason, as the end of a sentence.
        """
        if not isinstance(record, dict):
            raise ValueError("is JSON but no object with fields")  # noqa: TRY004 - one kind
        if self.columns is not None:
            return self._columns(name, record)
        if self.config.format == "chat":
            return [_joined(name, _conversation(record))]
        if self.config.format == "classification":
            return [self._labelled(name, record)]
        if self.config.format == "token_classification":
            return [self._tagged(name, record)]
        if self.config.format == "instruction":
            parts = _conversation(record) if "messages" in record else _instruction(record)
            return [_joined(name, parts)]
        return [Document(name, self._text(record))]

    def _text(self, record: Mapping[str, Any]) -> str:
        field = self.config.text_field
        if field not in record:
            fields = ", ".join(sorted(key for key in record if isinstance(record[key], str)))
            raise ValueError(f"has no field {field!r}; fields with text: {fields or 'none'}")
        return clean(record[field], field)

    def _labelled(self, name: str, record: Mapping[str, Any]) -> Document:
        label = record.get(self.config.label_field)
        if isinstance(label, bool) or not isinstance(label, int) or label < 0:
            raise ValueError(f"has no number of a class in field {self.config.label_field!r}")
        texts = [self._text(record)]
        if (second := self.config.pair_field) is not None:
            texts.append(clean(record.get(second), second))
        return Document(name, "\n".join(texts), tuple(Part(t, False) for t in texts), label)

    def _tagged(self, name: str, record: Mapping[str, Any]) -> Document:
        words, labels = record.get(self.config.text_field), record.get(self.config.label_field)
        if not isinstance(words, Sequence) or isinstance(words, str) or not words:
            raise ValueError(f"has no list of words in field {self.config.text_field!r}")
        if not isinstance(labels, Sequence) or len(labels) != len(words):
            raise ValueError(f"has no class for each word in field {self.config.label_field!r}")
        for label in labels:
            if isinstance(label, bool) or not isinstance(label, int):
                raise ValueError(f"has a class {label!r}, which is no number")  # noqa: TRY004
            if label < 0 and label != NO_CLASS:
                raise ValueError(f"has a class {label}; they count from 0, {NO_CLASS} is none")
        texts = [clean(word, self.config.text_field) for word in words]
        parts = tuple(Part(f" {text}" if n else text, learn=False) for n, text in enumerate(texts))
        return Document(name, " ".join(texts), parts, labels=tuple(labels))

    def _columns(self, name: str, record: Mapping[str, Any]) -> list[Document]:
        assert self.columns is not None
        columns = self.columns
        names = columns.column_names or list(record)
        kinds = dict(zip(names, columns.column_types or [], strict=False))
        roles = dict(zip(names, columns.column_roles or [], strict=False))
        # Another role than target is only said of what the loss is not to count.
        learned = {each: roles.get(each, "target") == "target" for each in names}
        used = [each for each in names if roles.get(each) != "auxiliary"]
        if columns.combine_strategy == "separate":
            return [
                _joined(f"{name}", [Part(_value(record, each, kinds), learned[each])])
                for each in used
            ]
        if columns.combine_strategy == "concatenate":
            parts: list[Part] = []
            for each in used:
                separator = "\n" if parts else ""
                parts.append(Part(separator + _value(record, each, kinds), learned[each]))
            return [_joined(name, parts)]
        return [_joined(name, self._filled(record, kinds, roles))]

    def _filled(
        self, record: Mapping[str, Any], kinds: Mapping[str, str], roles: Mapping[str, str]
    ) -> Iterable[Part]:
        for literal, field in self._template:
            if literal:
                yield Part(literal, learn=not roles)
            if field is not None:
                learn = not roles or roles.get(field) == "target"
                yield Part(_value(record, field, kinds), learn)


def clean(value: object, field: str) -> str:
    """A field's text, fit to be trained on.

    Raises:
        ValueError: It holds none.
    """
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"has no text in field {field!r}")
    if "\0" in value:
        raise ValueError("holds a zero byte, which separates documents")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a surrogate pair, which is no text") from None
    return unix_lines(value)


def _value(record: Mapping[str, Any], field: str, kinds: Mapping[str, str]) -> str:
    if field not in record:
        there = ", ".join(sorted(record))
        raise ValueError(f"has no field {field!r}; fields: {there or 'none'}")
    value = record[field]
    if kinds.get(field) == "numeric":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"has no number in field {field!r}")
        return str(value)
    return clean(value, field)


def _joined(name: str, parts: Iterable[Part]) -> Document:
    kept = tuple(parts)
    if not any(part.learn for part in kept):
        raise ValueError("has nothing for the loss to count")
    whole = "".join(part.text for part in kept)
    return Document(name, whole, () if all(part.learn for part in kept) else kept)


def _conversation(record: Mapping[str, Any]) -> list[Part]:
    messages = record.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError("has no list in field 'messages'")
    parts = []
    for message in messages:
        if not isinstance(message, dict):
            raise ValueError("has a message that is no object")  # noqa: TRY004 - one kind
        role = message.get("role")
        if role not in ROLES:
            raise ValueError(f"has a message of role {role!r}; roles: {', '.join(ROLES)}")
        content = clean(message.get("content"), "content")
        if TURN_END in content:
            raise ValueError(f"has a message with the mark {TURN_END} in its text")
        parts += [
            Part(f"<|{role}|>\n", learn=False),
            Part(f"{content}{TURN_END}", learn=role == "assistant"),
            Part("\n", learn=False),
        ]
    if not any(part.learn for part in parts):
        raise ValueError("has no message of the assistant")
    # The separator after the last turn is learned with what stands before it.
    return parts[:-1]


def _instruction(record: Mapping[str, Any]) -> list[Part]:
    if "prompt" in record:
        prompt = clean(record["prompt"], "prompt")
        return [Part(prompt, False), Part(clean(record.get("completion"), "completion"), True)]
    if "instruction" not in record:
        raise ValueError("has no field 'prompt', 'instruction' or 'messages'")
    asked = f"### Instruction:\n{clean(record['instruction'], 'instruction')}\n\n"
    if record.get("input"):
        asked += f"### Input:\n{clean(record['input'], 'input')}\n\n"
    answer = clean(record.get("output"), "output")
    return [Part(f"{asked}### Response:\n", False), Part(answer, True)]


def _parsed(template: str) -> list[tuple[str, str | None]]:
    """A template as literal text and the field that follows it."""
    where = "data.multi_column.column_template"
    fix = f'--{where} "Question: {{question}} Answer: {{answer}}"'
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise DataError(
            f"the template {template!r} cannot be read", where=where, why=str(error), fix=fix
        ) from None
    if not any(field for _, field, _, _ in pieces):
        raise DataError(f"the template {template!r} names no field", where=where, fix=fix)
    for _, field, form, conversion in pieces:
        if form or conversion or field == "" or (field and not field.isidentifier()):
            raise DataError(
                f"the template {template!r} holds more than names of fields in braces",
                where=where,
                fix=fix,
            )
    return [(literal, field) for literal, field, _, _ in pieces]
