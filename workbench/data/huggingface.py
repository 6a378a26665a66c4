"""Datasets of the `datasets` library: saved on disk, from the hub, whole or streamed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from workbench.data.offline import offline_error
from workbench.data.reading import Document, Skipped, Unusable, display, refuse_many_bad
from workbench.data.tables import of_row
from workbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workbench.config.schema import DataConfig
    from workbench.data.records import Maker
    from workbench.data.tables import Item

_AT_ONCE = 1000


def is_saved_dataset(path: Path) -> bool:
    """Whether a folder is what ``save_to_disk`` wrote."""
    return (path / "dataset_dict.json").is_file() or (
        (path / "state.json").is_file() and (path / "dataset_info.json").is_file()
    )


def open_saved(path: Path) -> tuple[Any, str]:
    """A dataset on disk, mapped into memory, and its name.

    Raises:
        Unusable: It is damaged.
    """
    import datasets

    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:  # noqa: BLE001 - a damaged dataset raises any kind
        raise Unusable(
            f"is a damaged dataset ({_first_line(error)})", "save it again, or name another folder"
        ) from None
    return _training_split(found, display(path))


def open_named(config: DataConfig) -> tuple[Any, str]:
    """A dataset of the hub, or one that `datasets` knows by a local path, and its name.

    Raises:
        DataError: It is not there, or needs a part to be named.
    """
    import datasets

    name = config.dataset_name
    assert name is not None
    with _quiet():
        try:
            found = datasets.load_dataset(
                name,
                config.dataset_config_name,
                cache_dir=config.cache_dir,
                streaming=config.streaming,
            )
        except ValueError as error:
            if "Config name is missing" in str(error) or "not found. Available" in str(error):
                raise _which_part(name, error) from None
            raise offline_error("the dataset", name, "data.dataset_name", error) from None
        except Exception as error:  # noqa: BLE001 - the hub's client raises many kinds
            raise offline_error("the dataset", name, "data.dataset_name", error) from None
    part = f" ({config.dataset_config_name})" if config.dataset_config_name else ""
    return _training_split(found, f"{name}{part}")


def _which_part(name: str, error: ValueError) -> DataError:
    return DataError(
        f"the dataset {name!r} has several parts",
        where="data.dataset_config_name",
        why=str(error).replace("\n", " ")[:500],
        fix="name one of them: --data.dataset_config_name PART",
    )


def _training_split(found: Any, name: str) -> tuple[Any, str]:
    if not isinstance(found, dict):
        return found, name
    if "train" in found:
        return found["train"], name
    if len(found) == 1:
        return next(iter(found.values())), name
    raise DataError(
        f"the dataset {name} has no part called train",
        where="data",
        why=f"its parts: {', '.join(map(str, found))}",
        fix="save the one to train on by itself: dataset['NAME'].save_to_disk(DIR)",
    )


def documents_of(dataset: Any, name: str, maker: Maker) -> tuple[list[Document], list[Skipped]]:
    """All records of a dataset that fits into memory.

    Raises:
        Unusable: Too many of them are bad.
    """
    documents: list[Document] = []
    skipped: list[Skipped] = []
    table = DatasetRows(dataset, name, maker)
    cursor: list[int] | None = table.start
    while cursor is not None:
        items, cursor = table.read(cursor, _AT_ONCE)
        for item in items:
            if isinstance(item, Document):
                documents.append(item)
            else:
                skipped.append(item)
    refuse_many_bad(skipped, len(documents) + len(skipped), maker)
    return documents, skipped


class DatasetRows:
    """A `Table` over a dataset on disk; the place is a row."""

    def __init__(self, dataset: Any, name: str, maker: Maker) -> None:
        self.dataset = dataset
        self.name = name
        self.maker = maker
        self.start = [0]
        self.size = len(dataset)
        self.identity = f"{dataset._fingerprint} {len(dataset)}"  # noqa: SLF001 - no public name

    def read(self, cursor: list[int], count: int) -> tuple[list[Item], list[int] | None]:
        """See `Table`."""
        row, end = cursor[0], min(cursor[0] + count, len(self.dataset))
        columns = self.dataset[row:end]
        items: list[Item] = []
        for number, values in enumerate(zip(*columns.values(), strict=True), start=row + 1):
            record = dict(zip(columns, values, strict=True))
            items += of_row(self.maker, f"{self.name}:{number}", record)
        return items, [end] if end < len(self.dataset) else None


class HubStream:
    """Records as they arrive; the place is the library's own state.

    The library can only go forward from a state, so the iterator is kept while the caller does, and
    made again from the state when the caller jumps.
    """

    def __init__(self, dataset: Any, name: str, maker: Maker) -> None:
        self.dataset = dataset
        self.name = name
        self.maker = maker
        # Beside the library's state: the number of the row, for people.
        self.start: list[Any] = [0, None]
        info = dataset.info
        self.identity = f"{info.dataset_name} {info.config_name} {info.version} {info.splits}"
        self._first = dataset.state_dict()
        self._rows: Iterator[Any] | None = None
        self._at: list[Any] | None = None

    def read(self, cursor: list[Any], count: int) -> tuple[list[Item], list[Any] | None]:
        """See `Table`."""
        if self._rows is None or cursor != self._at:
            self.dataset.load_state_dict(cursor[1] or self._first)
            self._rows = iter(self.dataset)
        items: list[Item] = []
        row = cursor[0]
        ended = False
        while row < cursor[0] + count:
            try:
                record = next(self._rows)
            except StopIteration:
                ended = True
                break
            except Exception as error:  # noqa: BLE001 - the network raises many kinds
                raise offline_error("the dataset", self.name, "data.dataset_name", error) from None
            row += 1
            items += of_row(self.maker, f"{self.name}:{row}", record)
        self._at = None if ended else [row, self.dataset.state_dict()]
        if ended:
            self._rows = None
        return items, self._at


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The library's progress bars belong to nobody here: stdout and stderr are ours."""
    import datasets

    was_on = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if was_on:
            datasets.enable_progress_bars()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
