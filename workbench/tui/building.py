"""What Build knows: the draft, which keys are shown, and what is said about each. No widget."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from workbench.forms import shown_of, shown_paths
from workbench.tui.form import (
    FormLine,
    Shown,
    lines_of,
    stepped,
    value_text,
    worst_by_path,
)
from workbench.tui.pages.estimate import Figures, Outlook, estimate_page, repairs, short_page
from workbench.tui.rows import Row, fit, heading, wrap

if TYPE_CHECKING:
    from workbench.config.findings import Finding
    from workbench.config.keys import Key
    from workbench.draft import Draft
    from workbench.plan import Plan
    from workbench.tui.widgets.canvas import Page

Panel = Literal["estimate", "diff", "yaml", "command"]


class Building:
    """The state of Build.

    Args:
        draft: What is edited.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.words = ""
        self.all_keys = False
        self._before: Figures | None = None
        self._of: Plan | None = None  # the plan that the following were computed for
        self._outlook: Outlook | None = None
        self._worst: dict[str, str] = {}

    # ---------------------------------------------------------------- what is known

    @property
    def title(self) -> str:
        """What is edited, in words."""
        recipe = self.draft.base.recipe
        stack = self.draft.plan.composed.stack
        return recipe.title if recipe is not None else " → ".join(stack)

    @property
    def facts(self) -> frozenset[str]:
        """What the keys depend on."""
        facts = set()
        if self.draft.undoable:
            facts.add("undoable")
        if self.draft.redoable:
            facts.add("redoable")
        if any(finding.fixes for finding in self.draft.findings):
            facts.add("fixable")
        return frozenset(facts)

    def lines(self) -> list[FormLine]:
        """The keys that are shown: those that the search finds, all, or those that matter."""
        return lines_of(shown_paths(self.draft, self.words, everything=self.all_keys))

    def key(self, path: str) -> Key:
        """The key at a path."""
        from workbench.config.keys import keys

        return keys()[path]

    def shown(self, path: str) -> Shown:
        """What the key's row shows."""
        self._look()
        return shown_of(self.draft, path, self._worst.get(path, ""))

    def about(self, path: str) -> list[Finding]:
        """The findings about a key."""
        return [finding for finding in self.draft.findings if finding.path == path]

    @property
    def outlook(self) -> Outlook:
        """What the estimate page shows."""
        self._look()
        assert self._outlook is not None, "looking makes one"
        return self._outlook

    def _look(self) -> None:
        plan = self.draft.plan
        if plan is self._of:
            return
        self._of = plan
        self._outlook = Outlook.of(plan, self._before)
        self._worst = worst_by_path(plan.findings)

    def remember(self) -> None:
        """Compare with the figures as they are now from here on."""
        now = self.outlook.now
        if now is not None:
            self._before = now

    # ---------------------------------------------------------------- edits

    def type(self, path: str, text: str, *, amend: bool) -> bool:
        """Take what has been typed so far; returns whether that was an edit.

        Raises:
            WorkbenchError: The text is no value, or not yet.
        """
        if not amend:
            self.remember()
        steps = len(self.draft.undoable)
        self.draft.set(path, text, amend=amend)
        return len(self.draft.undoable) > steps

    def turn(self, path: str, by: int) -> None:
        """The next value of the key, or the one before."""
        value = self.draft.value(path)
        new = stepped(self.key(path), value, by)
        if new != value or type(new) is not type(value):
            self.draft.put({path: new}, f"{path} = {value_text(new)}")

    def repair(self, number: int) -> None:
        """Make the repair with this number, from 1."""
        listed = repairs(self.draft.findings)
        if 0 < number <= len(listed):
            self.draft.apply(listed[number - 1].fixes[0])

    def save(self, path: str) -> str:
        """Save as a layer; returns the file."""
        file = Path(path).expanduser()
        if file.suffix not in (".yaml", ".yml"):
            file = file.with_name(file.name + ".yaml")
        self.draft.save(file)
        return str(file)

    # ---------------------------------------------------------------- panels

    def panel(self, which: Panel) -> Page:
        """The page of a panel."""
        match which:
            case "diff":
                return self._diff_page
            case "yaml":
                return self._yaml_page
            case "command":
                return self._command_page
            case _:
                return estimate_page(self.outlook)

    def brief_with_estimate(self, brief: Page) -> Page:
        """The estimate in four rows, and the key below it, for a narrow screen."""
        short = short_page(self.outlook)

        def page(width: int, height: int) -> list[Row]:
            rows = short(width, 4)
            return [*rows, [("─" * width, "faint")], *brief(width, max(height - len(rows) - 1, 0))]

        return page

    def _diff_page(self, width: int, height: int) -> list[Row]:
        del height
        rows: list[Row] = [heading("What differs from the plan that you began with", width)]
        changes = self.draft.diff()
        if not changes:
            return [*rows, [("nothing", "dim")]]
        for change in changes:
            rows.append(fit([(change.path, "value")], width))
            words: Row = [("  - ", "bad"), (value_text(change.before), "dim")]
            rows += [words, [("  + ", "good"), (value_text(change.after), "")]]
        return rows

    def _yaml_page(self, width: int, height: int) -> list[Row]:
        del height
        from workbench.errors import WorkbenchError
        from workbench.tui.pages.message import message_rows

        rows: list[Row] = [heading("The plan as a layer", width, "s saves it")]
        try:
            text = self.draft.text()
        except WorkbenchError as error:
            return rows + message_rows(error, width)
        return rows + [_yaml_row(line) for line in text.splitlines()]

    def _command_page(self, width: int, height: int) -> list[Row]:
        del height
        import shlex

        from workbench.errors import WorkbenchError
        from workbench.tui.pages.message import message_rows

        rows: list[Row] = [heading("The same without a screen", width)]
        try:
            words = self.draft.command()
        except WorkbenchError as error:
            return rows + message_rows(error, width)
        for verb, means in (("train", "train it here"), ("launch", "in the background"),
                            ("estimate", "what it takes"), ("fit", "plans that fit")):  # fmt: skip
            command = shlex.join([words[0], verb, *words[2:]])
            rows += [[], [(means, "dim")], *wrap(command, width, "value", indent="    ")]
        return rows


def _yaml_row(line: str) -> Row:
    """A line of our own YAML: keys, values and comments told apart."""
    if line.lstrip().startswith("#"):
        return [(line, "dim")]
    name, colon, value = line.partition(":")
    return [(name + colon, "brand"), (value, "value")] if colon else [(line, "")]
