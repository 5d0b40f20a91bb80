"""Enterprises and parks, which come with the rows of their sites."""

from __future__ import annotations

from carbonstream.ops.load import fields
from carbonstream.ops.load.entities import Entity
from carbonstream.ops.load.outbox import Rows
from carbonstream.ops.load.rows import Row


class Owners:
    """The enterprises and parks known to the database, and those named by the rows taken so far."""

    def __init__(self, cursor: Rows) -> None:
        cursor.execute("select id from entity where kind in ('enterprise', 'park')")
        self._known: set[str] = {id_ for (id_,) in cursor}
        self._named: dict[str, tuple[Entity, int]] = {}

    def take(self, row: Row, kind: str) -> str:
        """The entity id in column `kind` (enterprise or park).

        Its names stand in its first row at least; later rows may leave them out.
        """
        name = row.take(kind, fields.identifier)
        id_, columns = f"{kind}:{name}", (f"{kind}_zh", f"{kind}_en")
        given = [row.values[column] for column in columns]
        if not any(given) and (id_ in self._known or id_ in self._named):
            return id_
        names = [row.take(column, fields.name) for column in columns]
        if all(given):
            entity = Entity(id_, *names)
            earlier, line = self._named.setdefault(id_, (entity, row.line))
            if earlier != entity:
                row.refuse(
                    columns[0],
                    f"line {line} calls {id_} {earlier.name_zh} / {earlier.name_en}: use one name",
                )
        return id_

    def entities(self) -> list[Entity]:
        """Those named by the rows."""
        return [entity for entity, _ in self._named.values()]
