"""What all widgets share: one lock, one route to the kernel, one thread that looks for news.

Callbacks arrive on several threads: on the kernel's main one, on that of a subshell while a cell
runs, and ours. They do three things only: take the lock, let the parts work, and ``send``.

The route. A message of a view goes to the subshell that the header of the widget's last message
came from (ipykernel 7.4, ``Comm._reply_subshell_for``). A message that a cell has caused, or a
thread of ours, would turn the route to the main shell, where the next click waits for the cell to
end. So everything is sent in the context in which a view last called us.
"""

from __future__ import annotations

import threading
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from workbench.errors import WorkbenchError
from workbench.mistakes import as_error
from workbench.notebook import assets
from workbench.notebook.messages import Message, trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from workbench.notebook.messages import Part

_TICK = 0.1  # seconds between two looks for news
_PARKED = 1.0  # while nobody looks
_MOST_VIEWS = 32  # a page that was closed says no goodbye


class Piece(anywidget.AnyWidget):
    """A widget made of parts.

    Attributes:
        kind: Which parts a view shows.
    """

    kind = traitlets.Unicode("").tag(sync=True)
    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)

    def __init__(self, kind: str) -> None:
        self._lock = threading.RLock()
        self._parts: Sequence[Part] = ()
        self._views: dict[str, int] = {}  # by name of the view: the last of its messages
        self._revision = 0
        self._route: Context | None = None
        self._route_thread: threading.Thread | None = None
        self._wake, self._closed = threading.Event(), threading.Event()
        self._ticker: threading.Thread | None = None
        self._said: set[str] = set()
        super().__init__(kind=kind, _esm=assets.module(), _css=assets.style())
        self.on_msg(self._hear)

    def _show(self, parts: Sequence[Part]) -> None:
        """Take the parts, once they are made."""
        self._parts = parts
        self._ticker = threading.Thread(target=self._tick, name=f"ava {self.kind}", daemon=True)
        self._ticker.start()

    # ---------------------------------------------------------------- messages

    def _hear(self, _widget: object, asked: dict[str, Any], _buffers: object) -> None:
        """A view has said something; on whatever thread."""
        self._route, self._route_thread = copy_context(), threading.current_thread()
        view = str(asked.get("view", ""))
        with self._lock:
            self._note(view, asked.get("seq"))
            try:
                answer = self._answer(view, asked)
            except Exception as error:  # noqa: BLE001 - no message may end the widget
                answer = [trouble(as_error(error, "the panel"))]
            self._tell(answer)

    def _note(self, view: str, seq: object) -> None:
        self._views[view] = max(self._views.pop(view, 0), seq if isinstance(seq, int) else 0)
        while len(self._views) > _MOST_VIEWS:
            del self._views[next(iter(self._views))]

    def _answer(self, view: str, asked: dict[str, Any]) -> Iterable[Message]:
        match asked.get("type"):
            case "hello":  # warms the route; a view sends two, and then one now and then
                return [Message({"type": "hello", "to": view})]
            case "bye":
                self._views.pop(view, None)
                if not self._views:
                    self._wake.clear()
                return []
            case "ready":
                self._wake.set()
                # To all views: what a part has told, it does not tell again.
                return [each for part in self._parts for each in part.opening()]
        for part in self._parts:
            answer = part.hear(asked)
            if answer is not None:
                return list(answer)
        return []

    def _tell(self, messages: Iterable[Message]) -> None:
        """Send; the lock is held, so that the order of the revisions is that of the messages."""
        for each in messages:
            self._revision += 1
            content = each.content | {"rev": self._revision}
            if content["type"] == "plan":
                content["seqs"] = dict(self._views)
            if self._route is None:
                self.send(content, list(each.buffers))
            else:
                self._route.copy().run(self.send, content, list(each.buffers))

    def _later(self, slow: Callable[[], Any], then: Callable[[Any], Iterable[Message]]) -> None:
        """Do something slow beside everything else; then send what follows from it."""

        def work() -> None:
            try:
                result = slow()
            except Exception as error:  # noqa: BLE001
                result = as_error(error, "the panel")
            with self._lock:
                try:
                    self._tell(list(then(result)))
                except WorkbenchError as error:
                    self._tell([trouble(error)])

        threading.Thread(target=work, name=f"ava {self.kind} work", daemon=True).start()

    # ---------------------------------------------------------------- news

    def _tick(self) -> None:
        """Tell the views what is new, while there are any; ends with the widget."""
        count = 0
        while not self._closed.is_set():
            self._keep_route()
            if self._wake.is_set():
                count += 1
                self._look(count)
                self._closed.wait(_TICK)
            else:
                self._wake.wait(_PARKED)

    def _keep_route(self) -> None:
        """Turn the route away from a subshell that has ended with its page.

        A message there would find nobody. Each of ours turns the route to whoever spoke to the
        kernel last, so we speak until a view answers.
        """
        with self._lock:
            thread = self._route_thread
            if thread is not None and not thread.is_alive():
                self._route = None
                self._tell([Message({"type": "hello", "to": ""})])

    def _look(self, count: int) -> None:
        """One look for news."""
        with self._lock:
            try:
                self._tell([each for part in self._parts for each in part.tick(count)])
            except Exception as error:  # noqa: BLE001 - a folder may go away under us
                told = trouble(as_error(error, "the panel"))
                if told.content["text"] not in self._said:
                    self._said.add(told.content["text"])
                    self._tell([told])

    def close(self) -> None:
        """Close the widget and end its thread. Runs go on."""
        closed = getattr(self, "_closed", None)
        if closed is not None:
            closed.set()
            self._wake.set()
        super().close()

    # ---------------------------------------------------------------- where no widgets run

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget, and for a reader without widgets what it shows now, as text and as HTML."""
        made = super()._repr_mimebundle_(**kwargs)
        if made is None:
            return None
        data, metadata = made if isinstance(made, tuple) else (made, {})
        with self._lock:
            text, html = self._still()
        return data | {"text/plain": text, "text/html": html}, metadata

    def _still(self) -> tuple[str, str]:
        """What the widget shows now, as text and as HTML."""
        raise NotImplementedError
