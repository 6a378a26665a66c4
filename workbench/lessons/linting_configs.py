"""Rule on configs: what a lesson shows as a config loads with the real loader.

These are the `%%config` cells, each with the options that it names, and the blocks of words that
are marked: ```yaml config, with options of `ava` behind it. Other blocks of yaml must be YAML.
"""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import ConfigError, WorkbenchError
from workbench.lessons.learn_config import plan_of, write_config

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workbench.lessons.linting import Subject
    from workbench.lessons.markup import Fence
    from workbench.lessons.problems import Problem


def problems(subject: Subject) -> Iterator[Problem]:
    """Problems of this rule."""
    with tempfile.TemporaryDirectory(prefix="ava-lint-") as place:
        folder = Path(place)
        for cell in subject.lesson.cells:
            if cell.config_name is None:
                continue
            line = shlex.join([cell.config_name, *cell.config_arguments])
            wrong = _why(folder, line, cell.config_text)
            if cell.expects_error and wrong is None:
                message = f"the config of the cell {cell.id} loads, though the lesson says it fails"
                yield subject.problem(cell.source_line, "config", message, "delete expect: error")
            elif wrong is not None and not cell.expects_error:
                message = f"the config of the cell {cell.id} does not load: {wrong}"
                fix = "repair it; or say so, if it is the point: ava: {expect: error}"
                yield subject.problem(cell.source_line, "config", message, fix)
        for found in subject.markups:
            for fence in found.fences:
                yield from _fence(subject, fence, folder)


def _fence(subject: Subject, fence: Fence, folder: Path) -> Iterator[Problem]:
    from workbench.config.yaml_reader import read_yaml

    language, *words = fence.info.split(" ")
    if language not in ("yaml", "yml"):
        return
    if words[:1] == ["config"]:
        wrong = _why(folder, shlex.join(["shown.yaml", *words[1:]]), fence.content)
        if wrong is not None:
            message = f"the config does not load: {wrong}"
            yield subject.problem(fence.line, "config", message, "repair it, or mark it ```yaml")
        return
    try:
        read_yaml(fence.content, "the block")
    except ConfigError as error:
        message = f"this is not YAML as the workbench reads it: {error.what}"
        yield subject.problem(fence.line, "config", message, "repair it, or mark it ```text")


def _why(folder: Path, line: str, text: str) -> str | None:
    """Why a config cannot be launched; None if it can."""
    try:
        path, options = write_config(folder, line, text)
        plan = plan_of(path, options, folder=folder)
        errors = [each.message for each in plan.findings if each.severity == "error"]
    except WorkbenchError as error:
        return error.what
    return "; ".join(errors) or None
