"""Recognises what Project Gutenberg puts around a book: header, licence, credits, transcribers' notes.

Three generations of markers are known: ``*END*THE SMALL PRINT`` (to about 2003), ``*** START OF THIS PROJECT
GUTENBERG EBOOK`` (to about 2010) and ``*** START OF THE PROJECT GUTENBERG EBOOK`` (since). Nothing is removed
here; spans are named, and the reader keeps them as skipped.
"""

import re
from dataclasses import dataclass

from orpheus_batch.data import SkippedSpan
from orpheus_batch.text.blocks import Block, iter_blocks

HEADER_WINDOW = 60_000
"""characters from the top in which a header must end; small-print headers are about 13,000 long"""

_NAME = r"(?:PROJECT\s+GUTENBERG|GUTENBERG)"
_START = re.compile(
    rf"^[ \t]*\*{{2,3}}[ \t]*START\s+OF\s+(?:THIS|THE)\s+{_NAME}"
    r"[^\n*]*(?:\n[^\n*]+){0,3}(?:\*{2,3})?[^\n]*\n?"
    r"|^[^\n]{0,40}\*END[ \t]?\*?[ \t]*THE SMALL PRINT[^\n]*\n(?:[^\n]*\*END\*?[^\n]*\n)?",
    re.IGNORECASE | re.MULTILINE,
)
_END = re.compile(
    rf"^[ \t]*\*{{2,3}}[ \t]*END\s+OF\s+(?:THIS|THE)\s+{_NAME}"
    rf"|^[ \t]*(?:\*{{3}}[ \t]*)?End\s+of\s+(?:(?:this|the)\s+)?{_NAME}(?:'s|’s)?"
    rf"|^[ \t]*(?:\*{{3}}[ \t]*)?START:?\s+FULL\s+LICENSE",
    re.IGNORECASE | re.MULTILINE,
)
_FIELD = re.compile(
    r"^(Title|Author|Language|Character set encoding):[ \t]*(\S[^\n]*(?:\n[ \t]+\S[^\n]*)*)$", re.MULTILINE
)
_FIRST_LINE = re.compile(
    rf"^\ufeff?[ \t]*(?:\*+[ \t]*)?(?:The )?{_NAME}(?:'s|’s)?(?: (?:E-?Book|E-?text) of|,? )\s*"
    r"([^\n]{1,200}?)(?:,? by ([^\n]{1,100}?))?\**[ \t]{0,80}$",
    re.IGNORECASE | re.MULTILINE,
)
_CREDITS = re.compile(
    r"(?:_?\[?(?:This (?:e-?text|e-?book|file|edition|html)|e-?text|e-?book|html version|text file|digitized)"
    r"\b[^\n]{0,80}\b(?:prepared|produced|created|scanned|transcribed|typed|converted|proofread|was)\b"
    r"|(?:Produced|Prepared|Transcribed|Scanned|Proofed|Proofread|Digitized|Created|Credits?)"
    r"(?::| by| and| from)\b|Distributed Proofread|Updated editions will|Credits:|This eBook was produced"
    r"|(?:Produced|Prepared|Transcribed|Scanned) by)",
    re.IGNORECASE,
)
_TRANSCRIBER = re.compile(
    r"[\[{(_*\s]*(?:transcriber(?:'s|’s|s'|s’)?|transcription|e-?text|editor's e-?text)\s+notes?\b",
    re.IGNORECASE,
)
_LANGUAGES = {
    "english": "en",
    "french": "fr",
    "german": "de",
    "spanish": "es",
    "italian": "it",
    "portuguese": "pt",
    "dutch": "nl",
    "chinese": "zh",
    "korean": "ko",
    "hindi": "hi",
    "japanese": "ja",
    "russian": "ru",
    "finnish": "fi",
    "swedish": "sv",
    "danish": "da",
    "norwegian": "no",
    "polish": "pl",
    "latin": "la",
    "greek": "el",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """What lies around the book's own text, and what the header says."""

    start: int
    """first character of the book's own text"""
    end: int
    """one past its last character"""
    skipped: tuple[SkippedSpan, ...]
    """the rest, tiling [0, start) and [end, length)"""
    title: str = ""
    author: str = ""
    language: str = ""


def find_frame(source: str) -> Frame:
    r"""Find Project Gutenberg's header and footer.

    Args:
        source: The whole file, line ends as ``\n``.

    Returns:
        The frame; for any other text the whole is the book's own.
    """
    start = 0
    title = author = language = ""
    skipped = []
    head = source[:HEADER_WINDOW]
    markers = list(_START.finditer(head))
    first_line = _FIRST_LINE.match(head.lstrip("\n \t"))
    if markers:
        start = markers[-1].end()
    elif first_line:
        start = _end_of_bare_header(source)
    if start:
        header = source[:start]
        fields = {name: " ".join(value.split()) for name, value in reversed(_FIELD.findall(header))}
        title, author = fields.get("Title", ""), fields.get("Author", "")
        if first_line and not title:
            title, author = first_line[1].strip(), author or (first_line[2] or "").strip()
        language = _LANGUAGES.get(fields.get("Language", "").split(",")[0].strip().lower(), "")
        skipped.append(SkippedSpan(0, start, "Project Gutenberg header"))
    end = len(source)
    if start or _END.search(source, max(0, len(source) - HEADER_WINDOW)):
        footer = _END.search(source, start)
        if footer:
            end = footer.start()
    body_start = start
    if start or end < len(source):
        for block in iter_blocks(source, start, end):
            reason = production_note(block)
            if not reason:
                break
            next_start = _skip_blank(source, block.end, end)
            skipped.append(SkippedSpan(body_start, next_start, reason))
            body_start = next_start
    if end < len(source):
        skipped.append(SkippedSpan(end, len(source), "Project Gutenberg licence"))
    return Frame(body_start, end, tuple(skipped), title, author, language)


def production_note(block: Block) -> str:
    """Return why a block at the top or end of an e-text is not the book's own; empty if it may be."""
    text = block.text
    if _TRANSCRIBER.match(text):
        return "transcriber's note"
    if len(text) < 1_200 and _CREDITS.match(text):
        return "production credits"
    return ""


def declared_encoding(head: str) -> str:
    """Return the character set that a header names, or an empty string."""
    for name, value in _FIELD.findall(head):
        if name == "Character set encoding":
            return value.strip()
    return ""


def _end_of_bare_header(source: str) -> int:
    """Return where a header without a closing marker ends: after its last field or credit."""
    end = 0
    for number, block in enumerate(iter_blocks(source, 0, HEADER_WINDOW)):
        lines = block.text
        is_header = (
            number == 0
            or "Gutenberg" in lines
            or _FIELD.search("\n".join(line.text for line in block.lines))
            or re.match(r"(?:Release Date|Posting Date|Edition|Character set)", lines)
        )
        if not is_header:
            break
        end = _skip_blank(source, block.end, len(source))
    return end


def _skip_blank(source: str, position: int, end: int) -> int:
    while position < end and source[position].isspace():
        position += 1
    return position
