"""Words to flags and values, as argparse's ``parse_known_args`` takes them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.config.origins import Mark
from workbench.dialects.aws_fsdp.flags import ALIASES, BY_NAME, GONE, MEANT, Flag, find
from workbench.dialects.aws_fsdp.shell import is_placeholder, resolve
from workbench.dialects.base import Remark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from workbench.config.document import KeyPath
    from workbench.dialects.aws_fsdp.source import Word

_LARGEST = 10**18
_PARSERS = {"int": int, "float": float, "str": str}


@dataclass
class Given:
    """The flags of a text.

    Attributes:
        values: Value by name, in order; of a known flag as argparse makes it of the word.
        marks: The line of each.
        broken: Flags whose value cannot be used as it stands, with the reason.
        repeated: Values that a later one of the same flag covers, by name.
        words: Words that belong to no flag.
        remarks: What argparse does that a person would not think.
    """

    values: dict[str, Any] = field(default_factory=dict)
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, list[Any]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    def say(self, name: str, kind: str, message: str, verdict: str | None, line: int) -> None:
        """Add a remark about a flag."""
        self.remarks.append(Remark(name, kind, message, verdict, line))  # type: ignore[arg-type]


def parse_words(words: Sequence[Word], variables: Mapping[str, str]) -> Given:
    """The flags in a row of words.

    Args:
        words: The words behind the trainer's script.
        variables: What the script sets; the words may use it.
    """
    given = Given()
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if word.text.strip().startswith("#"):
            index = _comment(words, index, given, word)
        elif not word.text.startswith("--") or word.text == "--":
            if word.text.strip():
                given.words.append(word.text)
                given.say("", "upstream", f"the word {_short(word.text)!r} belongs to no flag: "
                          "the parser drops it", "ignored", word.line)  # fmt: skip
        else:
            name, equals, text = word.text[2:].partition("=")
            value: str | None = text if equals else None
            if not equals and index < len(words) and not words[index].text.startswith("--"):
                value = words[index].text
                index += 1
            _take(given, name, value, word.line, variables)
    return given


def spelled(name: str, value: Any) -> str:
    """A flag with its value as one word."""
    if value is None:
        return f"--{name}"
    if isinstance(value, bool):
        value = int(value)
    return f"--{name}={value}"


def _comment(words: Sequence[Word], index: int, given: Given, word: Word) -> int:
    """A backslash in front of a comment: the comment is not one, and the line does not go on."""
    while index < len(words) and words[index].line == word.line:
        index += 1
    given.say("", "repaired", "a backslash stands in front of a comment: the shell passes the "
              "comment's words to the trainer, whose parser drops them; they are read as a comment",
              None, word.line)  # fmt: skip
    return index


def _take(
    given: Given, written: str, text: str | None, line: int, variables: Mapping[str, str]
) -> None:
    flag, how = find(written)
    name = flag.name if flag else written
    if name in given.values:
        given.repeated.setdefault(name, []).append(given.values[name])
        first = given.marks[name,].line
        message = f"it stands twice, in line {first} and in line {line}: the last one counts"
        given.say(name, "upstream", message, "ignored", first)
        given.broken.pop(name, None)
        given.values.pop(name)
    given.marks[name,] = Mark(line, 1)
    if flag is None:
        given.values[name] = text
        _unknown(given, name, line)
        return
    if how == "short":
        given.say(name, "upstream", f"--{written} is short for --{name}: the parser takes it, "
                  "because no other flag begins so", "read", line)  # fmt: skip
    elif how == "renamed":
        given.say(name, "upstream", f"--{written} is the flag's old name: today's parser drops it, "
                  f"and --{name} would be {flag.default}", "ignored", line)  # fmt: skip
    elif written in ALIASES:
        given.say(name, "translated", f"--{written} is another name of --{name}", None, line)
    given.values[name] = _value(given, flag, text, line, variables)


def _value(
    given: Given, flag: Flag, text: str | None, line: int, variables: Mapping[str, str]
) -> Any:
    """A flag's value as argparse makes it; as it is written where it cannot."""
    if text is None:
        given.broken[flag.name] = "it has no value"
        message = f"error: argument --{flag.name}: expected one argument"
        given.say(flag.name, "upstream", message, "refused", line)
        return None
    plain = resolve(text, variables)
    if is_placeholder(plain):
        given.broken[flag.name] = f"{plain} is filled in when the file is used"
        given.say(flag.name, "assumed", f"{plain} is a placeholder: "
                  "it is kept, and stands for no value here", None, line)  # fmt: skip
        return plain
    try:
        value = _PARSERS[flag.kind](plain)
    except ValueError:
        given.broken[flag.name] = f"it takes {_takes(flag)}, not {_short(plain)!r}"
        message = f"error: argument --{flag.name}: invalid {flag.kind} value: {_short(plain)!r}"
        given.say(flag.name, "upstream", message, "refused", line)
        return plain
    if isinstance(value, int | float) and not abs(value) <= _LARGEST:  # NaN too
        given.broken[flag.name] = "no such number can be meant"
        return plain
    if flag.choices and value not in flag.choices:
        shown = ", ".join(map(repr, flag.choices))
        given.broken[flag.name] = f"it is one of {', '.join(flag.choices)}"
        message = f"error: argument --{flag.name}: invalid choice: {value!r} (choose from {shown})"
        given.say(flag.name, "upstream", message, "refused", line)
    return value


def _takes(flag: Flag) -> str:
    return {"int": "a whole number", "float": "a number"}.get(flag.kind, "text")


def _unknown(given: Given, name: str, line: int) -> None:
    reason = GONE.get(name)
    if reason is None:
        word = name.replace("-", "_")
        close = difflib.get_close_matches(word, BY_NAME, n=1, cutoff=0.7)
        near = MEANT.get(word) or (close[0] if close else None)
        reason = f"did you mean --{near}?" if near else "the trainer has no such flag"
    message = f"the parser drops --{_short(name)} without a word: {reason}"
    given.say(name, "upstream", message, "ignored", line)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."
