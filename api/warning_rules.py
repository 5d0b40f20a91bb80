"""GET /v1/warning-rules: what is warned of, who has to act on it, how and how soon."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from carbonstream.api.parameters import Here, Parameters, Text
from carbonstream.api.problems import RESPONSES, Problem
from carbonstream.connectors.warning_rules import STORED, StoredRule, rule_book
from carbonstream.processors.warning_rules import Definition
from carbonstream.schemas.warning_rules import RuleKind

router = APIRouter(tags=["warnings"], responses=RESPONSES)


class WarningRulesQuery(Parameters):
    """Which rules."""

    kind: RuleKind | None = None
    rule: Text | None = Field(None, description="every version of one rule", examples=["plan-to-date"])


class WarningRule(BaseModel):
    """One version of a warning rule."""

    rule: str = Field(examples=["plan-to-date"])
    version: int
    kind: str
    scope: str = Field(description="an entity's id, or a beginning that ends in *")
    parameters: dict[str, str] = Field(description="exact decimals; docs/warnings.md says what each means")
    class_: str = Field(alias="class", description="alarm, alert or notice")
    priority: str = Field(description="high, medium or low")
    owner: str
    cause: str
    consequence: str
    action: str = Field(description="what the operator or enterprise does")
    respond_s: int = Field(description="seconds to respond")
    state: str = Field(description="on or off")
    valid_from: str


class WarningRules(BaseModel):
    """By rule, oldest version first."""

    rules: list[WarningRule]


@router.get("/warning-rules", response_model=WarningRules)
async def warning_rules(query: Annotated[WarningRulesQuery, Query()], here: Here) -> dict[str, Any]:
    """The version of each rule in force now, or every version of one."""
    book = rule_book(await here.database.rows(StoredRule, STORED, {}))
    chosen: list[Definition]
    if query.rule is not None:
        chosen = [d for d in book if d.rule == query.rule]
        if not chosen:
            raise Problem(404, f"no warning rule {query.rule!r}", remedy="GET /v1/warning-rules lists them")
    else:
        now = here.now_ms()
        chosen = [d for kind in RuleKind for d in book.in_force(kind, now)]
    shown = [d for d in chosen if query.kind in (None, d.kind)]
    return {"rules": [d.document() for d in sorted(shown, key=lambda d: (d.rule, d.version))]}
