"""What the plain functions return: it shows itself as text, as HTML and as a DataFrame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workbench import units
from workbench.errors import UsageError
from workbench.lessons.learn_show import Table
from workbench.notebook import still

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from workbench.draft import Draft
    from workbench.estimate.fit import FitResult
    from workbench.outlook import Outlook
    from workbench.runs.directory import RunDir


class Display:
    """Something that a notebook shows.

    Every subclass has a `table`, and the two forms of the whole.
    """

    @property
    def table(self) -> Table:
        """Its figures as rows."""
        raise NotImplementedError

    def _forms(self) -> tuple[str, str]:
        """The whole as text and as HTML."""
        return repr(self.table), self.table.html()

    def to_dataframe(self) -> Any:
        """The rows as a pandas DataFrame.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            return self.table.to_dataframe()
        except ImportError:
            raise UsageError(
                "a DataFrame needs pandas, which is not installed", fix="pip install pandas"
            ) from None

    def __repr__(self) -> str:
        return self._forms()[0]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        text, html = self._forms()
        return {"text/plain": text, "text/html": html}


@dataclass(repr=False)
class EstimateDisplay(Display):
    """What a plan takes.

    Attributes:
        draft: The plan.
        outlook: Its estimate with the verdict.
    """

    draft: Draft
    outlook: Outlook

    @property
    def table(self) -> Table:
        """Memory by category in bytes, then the other figures."""
        rows: list[list[Any]] = []
        estimate, now = self.outlook.estimate, self.outlook.now
        if estimate is not None and now is not None:
            rows += [["memory", name, size, "bytes"] for name, size in now.categories.items()]
            rows.append(["memory", "needed", now.needed, "bytes"])
            rows.append(["memory", "available", self.outlook.card, "bytes"])
            rows.append(["model", "parameters", estimate.size.total, "parameters"])
            rows.append(["batch", "tokens per step", estimate.batch.tokens, "tokens"])
            rows.append(["speed", "tokens per second", now.tokens_per_second, "tokens/s"])
            rows.append(["cost", "time", now.hours, "h"])
            rows.append(["cost", "money", now.dollars, "$"])
        return Table(("about", "figure", "value", "unit"), rows)

    def _forms(self) -> tuple[str, str]:
        recipe = self.draft.base.recipe
        stack = " → ".join(self.draft.plan.composed.stack)
        return still.outlook_still(recipe.title if recipe else stack, self.outlook)


@dataclass(repr=False)
class FitDisplay(Display):
    """Plans for the same training that fit, the fastest first.

    Attributes:
        draft: The plan that was given.
        result: What the search found.
    """

    draft: Draft
    result: FitResult

    @property
    def table(self) -> Table:
        """One row for each plan: what it changes, what it takes, how fast it is."""
        found = self.result.proposals or self.result.nearest
        rows = [
            [
                place,
                ", ".join(each.changes) or "as it is",
                each.fits,
                each.need.bytes,
                each.headroom,
                each.pace.seconds,
            ]
            for place, each in enumerate(found, 1)
        ]
        title = "plans that fit" if self.result.proposals else "no plan fits; the nearest are"
        return Table(
            ("plan", "changes", "fits", "bytes", "free", "seconds a step"),
            rows,
            title=title,
            notes=self.result.notes,
        )

    def _forms(self) -> tuple[str, str]:
        table = self.table
        shown = Table(
            table.headings,
            [
                [row[0], row[1], *(None if size is None else units.size(size) if size >= 0
                 else f"-{units.size(-size)}" for size in row[3:5]), row[5]]
                for row in table.rows
            ],
            title=table.title,
            notes=table.notes,
        )  # fmt: skip
        shown.headings = ("plan", "changes", "needs", "free", "seconds a step")
        return repr(shown), shown.html()

    def apply(self, plan: int = 1) -> Draft:
        """Set what plan number `plan` of the table changes; returns the editing session.

        Raises:
            UsageError: There is no such plan.
        """
        found = self.result.proposals
        if not 1 <= plan <= len(found):
            raise UsageError(f"there is no plan {plan}", fix=f"one of 1 … {len(found)}")
        chosen = found[plan - 1]
        self.draft.put(chosen.edits, ", ".join(chosen.changes))
        return self.draft


@dataclass(repr=False)
class RunsDisplay(Display):
    """The runs of a folder, or several of them side by side.

    Attributes:
        folder: Where they are.
        names: Those to compare; empty: all, without comparing.
    """

    folder: Path
    names: Sequence[str] = ()

    @property
    def table(self) -> Table:
        """One row for each run."""
        if not self.names:
            return still.runs_table(self.folder)
        from workbench.runs import compare
        from workbench.runs.directory import open_run

        found = [compare.figures(open_run(self.folder, name)) for name in self.names]
        rows = compare.table(found)
        metrics = list(dict.fromkeys(name for row in rows for name in row["best"]))
        keys = list(rows[0]["config"]) if rows else []
        return Table(
            ("run", "state", "steps", "seconds", *(f"best {name}" for name in metrics), *keys),
            [
                [
                    *(row[name] for name in ("name", "state", "steps", "seconds")),
                    *(row["best"].get(name) for name in metrics),
                    *(row["config"].get(key) for key in keys),
                ]
                for row in rows
            ],
        )

    def _forms(self) -> tuple[str, str]:
        """The table, and for a comparison the curves over each other."""
        table = self.table
        if not self.names:
            return repr(table), table.html()
        from workbench.notebook.watching import Watching

        text, html = still.chart_still(Watching(lambda: self.folder, list(self.names), log=False))
        return f"{table!r}\n\n{text}", table.html() + html


@dataclass(repr=False)
class RunDisplay(RunsDisplay):
    """One run.

    Attributes:
        run: Its directory.
    """

    run: RunDir | None = None
