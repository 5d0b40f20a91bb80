"""A CSV file as rows that know their line, and the errors found in them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from carbonstream.schemas.errors import LoadRefused

T = TypeVar("T")


@dataclass(slots=True)
class Refusals:
    """Every error of a load.

    `unsound` names the entities whose own row is refused: what refers to them is no error of its own.
    """

    errors: list[str] = field(default_factory=list)
    unsound: set[str] = field(default_factory=set)

    def add(self, file: str, line: int, column: str, value: str, remedy: str) -> None:
        """One error: where, which field, its value, what to do."""
        self.errors.append(f"{file}:{line}: {column}: {value!r}: {remedy}")

    def raise_if_any(self) -> None:
        """Raises LoadRefused with all of them."""
        if self.errors:
            raise LoadRefused(self.errors)


@dataclass(slots=True)
class Row:
    """One line of a file. It is `sound` until one of its fields is refused."""

    file: str
    line: int
    values: dict[str, str]
    refusals: Refusals
    sound: bool = True

    def take(self, column: str, parse: Callable[[str], T]) -> T:
        """The field's value; `parse` raises ValueError with the remedy. An empty field is refused."""
        text = self.values[column]
        try:
            if not text:
                raise ValueError("is empty: give a value")
            return parse(text)
        except ValueError as error:
            self.refuse(column, str(error))
            return cast(T, None)  # the row is unsound: nobody reads its values

    def take_optional(self, column: str, parse: Callable[[str], T]) -> T | None:
        """The same, None where the field is empty."""
        return self.take(column, parse) if self.values[column] else None

    def refuse(self, column: str, remedy: str) -> None:
        """Note an error of this row."""
        self.sound = False
        self.refusals.add(self.file, self.line, column, self.values.get(column, ""), remedy)


def read_rows(
    path: Path,
    columns: tuple[str, ...],
    refusals: Refusals,
    *,
    either: tuple[str, ...] = (),
    optional: tuple[str, ...] = (),
) -> Iterator[Row]:
    """Rows of a UTF-8 CSV file, with or without a byte order mark.

    The header names `columns` in any order, at least one of `either` where given, any of `optional`. Fields
    are stripped, empty lines passed over. Errors of the file itself are noted and end it.
    """
    name = path.name
    text = _text(path, refusals)
    if text is None:
        return
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [column.strip() for column in next(lines, [])]
        chosen = [column for column in either if column in header]
        known = [column for column in optional if column in header]
        if sorted(header) != sorted((*columns, *chosen, *known)) or (either and not chosen):
            wanted = ",".join(columns) + (f" and {' or '.join(either)}" if either else "")
            wanted += f"; may have {','.join(optional)}" if optional else ""
            refusals.add(name, 1, "header", ",".join(header), f"must be {wanted}")
            return
        for fields in lines:
            if not any(field.strip() for field in fields):
                continue
            if len(fields) != len(header):
                remedy = (
                    f"has {len(fields)} fields, the header {len(header)}: quote a field that holds a comma"
                )
                refusals.add(name, lines.line_num, "line", ",".join(fields), remedy)
                continue
            values = dict.fromkeys((*either, *optional), "")
            values |= {column: field.strip() for column, field in zip(header, fields, strict=True)}
            yield Row(name, lines.line_num, values, refusals)
    except csv.Error as error:
        refusals.add(
            name, lines.line_num, "line", "", f"is not CSV after RFC 4180 ({error}): quote it as such"
        )


def _text(path: Path, refusals: Refusals) -> str | None:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        refusals.add(
            path.name, 0, "file", str(path), f"cannot be read ({error.strerror}): name an existing file"
        )
        return None
    except UnicodeDecodeError as error:
        refusals.add(path.name, 0, "file", str(path), f"is not UTF-8 (byte {error.start}): save it as UTF-8")
        return None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        refusals.add(path.name, line, "line", "\0", "holds a zero byte: save it as plain UTF-8 text")
        return None
    return text


def unique(rows: dict[str, Row], row: Row, column: str, key: str) -> bool:
    """Whether `key` is new in the file; else the row is refused, naming the line that has it."""
    first = rows.setdefault(key, row)
    if first is not row:
        row.refuse(column, f"stands in line {first.line} already: keep one of them")
    return first is row
