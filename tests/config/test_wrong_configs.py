"""A corpus of wrong configs: everything wrong in them is found, and nothing else.

One YAML list per theme in ``wrong/``. A case has a text, and either ``refused``, the line at which
the reader stops, or ``find``, all findings as ``rule key:line -> a repair``. What today's trainer
does not honour is left out: it moves with the trainer, and test_honour.py has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from workbench.config.editing import edit_text
from workbench.config.findings import Finding
from workbench.config.layers import Layer, compose
from workbench.config.origins import Origin
from workbench.config.reading import read_document
from workbench.errors import ConfigError

Check = Callable[..., list[Finding]]
FOLDER = Path(__file__).parent / "wrong"
CASES: dict[str, dict[str, Any]] = {
    f"{path.stem}: {case['name']}": case
    for path in sorted(FOLDER.glob("*.yaml"))
    for case in yaml.safe_load(path.read_text())
}
FOUND = [name for name, case in CASES.items() if "find" in case]
REFUSED = [name for name, case in CASES.items() if "refused" in case]
EXPECTED = re.compile(r"(?P<rule>\S+) (?P<path>\S+):(?P<line>\d+)(?: -> (?P<fix>.+))?")


def file_of(case: dict[str, Any]) -> str:
    return str(case.get("file", "my.yaml"))


def test_there_are_at_least_150_and_every_one_expects_something() -> None:
    assert len(CASES) >= 160
    assert sorted(FOUND + REFUSED) == sorted(CASES)
    assert all(CASES[name]["find"] for name in FOUND)


@pytest.mark.parametrize("name", FOUND)
def test_everything_wrong_is_found_and_nothing_else(name: str, findings: Check) -> None:
    case = CASES[name]
    found = [f for f in findings(case["text"], file_of(case)) if f.rule != "not-honoured"]
    expected = [EXPECTED.fullmatch(line) for line in case["find"]]
    assert None not in expected
    wanted = {f"{m['rule']} {m['path']} {file_of(case)}:{m['line']}" for m in expected if m}
    assert {f"{f.rule} {f.path} {f.origin and f.origin.place()}" for f in found} == wanted
    for match in expected:
        if match is not None and match["fix"]:
            titles = [f.fixes for f in found if (f.rule, f.path) == (match["rule"], match["path"])]
            assert any(match["fix"] in fix.title for fixes in titles for fix in fixes)


@pytest.mark.parametrize("name", REFUSED)
def test_broken_text_is_refused_with_its_line(name: str, findings: Check) -> None:
    case = CASES[name]
    with pytest.raises(ConfigError) as caught:
        findings(case["text"], file_of(case))
    assert re.match(rf"{re.escape(file_of(case))}:{case['refused']}\b", caught.value.where or "")
    assert caught.value.what


@pytest.mark.parametrize("name", FOUND)
def test_no_value_is_dropped_in_silence(name: str, findings: Check) -> None:
    """Every value is used, or covered up by one that a finding names, or found wrong."""
    case = CASES[name]
    document = read_document(case["text"], file_of(case))
    composed = compose([Layer("my", document.tree, file_of(case), document.marks)])
    used = {spelled for path, origin in composed.origins.items() for spelled in names(path, origin)}
    told = {f.path for f in findings(case["text"], file_of(case))}
    for leaf in leaves(document.tree):
        parents = {leaf[: match.start()] for match in re.finditer(r"\.|$", leaf)}
        assert parents & (used | told), f"{leaf} went missing"


def names(path: str, origin: Origin) -> Iterator[str]:
    """Every spelling under which a value was taken up."""
    for each in (origin, *origin.shadowed):
        yield each.alias or path


def leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


@pytest.mark.parametrize("name", FOUND)
def test_the_first_repair_can_be_made(name: str, findings: Check) -> None:
    case = CASES[name]
    for finding in findings(case["text"], file_of(case)):
        for fix in finding.fixes[:1]:
            if not fix.edits:
                continue
            repaired = edit_text(case["text"], fix.edits, file_of(case))
            left = {(f.rule, f.message) for f in findings(repaired, file_of(case))}
            assert (finding.rule, finding.message) not in left, repaired
