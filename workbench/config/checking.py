"""Is the composed tree a config? Unknown keys, wrong types and ranges: all of them at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from workbench.config.findings import Edit, Finding, Fix
from workbench.config.keys import blank, keys, mappings, sections
from workbench.config.schema import Config
from workbench.config.spelling import alias_sections, spellings, table
from workbench.config.suggestions import suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

    from workbench.config.layers import Composed
    from workbench.config.origins import Origin

_MOST_SUGGESTIONS = 200  # a file with more unknown keys is no config of ours


def validate(composed: Composed) -> tuple[Config | None, list[Finding]]:
    """The typed config, or None and the reasons why there is none.

    Returns:
        The config when there are no errors, and every finding in the order of the schema.
    """
    findings: list[Finding] = []
    known = _known(composed.tree, "", composed, findings)
    config: Config | None = None
    try:
        config = Config.model_validate(_over(blank(), known))
    except ValidationError as error:
        seen: set[str] = set()
        for details in error.errors(include_url=False):
            path = _path(details)
            if path not in seen:  # a union reports one error per member; the first is enough
                seen.add(path)
                findings.append(_type_finding(path, details, composed))
    return (None if findings else config), findings


def _known(
    tree: dict[str, Any], prefix: str, composed: Composed, findings: list[Finding]
) -> dict[str, Any]:
    """The part of `tree` that the schema knows; the rest becomes findings."""
    kept: dict[str, Any] = {}
    for name, value in tree.items():
        path = f"{prefix}{name}"
        if path in sections():
            if isinstance(value, dict):
                inside = _known(value, f"{path}.", composed, findings)
                if "." not in name:
                    kept[name] = inside
            elif value is not None:
                findings.append(_section_finding(path, value, composed))
        elif path in alias_sections():
            if value is None or isinstance(value, dict):
                _known(value or {}, f"{path}.", composed, findings)  # what no alias has taken
            else:
                findings.append(_section_finding(path, value, composed))
        elif path in keys():
            kept[name] = value
        else:
            few = len(findings) < _MOST_SUGGESTIONS
            findings.append(_unknown_finding(path, value, composed, help_out=few))
    return kept


def _over(sections: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """The known values laid over the empty sections."""
    for name, value in known.items():
        if isinstance(value, dict) and isinstance(sections.get(name), dict):
            _over(sections[name], value)
        else:
            sections[name] = value
    return sections


def _unknown_finding(path: str, value: Any, composed: Composed, *, help_out: bool) -> Finding:
    noun = "section" if isinstance(value, dict) else "key"
    matches = suggest(path, fits=lambda match: _takes(match, value)) if help_out else []
    fixes = tuple(
        Fix(f"did you mean {match}?", (Edit(path, remove=True), Edit(match, value)))
        for match in matches
    )
    return Finding(
        "unknown-key",
        "error",
        path,
        f"unknown {noun} {_shortened(path)!r}",
        _origin(path, composed),
        fixes
        or (Fix("remove it, or see all keys with: ava config keys", (Edit(path, remove=True),)),),
    )


def _takes(path: str, value: Any) -> bool:
    """Whether a value could stand there: keys with values below it in a section only."""
    if isinstance(value, dict):
        return path in sections() or path in alias_sections() or path in mappings()
    return value is None or ((path in keys() or path in table()) and path not in mappings())


def _section_finding(path: str, value: Any, composed: Composed) -> Finding:
    known = (*keys(), *table())
    inside = [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == path][:3]
    fixes: tuple[Fix, ...] = ()
    if isinstance(value, bool) and (switch := f"{path}.enabled") in keys():
        title = f"{switch}: {str(value).lower()}"
        fixes = (Fix(title, (Edit(path, {"enabled": value}),)),)
    elif isinstance(value, str) and (glued := re.match(r"(\w+):\s*(?=\S)", value)):
        fixes = (Fix(f"put a space behind the colon: {glued[1]}: {value[glued.end() :]}"),)
    return Finding(
        "not-a-section",
        "error",
        path,
        f"{path!r} is a section with keys below it ({', '.join(inside)}, …), not {_show(value)}",
        _origin(path, composed),
        fixes,
    )


def _origin(path: str, composed: Composed) -> Origin | None:
    """The origin of a value, or the place of a section, or that of the first value inside."""
    return composed.origins.get(path) or composed.section(path) or composed.first_inside.get(path)


def _path(details: ErrorDetails) -> str:
    """The dotted key of a pydantic error, without union branches and list positions."""
    parts: list[str] = []
    for part in details["loc"]:
        dotted = ".".join((*parts, str(part)))
        if dotted in keys():
            return dotted
        parts.append(str(part))
    return ".".join(parts)


def _type_finding(path: str, details: ErrorDetails, composed: Composed) -> Finding:
    key = keys().get(path)
    own = composed.origins.get(path)
    value = own.value if own else details["input"]
    origin = _origin(path, composed)
    if key is None:
        return Finding("invalid", "error", path, f"{path}: {details['msg']}", origin)
    said = f", not {_show(value)}"
    if isinstance(value, dict | list) and not isinstance(details["input"], dict | list):
        said = f"; it holds {_show(details['input'])}"
    message = f"{path} must be {key.kind}{said}"
    longest = key.bounds.get("max_length", 0)
    if isinstance(value, str) and 0 < longest < len(value):
        message = f"{path} has at most {longest} characters, not {len(value)}"
    if origin is not None and origin.alias is not None:
        takes = next((a.takes for a in table()[origin.alias] if a.target == path), None)
        message = f"{origin.alias} (another name of {path}) must be {takes or key.kind}{said}"
        if takes and isinstance(value, int | float) and not isinstance(value, bool):
            message = f"{origin.alias} sets {path}, which must be {key.kind}{said}"
    fixes = tuple(_type_fixes(path, value, key.choices))
    return Finding("invalid-value", "error", path, message, origin, fixes)


_SWITCHES: dict[str | int, bool] = {
    **dict.fromkeys(("yes", "on", "true", 1), True),
    **dict.fromkeys(("no", "off", "false", 0), False),
}


def _type_fixes(path: str, value: Any, choices: tuple[str, ...]) -> Iterator[Fix]:
    """What the value may have been meant to be."""
    import difflib

    from workbench.config.scalars import spell

    kind = keys()[path].type
    if value is False and {"no", "none"} & set(choices):
        word = "no" if "no" in choices else "none"
        yield Fix(f"{path}: {word}", (Edit(path, word),))
    elif choices and isinstance(value, str | bool):
        word = str(value).lower()
        known = [word for word in _other_words(path, value) if word in choices]
        for match in known or difflib.get_close_matches(word, choices, n=1, cutoff=0.6):
            yield Fix(f"{path}: {match}", (Edit(path, match),))
    elif kind == "list" and isinstance(value, str | int | float):
        yield Fix(f"write it as a list: [{spell(value)}]", (Edit(path, [value]),))
    elif kind == "text" and isinstance(value, int | float):
        yield Fix(f'write it in quotes: "{spell(value)}"', (Edit(path, spell(value)),))
    elif kind == "boolean":
        word = value.lower() if isinstance(value, str) else value
        meant = _SWITCHES.get(word) if isinstance(word, str | int) else None
        if meant is not None:
            yield Fix(f"write {spell(meant)}", (Edit(path, meant),))
    elif kind in ("integer", "number") and isinstance(value, str):
        plain = _number(value.strip())
        if plain is not None:
            yield Fix(f"write it as a number: {spell(plain)}", (Edit(path, plain),))


def _other_words(path: str, value: Any) -> list[str]:
    """What the value means under the key's other spellings: fp32 is ``mixed_precision: no``."""
    if not isinstance(value, str):
        return []
    meanings = (each for name in spellings(path) for each in table()[name] if each.target == path)
    words = (each.convert(value, None) for each in meanings if each.convert is not None)
    return list(dict.fromkeys(word for word in words if isinstance(word, str)))


def _number(text: str) -> int | float | None:
    """The number that a text is; 10,000 is ten thousand and 0,5 a half."""
    from workbench.config.scalars import resolve

    grouped = re.fullmatch(r"[1-9]\d{0,2}(,\d{3})+", text)
    text = text.replace("\u2013", "-").replace("\u2212", "-")  # a dash or a minus of a text
    plain = resolve(text.replace(",", "" if grouped else ".", -1 if grouped else 1))
    return plain if isinstance(plain, int | float) and not isinstance(plain, bool) else None


def _show(value: Any) -> str:
    """A value in a message: quoted when it is text, shortened when it is long."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    text = _shortened(re.sub(r"\s+", " ", str(value)), 40)
    return f"the text {text!r}" if isinstance(value, str) else text


def _shortened(text: str, most: int = 200) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
