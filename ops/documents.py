"""Files made from the code: JSON Schemas and docs/settings.md. Run `python -m carbonstream.ops.documents`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from carbonstream.schemas import notices, operator, warnings
from carbonstream.schemas.emissions import EmissionsFrame, RejectsFrame
from carbonstream.schemas.frames import ReadingsFrame, Tick
from carbonstream.schemas.reference_records import (
    ActivityRecord,
    CheckParametersRecord,
    CheckRuleRecord,
    ClassRecord,
    CoefficientRecord,
    MeterRecord,
    SiteRecord,
    TargetRecord,
)
from carbonstream.schemas.settings import Settings
from carbonstream.schemas.totals import Restated, TickSignal, Total
from carbonstream.schemas.warning_rules import WarningRuleRecord

SHAPES: Final[dict[str, type[BaseModel]]] = {
    "readings-frame": ReadingsFrame,
    "tick": Tick,
    "emissions-frame": EmissionsFrame,
    "rejects-frame": RejectsFrame,
    "total": Total,
    "restated": Restated,
    "tick-signal": TickSignal,
    "warning": warnings.Warning,
    "command": operator.Command,
    "operation": operator.Operation,
    "subscription": notices.Subscription,
    "class": ClassRecord,
    "site": SiteRecord,
    "meter": MeterRecord,
    "coefficient": CoefficientRecord,
    "target": TargetRecord,
    "activity": ActivityRecord,
    "check-rule": CheckRuleRecord,
    "check-parameters": CheckParametersRecord,
    "warning-rule": WarningRuleRecord,
}


def json_schemas() -> dict[str, str]:
    """File name -> content for schemas/json."""
    return {f"{name}.json": _pretty(shape.model_json_schema(by_alias=True)) for name, shape in SHAPES.items()}


def settings_page() -> str:
    """docs/settings.md."""
    lines = [
        "# Settings",
        "",
        "Environment variables, or lines of a file `.env` in the folder a command is started in.",
        "Where neither names servers, a command speaks to those that `make demo` or `carbonstream local up` started in",
        "that folder, with their state and tokens.",
        "",
        "| variable | default | meaning |",
        "| --- | --- | --- |",
    ]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = "" if default in ("", {}) else f"`{default}`"
        lines.append(f"| `CARBONSTREAM_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join([*lines, ""])


def _pretty(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> None:
    """Write them all, from the folder of the repository."""
    folder = Path("schemas/json")
    folder.mkdir(exist_ok=True)
    for name, content in json_schemas().items():
        (folder / name).write_text(content, encoding="utf-8")
    Path("docs/settings.md").write_text(settings_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
