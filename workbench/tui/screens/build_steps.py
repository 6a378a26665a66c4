"""The larger steps of Build: other hardware, plans that fit, saving, launching, exporting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench.tui.faults import as_error
from workbench.tui.screens import asking
from workbench.tui.screens.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from workbench.draft import Draft
    from workbench.tui.building import Building


class BuildSteps(Place[str | None]):
    """What `Build` does with a plan as a whole."""

    building: Building

    @property
    def draft(self) -> Draft:
        """What is edited."""
        return self.building.draft

    def attempt(self, act: Callable[[], Any]) -> None:
        """Do it and show what follows; an error is shown and changes nothing."""
        raise NotImplementedError

    def action_hardware(self) -> None:
        """Plan for another device."""

        def use(name: str | None) -> None:
            if name is not None:
                self.attempt(lambda: self.draft.use_hardware(name or None))

        self.app.push_screen(asking.hardware(self.draft), use)

    def action_layer(self) -> None:
        """Lay another layer over the plan."""

        def add(name: str | None) -> None:
            if name:
                self.attempt(lambda: self.draft.add_layer(name))

        self.app.push_screen(asking.layer(), add)

    def action_fit(self) -> None:
        """Plans that fit."""
        self._ask_later(lambda: asking.fit(self.draft), "looking for plans that fit …")

    def action_what_if(self) -> None:
        """The plan with one thing changed, for many things."""
        self._ask_later(lambda: asking.what_if(self.draft), "")

    def _ask_later(self, make: Callable[[], asking.Choice], words: str) -> None:
        """Make a list in a thread, show it, and apply what is picked."""
        if words:
            self.app.notify(words, timeout=1)

        def work() -> None:
            try:
                made = make()
            except Exception as error:  # noqa: BLE001
                self.app.call_from_thread(self.app.push_screen, asking.trouble(as_error(error)))
                return
            self.app.call_from_thread(self._offer, made)

        self.run_worker(work, thread=True, exit_on_error=False, exclusive=True, group="list")

    def _offer(self, made: asking.Choice) -> None:
        def apply(value: str | None) -> None:
            edits = made.edits.get(value or "")
            if edits:
                self.attempt(lambda: self.draft.put(edits, made.titles[value or ""]))

        self.app.push_screen(made.screen, apply)

    def action_save(self) -> None:
        """Save as a layer."""

        def save(path: str | None) -> None:
            if path:
                self.attempt(lambda: self.app.notify(f"saved: {self.building.save(path)}"))

        self.app.push_screen(asking.save(), save)

    def action_launch(self) -> None:
        """Say what will happen, then launch; or take the plan where its hardware is."""
        from workbench.tui.fits import why_not_here
        from workbench.tui.screens import elsewhere

        config = self.draft.config
        ready = config is not None and not any(
            finding.severity == "error" for finding in self.draft.findings
        )
        why = why_not_here(config, self.draft.hardware) if config is not None and ready else None
        if why is None:
            self._last_look()
            return

        def go(answer: str | None) -> None:
            if answer == "here":
                self._last_look()
            elif answer == "export":
                self.app.push_screen(elsewhere.targets(), self._export)

        self.app.push_screen(elsewhere.question(why), go)

    def _export(self, target: str | None) -> None:
        from workbench.tui.screens import elsewhere

        if target is None:
            return

        def write(where: str | None) -> None:
            if where is None:
                return
            try:
                done = elsewhere.export(self.draft, target, where)
            except Exception as error:  # noqa: BLE001
                done = asking.trouble(as_error(error))
            self.app.push_screen(done)

        self.app.push_screen(elsewhere.folder(target), write)

    def _last_look(self) -> None:
        def launch(name: str | None) -> None:
            if name is not None:
                self.app.notify("starting …", timeout=2)
                self.run_worker(lambda: self._launch(name), thread=True, exit_on_error=False)

        self.app.push_screen(asking.launch(self.draft), launch)

    def _launch(self, name: str) -> None:
        try:
            run = self.draft.launch(name or None)
        except Exception as error:  # noqa: BLE001
            self.app.call_from_thread(self.app.push_screen, asking.trouble(as_error(error)))
            return
        self.app.call_from_thread(self.dismiss, run.name)
