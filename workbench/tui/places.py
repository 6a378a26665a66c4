"""The five places, and what each keeps while another is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from workbench.draft import Draft
    from workbench.tui.app import AvaTui
    from workbench.tui.screens.main import Main
    from workbench.tui.study import Study


class Places:
    """At most two screens lie on the first one: a place, and a lesson on Learn.

    A screen that is left is gone; what it was about (the draft, the lesson with its kernel) stays
    here, and is found again.
    """

    def __init__(self, app: AvaTui, main: Main, workspace: str | None) -> None:
        self._app, self._main, self._named = app, main, workspace
        self._workspace: Path | None = None
        self.draft: Draft | None = None
        self.study: Study | None = None
        self.reading = False
        """Whether Learn opens with the lesson that is kept."""

    @property
    def workspace(self) -> Path:
        """The learner's folder."""
        if self._workspace is None:
            from workbench.tui import learner

            self._workspace = learner.folder(self._named)
        return self._workspace

    def goto(self, place: str) -> None:
        """To a place, as it was left."""
        if place == getattr(self._app.screen, "place", ""):
            return
        getattr(self, f"_{place}")()

    def _down(self) -> None:
        while len(self._app.screen_stack) > 1:
            self._app.pop_screen()

    def _launch(self) -> None:
        self._down()
        self._main.action_go("recipe")

    def _watch(self) -> None:
        if not self._main.has_runs:
            self._app.notify("there is no run yet: F4 launches one")
            return
        self._down()
        self._main.action_go("run")

    def _compare(self) -> None:
        self._down()
        self._main.action_compare()

    def _build(self) -> None:
        if self.draft is not None:
            self._open_build(self.draft)
            return
        self._down()
        self._main.action_go("recipe")
        self._main.action_build()

    def build(self, draft: Draft) -> None:
        """Edit a plan; when edits of another one are kept, ask first."""
        kept = self.draft
        if kept is None or not kept.edits:
            self._open_build(draft)
            return
        from workbench.tui.screens import asking

        def go(answer: str | None) -> None:
            if answer is not None:
                self._open_build(draft if answer == "leave" else kept)

        self._app.push_screen(asking.other(kept), go)

    def _open_build(self, draft: Draft) -> None:
        from workbench.tui.screens.build import Build

        self._down()
        self.draft = draft

        def built(run: str | None) -> None:
            self.draft = None
            if run is not None:
                self._main.await_run(run)

        self._app.push_screen(Build(draft), built)

    def _learn(self) -> None:
        from workbench.tui.screens.learn import Learn

        self._down()
        self._app.push_screen(Learn())
        if self.study is not None and self.reading:
            self._open_reader(self.study)

    def lesson(self, name: str) -> None:
        """Open a lesson by its id or number.

        Raises:
            WorkbenchError: There is none, or it or the learner's notebook cannot be read.
        """
        from workbench.lessons import find
        from workbench.tui.screens.learn import Learn
        from workbench.tui.screens.reader import Reader
        from workbench.tui.study import Study

        lesson = find(name)
        study = self.study
        if study is None or study.lesson.id != lesson.id:
            study = Study(lesson, self.workspace)
            study.load()
            self._drop_study()
            self.study = study
        while isinstance(self._app.screen, Reader):
            self._app.pop_screen()
        if not isinstance(self._app.screen, Learn):
            self._down()
            self._app.push_screen(Learn())
        self._open_reader(study)

    def _open_reader(self, study: Study) -> None:
        from workbench.tui.screens.reader import Reader

        self.reading = True
        self._app.push_screen(Reader(study))

    def _drop_study(self) -> None:
        """End the kernel of the lesson that was open before."""
        if self.study is not None:
            self._app.run_worker(self.study.close(), exit_on_error=False)

    async def close(self) -> None:
        """Leave nothing behind: a kernel is no run, and ends with the face."""
        if self.study is not None:
            await self.study.close()
