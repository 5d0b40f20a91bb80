"""What operators tell warn (warn.commands), and what warn tells of it (carbon.warnings, type
carbonstream.operation.v1).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from carbonstream.schemas.frames import Shape

# One command and its 200 answers are one transaction of some 10 ms; a page of the board shows as many.
MOST_TARGETS: Final = 200
# Of RFC 5545 3.3.10 what a maintenance calendar needs, and nothing that could match no day at all: a rule without
# occurrences would be searched for until the year 9999.
RECURRENCE: Final = re.compile(
    r"FREQ=(DAILY"
    r"|WEEKLY(;BYDAY=(MO|TU|WE|TH|FR|SA|SU)(,(MO|TU|WE|TH|FR|SA|SU))*)?"
    r"|MONTHLY(;BYDAY=([1-4]|-[1-4])(MO|TU|WE|TH|FR|SA|SU)|;BYMONTHDAY=([1-9]|1\d|2[0-8]|-[1-9]|-1\d|-2[0-8]))?)"
    r"(;INTERVAL=[1-9]\d?)?(;COUNT=[1-9]\d{0,2}|;UNTIL=(?P<until>2\d{7}T\d{6}Z))?"
)
WINDOW_LONGEST: Final = timedelta(days=92)  # a quarter: an overhaul; what lasts longer is out of service
SUPPRESSING: Final = ("suppress", "resume")
OF_ENTERPRISE: Final = ("receipt", "cause", "measure", "dispute", "closure")  # said in an enterprise's name
ANSWERING: Final = (*OF_ENTERPRISE, "uphold", "dismiss")

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Person = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]
Name = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]
Why = Annotated[str, Field(max_length=1_000, pattern=r"^[^\x00]*$")]


def _holds_nul(given: Any) -> bool:
    """Whether any text of a JSON value holds NUL."""
    if isinstance(given, str):
        return "\0" in given
    if isinstance(given, dict):
        return any(_holds_nul(each) for pair in given.items() for each in pair)
    return isinstance(given, list | tuple) and any(_holds_nul(each) for each in given)


class Calendar(Shape):
    """What is suppressed by design, and when. Without `start` always: suppression by rule."""

    entities: Annotated[
        tuple[Name, ...], Field(max_length=200, description="ids, or beginnings ending in *; empty: all")
    ] = ()
    rules: Annotated[tuple[Name, ...], Field(max_length=50, description="rules of warnings; empty: all")] = ()
    start: Annotated[AwareDatetime | None, Field(examples=["2026-11-07T22:00:00+08:00"])] = None
    end: Annotated[AwareDatetime | None, Field(description="of the first window; later ones are as long")] = (
        None
    )
    recurrence: Annotated[
        str | None,
        Field(
            description="RRULE: FREQ=DAILY, WEEKLY (BYDAY), MONTHLY (BYDAY such as 2SU, or BYMONTHDAY), "
            "INTERVAL, COUNT or UNTIL; local days",
            examples=["FREQ=WEEKLY;BYDAY=SA,SU"],
        ),
    ] = None

    @field_validator("recurrence")
    @classmethod
    def _is_understood(cls, text: str | None) -> str | None:
        found = None if text is None else RECURRENCE.fullmatch(text)
        if text is not None and found is None:
            raise ValueError(
                f"{text!r} is not one of FREQ=DAILY, FREQ=WEEKLY;BYDAY=SA,SU, FREQ=MONTHLY;BYDAY=2SU or "
                "FREQ=MONTHLY;BYMONTHDAY=1, then ;INTERVAL=n, then ;COUNT=n or ;UNTIL=20261231T000000Z"
            )
        if found is not None and (until := found["until"]) is not None:
            try:
                datetime.strptime(until, "%Y%m%dT%H%M%S%z")
            except ValueError:
                raise ValueError(f"UNTIL={until} is no date and time: correct it") from None
        return text

    @model_validator(mode="after")
    def _is_a_calendar(self) -> Self:
        if not self.entities and not self.rules:
            raise ValueError("entities, rules: name at least one; not everything at once can be suppressed")
        if any("*" in entity[:-1] or entity == "*" for entity in self.entities):
            raise ValueError("entities: * may only be the last character, behind others")
        if (self.start is None) != (self.end is None):
            raise ValueError("start, end: give both, or neither for a suppression without a date")
        if self.start is None or self.end is None:
            if self.recurrence is not None:
                raise ValueError("recurrence: give the start and end of the first window too")
            return self
        if not 2000 <= self.start.year < 2100 or not self.start < self.end <= self.start + WINDOW_LONGEST:
            raise ValueError("end: must be after start, and 92 days after it at most")
        return self


class Disputed(Shape):
    """What an enterprise says is wrong."""

    of: Annotated[Literal["meter", "multiplier"], Field(description="its readings, or CT x PT")]
    meter: Annotated[Name, Field(examples=["330502-0001/E01"])]


class Command(Shape):
    """A command of an operator or an enterprise's answer, one record of warn.commands.

    A second copy, known by its id, does nothing.
    """

    id: Id
    at: Annotated[AwareDatetime, Field(description="when it was given")]
    by: Person
    kind: Literal[
        "acknowledge",
        "claim",
        "unclaim",
        "shelve",
        "unshelve",
        "out-of-service",
        "return-to-service",
        "suppress",
        "resume",
        "receipt",
        "cause",
        "measure",
        "dispute",
        "closure",
        "uphold",
        "dismiss",
    ]
    why: Why = ""
    warnings: Annotated[tuple[Name, ...], Field(max_length=MOST_TARGETS, description="ids of warnings")] = ()
    versions: Annotated[
        dict[Name, int],
        Field(
            default_factory=dict,
            max_length=MOST_TARGETS,
            description="version of each warning that was seen; one raised again since is refused",
        ),
    ]
    until: Annotated[AwareDatetime | None, Field(description="shelve: its expiry, at most 7 days away")] = (
        None
    )
    remind_at: Annotated[AwareDatetime | None, Field(description="shelve: reminds before it expires")] = None
    calendar: Annotated[
        Calendar | None, Field(description="suppress: what and when; the command's id is the suppression's")
    ] = None
    suppression: Annotated[Id | None, Field(description="resume: the suppression that ends")] = None
    enterprise: Annotated[
        Name | None,
        Field(description="whose answer it is; of its own warnings only", examples=["enterprise:ENT-1"]),
    ] = None
    disputed: Annotated[Disputed | None, Field(description="dispute: what is wrong")] = None

    @model_validator(mode="before")
    @classmethod
    def _can_be_stored(cls, given: Any) -> Any:
        for field, value in given.items() if isinstance(given, dict) else ():
            if _holds_nul(value):
                raise ValueError(f"{field}: holds the character NUL, which no database stores; leave it out")
        return given

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind in SUPPRESSING:
            if self.warnings or self.versions:
                raise ValueError(f"warnings: {self.kind} concerns a calendar, not single warnings")
        elif not self.warnings:
            raise ValueError(f"warnings: name 1 to {MOST_TARGETS}")
        if len(set(self.warnings)) != len(self.warnings):
            raise ValueError("warnings: one stands there twice")
        if strange := sorted(self.versions.keys() - set(self.warnings)):
            raise ValueError(f"versions: {strange[0]!r} is not among the warnings")
        for field, kinds in (
            ("until", ("shelve",)),
            ("calendar", ("suppress",)),
            ("suppression", ("resume",)),
            ("enterprise", OF_ENTERPRISE),
            ("disputed", ("dispute",)),
        ):
            if (getattr(self, field) is not None) != (self.kind in kinds):
                raise ValueError(f"{field}: belongs to {', '.join(kinds)}, and is needed there")
        if self.remind_at is not None and (self.until is None or self.remind_at >= self.until):
            raise ValueError("remind_at: only a shelf reminds, before it expires")
        if self.kind in ("shelve", "out-of-service", "suppress") and not self.why.strip():
            raise ValueError(f"why: {self.kind} needs a reason, it hides warnings from others")
        if self.kind in ("cause", "measure", "dispute", "uphold", "dismiss") and not self.why.strip():
            raise ValueError(f"why: {self.kind} says nothing without a text")
        return self


class Operation(Shape):
    """One change of how a warning stands with the operators; (warning, change) is its identity."""

    operation: Annotated[
        str, Field(description="the command's kind; raised, cleared, shelf-expired, reminded, ...")
    ]
    warning: str
    change: Annotated[int, Field(description="1, 2, 3 ... of this warning")]
    version: Annotated[int, Field(description="of the warning, as it stood then")]
    entity: str
    from_state: str
    to_state: str
    annunciates: Annotated[
        bool, Field(description="became active and unacknowledged: an operator is to answer")
    ]
    at: Annotated[str, Field(description="clock of warn, local")]
    by: Annotated[str | None, Field(description="who; null: warn itself")]
    why: str
    command: str | None
    until: str | None
