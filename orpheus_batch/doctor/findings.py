"""What was found: one row each, made to be pasted into a report."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Status(str, Enum):
    """How a finding is to be taken."""

    OK = "ok"
    NOTE = "note"
    """not there, or not as good as it could be; a render works all the same"""
    WRONG = "WRONG"
    """a render does not work, or not as it should"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One row."""

    subject: str
    """in a word or two"""
    status: Status
    value: str
    """what was found"""
    remedy: str = ""
    """what to do, where something is to be done"""


def as_table(findings: Iterable[Finding]) -> str:
    """Return a Markdown table that is also readable as it is, then what to do, if anything."""
    found = list(findings)
    rows = [("what", "", "found"), *((f.subject, f.status.value, _one_line(f.value)) for f in found)]
    subject, status = (max(len(row[i]) for row in rows) for i in (0, 1))
    lines = [f"| {row[0]:{subject}} | {row[1]:{status}} | {row[2]} |" for row in rows]
    lines.insert(1, f"|{'-' * (subject + 2)}|{'-' * (status + 2)}|---|")
    remedies = [
        f"{'' if f.status is Status.WRONG else 'optional: '}{f.subject}: {f.remedy}" for f in found if f.remedy
    ]
    return "\n".join(lines + (["", "What to do:", *(f"- {text}" for text in remedies)] if remedies else []))


def _one_line(text: str) -> str:
    return " ".join(text.replace("|", "/").split())
