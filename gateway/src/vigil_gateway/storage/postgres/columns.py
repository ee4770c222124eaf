"""The one mapping between a row's dataclass and the columns of its table: same names, and the field's type decides.

A pydantic model or a dict is stored as jsonb, an enum as text, all else as the driver has it. So a new column needs a
field in `rows`, and nothing here.
"""

import dataclasses
import enum
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar, cast

from pydantic import BaseModel

RowT = TypeVar("RowT")

NO_COLUMN: Final[Mapping[str, bool]] = {"column": False}
"""Metadata of a field that is no column: `field(default=None, metadata=NO_COLUMN)`."""

Convert = Callable[[Any], Any]


@dataclasses.dataclass(frozen=True, slots=True)
class _Column:
    name: str
    is_json: bool
    read: Convert | None
    write: Convert | None


class Columns(Generic[RowT]):
    """The columns of one kind of row.

    Parameters
    ----------
    kind
        A dataclass; each of its fields is a column, unless it has the metadata `NO_COLUMN`.
    computed
        SQL by the name of each field that is no column of its own; such a field is read and never written.
    """

    def __init__(self, kind: type[RowT], computed: Mapping[str, str] | None = None) -> None:
        self._kind = kind
        self._computed = dict(computed or {})
        hints = typing.get_type_hints(kind)
        fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(cast("Any", kind))
        names = [field.name for field in fields if field.metadata.get("column", True)]
        self._columns = [_column(name, hints[name]) for name in names]
        self._written = [column for column in self._columns if column.name not in self._computed]
        self.names = tuple(column.name for column in self._written)
        self.select = ", ".join(self._selected(column) for column in self._columns)
        """For SELECT and RETURNING."""

    def _selected(self, column: _Column) -> str:
        source = self._computed.get(column.name, column.name)
        if column.is_json:
            return f"({source})::text AS {column.name}"
        return column.name if source == column.name else f"{source} AS {column.name}"

    def read(self, record: Any) -> RowT:  # noqa: ANN401 - asyncpg has no types
        """Return the row in a record of the driver."""
        return self._kind(**{column.name: _converted(column.read, record[column.name]) for column in self._columns})

    def read_all(self, records: Sequence[Any]) -> list[RowT]:
        """Return the rows in records of the driver."""
        return [self.read(record) for record in records]

    def values(self, row: RowT) -> tuple[Any, ...]:
        """Return a row's values in the order of `names`."""
        return tuple(_converted(column.write, getattr(row, column.name)) for column in self._written)

    def insert(self, table: str) -> str:
        """Return the statement that inserts a row, with `values` as its parameters."""
        parameters = ", ".join(f"${n}{'::jsonb' if one.is_json else ''}" for n, one in enumerate(self._written, 1))
        return f"INSERT INTO {table} ({', '.join(self.names)}) VALUES ({parameters})"

    def upsert(
        self, table: str, key: Sequence[str], *, keep: Sequence[str] = (), where: str = "", also: Sequence[str] = ()
    ) -> str:
        """Return the statement that inserts a row, or replaces the one of the same key.

        Parameters
        ----------
        keep
            Columns that an existing row keeps.
        where
            Condition under which an existing row is replaced.
        also
            Further assignments for an existing row.
        """
        changes = [f"{name} = EXCLUDED.{name}" for name in self.names if name not in {*key, *keep}]
        update = f"UPDATE SET {', '.join([*changes, *also])}" + (f" WHERE {where}" if where else "")
        return f"{self.insert(table)} ON CONFLICT ({', '.join(key)}) DO {update}"


def _converted(convert: Convert | None, value: Any) -> Any:  # noqa: ANN401 - whatever type the column has
    return value if value is None or convert is None else convert(value)


def _column(name: str, hint: Any) -> _Column:  # noqa: ANN401 - any annotation
    kind = _plain_type(hint)
    if kind is dict:
        return _Column(name, is_json=True, read=json.loads, write=json.dumps)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _Column(name, is_json=True, read=_loader(kind), write=_dump)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _Column(name, is_json=False, read=kind, write=str)
    return _Column(name, is_json=False, read=None, write=None)


def _plain_type(hint: Any) -> Any:  # noqa: ANN401 - any annotation
    """Return the type behind `X | None`, and `dict` for `dict[str, X]`."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    return typing.get_origin(hint) or hint


def _loader(kind: type[BaseModel]) -> Convert:
    def load(text: str) -> BaseModel | None:
        return None if text == "null" else kind.model_validate_json(text)

    return load


def _dump(model: BaseModel) -> str:
    return model.model_dump_json(by_alias=True, exclude_none=True)
