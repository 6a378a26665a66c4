"""From what a person writes in a cell to an editing session, and to the folder of the runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import TypeAlias

    from workbench.draft import Draft
    from workbench.notebook.session import Session
    from workbench.plan import Plan

    Editable: TypeAlias = str | Plan | Draft


def drafted(plan: Editable, keys: Mapping[str, Any] | None = None, runs_dir: Any = None) -> Draft:
    """The editing session of whatever a plan is given as.

    Args:
        plan: Name of a recipe, path of a config file, a plan, or an editing session.
        keys: Values to set, by full path or last name.
        runs_dir: Folder of the runs; by default what the plan says.

    Raises:
        UsageError: There is no such recipe or key.
        ConfigError: A file cannot be read, or a value is none.
    """
    from workbench.config.render import inline
    from workbench.draft import Draft
    from workbench.plan import Plan, plan_from

    texts = {
        name: value if isinstance(value, str) else inline(value)
        for name, value in (keys or {}).items()
    }
    if runs_dir is not None:
        texts["run.runs_dir"] = str(runs_dir)
    if isinstance(plan, Draft):
        for name, text in texts.items():
            plan.set(name, text)
        return plan
    if isinstance(plan, Plan):
        draft = Draft(plan)
        for name, text in texts.items():
            draft.set(name, text)
        return draft
    is_file = "/" in plan or plan.endswith((".yaml", ".yml"))
    if is_file:
        return Draft(plan_from(None, layers=[plan], overrides=texts))
    return Draft(plan_from(plan, overrides=texts))


def folder_of_plan(session: Session) -> Path:
    """Where the plan's runs go; where its value is none, where they go by default."""
    from workbench.runs.directory import expanded

    config = session.draft.config or session.draft.base.typed
    return expanded(config.run.runs_dir) if config is not None else folder_of_runs(None)


def folder_of_runs(given: str | Path | None) -> Path:
    """A folder of runs as a path; None is where they go by default."""
    from workbench.config.keys import keys
    from workbench.runs.directory import expanded

    return expanded(str(given) if given is not None else str(keys()["run.runs_dir"].default))
