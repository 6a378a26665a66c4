"""The part that edits a plan: form, findings, batch equation, memory, speed and money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.errors import UsageError, WorkbenchError
from workbench.forms import shown_of, shown_paths, stepped, value_text, worst_by_path
from workbench.notebook import planview
from workbench.notebook.messages import Message, said, trouble
from workbench.notebook.picking import pickers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from workbench.draft import Draft
    from workbench.fitting import Offer
    from workbench.notebook.session import Session
    from workbench.plan import Plan

_MOST_ROWS = 120  # that a view holds at once; a search that finds more says how many there are


class Planning:
    """The form and everything that follows from it.

    Args:
        session: What is edited.
        form: Whether rows are wanted; a meter alone has none.
        recipes: Whether the recipe may be changed.
    """

    def __init__(self, session: Session, *, form: bool = True, recipes: bool = True) -> None:
        self.session = session
        self._form, self._recipes = form, recipes
        self._words = ""
        self._all = False
        self._open: set[str] | None = None  # sections; None: all of them
        self._sent: Plan | None = None
        self._listed: list[str] = []
        self._acts: dict[str, Callable[[dict[str, Any]], Any]] = {
            "edit": self._edit,
            "turn": self._turn,
            "reset": lambda asked: self._do(lambda: self.draft.reset(_path(asked))),
            "undo": lambda _: self._history(self.draft.undo, "taken back"),
            "redo": lambda _: self._history(self.draft.redo, "done again"),
            "fix": self._fix,
            "keep": lambda _: self._keep(),
            "hardware": lambda asked: self._do(
                lambda: self.draft.use_hardware(_text(asked, "name") or None)
            ),
            "recipe": self._recipe,
            "search": self._search,
            "everything": self._everything,
            "section": self._section,
            "explain": self._explain,
            "save": self._save,
            "fit": self._fit,
            "use": self._use,
        }
        self._offered: tuple[Plan, list[Offer]] | None = None

    @property
    def draft(self) -> Draft:
        """What is edited."""
        return self.session.draft

    # ---------------------------------------------------------------- what views are told

    def opening(self) -> Iterable[Message]:
        """Pickers, rows and the state of the plan."""
        with self.session.lock:
            if self._recipes:
                yield Message({"type": "pickers"} | pickers())
            if self._form:
                yield self._lines()
            yield self._plan()

    def tick(self, count: int) -> Iterable[Message]:
        """The plan, where a cell or another widget has changed it."""
        del count
        if self.draft.plan is not self._sent:
            with self.session.lock:
                yield from self._news()

    def hear(self, asked: dict[str, Any]) -> Iterable[Message] | None:
        """Make an edit, or look at the plan in another way."""
        act = self._acts.get(str(asked.get("type")))
        if act is None:
            return None
        with self.session.lock:
            return list(act(asked) or ())

    def _news(self) -> Iterable[Message]:
        """The state, and the rows where there are other ones now."""
        if self._form and self._paths() != self._listed:
            yield self._lines()
        yield self._plan()

    def _paths(self) -> list[str]:
        paths = shown_paths(self.draft, self._words, everything=self._all)
        return paths[:_MOST_ROWS] if self._words else paths

    def _lines(self) -> Message:
        self._listed = paths = self._paths()
        found = len(shown_paths(self.draft, self._words)) if self._words else len(paths)
        return Message(
            {
                "type": "lines",
                "sections": planview.sections_view(paths, self._is_open),
                "words": self._words,
                "everything": self._all,
                "found": found,
                "left": max(found - len(paths), 0),
            }
        )

    def _is_open(self, section: str) -> bool:
        return bool(self._words) or self._open is None or section in self._open

    def _plan(self) -> Message:
        from workbench.config.keys import keys

        draft, outlook = self.draft, self.session.outlook
        self._sent = plan = draft.plan
        worst = worst_by_path(plan.findings)
        recipe = draft.base.recipe
        rows = self._listed if self._form else []
        return Message(
            {
                "type": "plan",
                "title": recipe.title if recipe else " → ".join(plan.composed.stack),
                "recipe": recipe.name if recipe else "",
                "hardware": (plan.typed.run.hardware or "") if plan.typed else None,
                "edits": len(draft.edits),
                "undo": draft.undoable[-1] if draft.undoable else None,
                "redo": draft.redoable[-1] if draft.redoable else None,
                "values": {
                    path: planview.value_view(
                        keys()[path], shown_of(draft, path, worst.get(path, ""))
                    )
                    for path in rows
                    if self._is_open(keys()[path].section)
                },
                "findings": planview.findings_view(plan.findings),
                "equation": planview.equation_view(outlook.estimate, self._first_batch()),
                "meter": planview.meter_view(outlook),
                "figures": planview.figures_view(outlook),
            }
            | planview.ready_view(outlook)
        )

    def _first_batch(self) -> int | None:
        base = self.draft.base.estimate
        return None if base is None else base.batch.sequences

    # ---------------------------------------------------------------- what views ask

    def _do(self, act: Callable[[], Any]) -> Iterable[Message]:
        self.session.edit(act)
        return self._news()

    def _edit(self, asked: dict[str, Any]) -> Iterable[Message]:
        path, focus = _path(asked), (asked.get("view"), asked.get("focus"))
        try:
            self.session.type(path, _text(asked, "text"), focus)
        except WorkbenchError as error:  # half a value, such as an open bracket
            return [trouble(error, path), *self._news()]
        return self._news()

    def _turn(self, asked: dict[str, Any]) -> Iterable[Message]:
        from workbench.config.keys import keys

        path, by = _path(asked), 1 if asked.get("by", 1) > 0 else -1
        value = self.draft.value(path)
        new = stepped(keys()[path], value, by)
        if new == value and type(new) is type(value):
            return self._news()
        return self._do(lambda: self.draft.put({path: new}, f"{path} = {value_text(new)}"))

    def _history(self, act: Callable[[], str | None], words: str) -> Iterable[Message]:
        title = self.session.edit(act)
        return [*self._news(), *([said(f"{words}: {title}")] if title else [])]

    def _fix(self, asked: dict[str, Any]) -> Iterable[Message]:
        fix = self.session.fix(_text(asked, "name"))
        if fix is None:
            return self._news()
        return [*self._do(lambda: self.draft.apply(fix)), said(f"done: {fix.title}")]

    def _keep(self) -> Iterable[Message]:
        why = self.session.edit(self.draft.keep_global_batch)
        if why is not None:
            raise WorkbenchError("the sequences of a step cannot be kept", why=why)
        return self._news()

    def _recipe(self, asked: dict[str, Any]) -> Iterable[Message]:
        from workbench.draft import Draft
        from workbench.plan import plan_from

        name = _text(asked, "name")
        if self.draft.edits and not asked.get("sure"):
            count = len(self.draft.edits)
            words = f"{count} edit{'s' if count > 1 else ''} will be dropped. Save them first, or"
            ask = {"type": "ask", "words": words, "yes": f"Drop and open {name}"}
            return [Message(ask | {"then": {"type": "recipe", "name": name, "sure": True}}),
                    self._plan()]  # fmt: skip
        self.session.start_over(Draft(plan_from(name)))
        return [*self._news(), said(f"recipe {name}")]

    def _search(self, asked: dict[str, Any]) -> Iterable[Message]:
        self._words = _text(asked, "words")
        return [self._lines(), self._plan()]

    def _everything(self, asked: dict[str, Any]) -> Iterable[Message]:
        self._all = bool(asked.get("on"))
        # 575 inputs are more than anybody reads: the sections are opened one by one.
        self._open = set() if self._all else None
        return [self._lines(), self._plan()]

    def _section(self, asked: dict[str, Any]) -> Iterable[Message]:
        from workbench.config.keys import keys

        if self._open is None:
            self._open = {key.section for key in keys().values()}
        change = self._open.add if asked.get("on") else self._open.discard
        change(_path(asked))
        return [self._lines(), self._plan()]

    def _explain(self, asked: dict[str, Any]) -> Iterable[Message]:
        from workbench.config.keys import keys

        path = _path(asked)
        if path not in keys():
            raise UsageError(f"there is no key {path!r}")
        about = [each for each in self.draft.findings if each.path == path]
        shown = planview.help_view(keys()[path], shown_of(self.draft, path), about)
        return [Message({"type": "help", "to": asked.get("view")} | shown)]

    def _save(self, asked: dict[str, Any]) -> Iterable[Message]:
        from pathlib import Path

        path = Path(_text(asked, "path")).expanduser()
        if path.suffix not in (".yaml", ".yml"):
            path = path.with_name(path.name + ".yaml")
        self.draft.save(path)
        return [said(f"saved as {path}")]

    def _fit(self, asked: dict[str, Any]) -> Iterable[Message]:
        """Plans that fit, to the view that asks."""
        from workbench.fitting import offers

        found = offers(self.draft)
        self._offered = self.draft.plan, found
        shown = {"type": "offers", "to": asked.get("view"), "offers": planview.offers_view(found)}
        return [Message(shown)]

    def _use(self, asked: dict[str, Any]) -> Iterable[Message]:
        """Take one of them."""
        plan, found = self._offered or (None, [])
        number = asked.get("number")
        if plan is not self.draft.plan or not isinstance(number, int) or number >= len(found):
            raise WorkbenchError(
                "these plans were found for the plan before the last edit",
                fix="press Make it fit again",
            )
        words, _, _, edits = found[number]
        return [*self._do(lambda: self.draft.put(edits, words)), said(f"done: {words}")]


def _path(asked: dict[str, Any]) -> str:
    return _text(asked, "path")


def _text(asked: dict[str, Any], name: str) -> str:
    """A text that a view has sent; empty where it has sent none."""
    return str(asked.get(name) or "")
