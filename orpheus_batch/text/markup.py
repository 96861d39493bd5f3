"""Takes a paragraph's wraps and marks off, and remembers where each character came from.

Underscore and asterisk emphasis, Markdown links, images and code ticks, footnote markers, page numbers and
invisible characters disappear; wrapped lines are joined. The words themselves stay as the book has them.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass

_SPECIAL = re.compile(
    r"(?P<wrap>(?<=\w[-—–])[^\S\n]*\n\s*(?=\w)|(?<=--)[^\S\n]*\n\s*(?=\w))"  # "rabbit-⏎hole", "the sea--⏎and"
    r"|(?P<space>\s*\n\s*|[^\S ]\s*| {2,})"
    r"|(?<![^\W_])_(?P<half>[^\W_]+)_(?=[^\W_])"  # _Un_important
    r"|(?<=\d)_(?P<ordinal>st|nd|rd|d|th)_"  # 1_st_
    r"|(?P<drop>"
    r"!\[[^\]\[\n]{0,300}\]\([^)\s]{0,2000}\)"  # image
    r"|\[(?:\d{1,4}|[A-Z*†‡]|Footnote \w{1,4}|[Pp]g?\.? ?\d{1,4}|Page \d{1,4})\]"  # footnote, page
    r"|\{(?:\d{1,4}|[ivxlc]{1,7}|[Pp]g?\.? ?\d{1,4})\}"
    r"|(?<![^\W_])_+|_+(?![^\W_])"  # _emphasis_
    r"|(?<![\w*])\*{1,3}(?=[^\s*])|(?<=[^\s*])\*{1,3}(?![\w*])"  # *emphasis*
    r"|`+|~~+|[†‡]"
    r"|\ufff9[^\ufff9\ufffb]{0,300}\ufffb"  # set apart by the reader of a marked-up book
    r"|</?(?:i|b|u|em|strong|small|sup|sub|span|p|br|cite|q)\b[^<>\n]{0,100}>"
    r"|[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffc]+"
    r")"
    r"|\[Greek: *(?P<greek>[^\]\[]{1,300})\]"
    r"|\[(?P<link>[^\]\[\n]{1,300})\]\([^)\s]{1,2000}\)"
)
APART = {0xFFF9: None, 0xFFFB: None}
"""translates away the marks around what a marked-up book sets apart, its words left"""


@dataclass(frozen=True, slots=True)
class CleanText:
    """A paragraph on one line, and the way back to the source."""

    text: str
    clean_starts: tuple[int, ...]
    """where a stretch of ``text`` begins that was copied unchanged"""
    source_starts: tuple[int, ...]
    """where that stretch begins in the source"""

    def source_offset(self, position: int) -> int:
        """Return the source offset of the character at ``position`` of ``text``."""
        index = bisect_right(self.clean_starts, position) - 1
        return self.source_starts[index] + position - self.clean_starts[index]


def clean(source: str, start: int, end: int, line_end: str = " ") -> CleanText:
    """Return ``source[start:end]`` on one line without markup.

    Args:
        source: Any text.
        start: First character.
        end: One past the last.
        line_end: What a line end becomes where the line has no punctuation: a space for prose, ", " for verse.
    """
    pieces: list[str] = []
    clean_starts, source_starts = [0], [start]
    length = 0
    position = start

    def emit(piece: str, origin: int) -> None:
        nonlocal length
        if piece[:1] == " " and pieces and pieces[-1][-1] == " ":
            piece, origin = piece[1:], origin + 1
        if not piece:
            return
        if clean_starts[-1] + origin - source_starts[-1] != length:
            clean_starts.append(length)
            source_starts.append(origin)
        pieces.append(piece)
        length += len(piece)

    for match in _SPECIAL.finditer(source, start, end):
        emit(source[position : match.start()], position)
        position = match.end()
        if match["space"] is not None:
            last = next((piece for piece in reversed(pieces) if piece.strip()), " ").rstrip()[-1:]
            joint = line_end if "\n" in match["space"] and last.isalnum() else " "
            if pieces:
                emit(joint, match.start())
        elif match["link"] is not None:
            emit(match["link"], match.start("link"))
        elif match["half"] is not None:
            emit(match["half"], match.start("half"))
        elif match["ordinal"] is not None:
            emit(match["ordinal"], match.start("ordinal"))
        elif match["greek"] is not None:
            emit(match["greek"], match.start("greek"))
        elif match["wrap"] is None and match["drop"] is not None and match["drop"].startswith("<br"):
            emit(" ", match.start())
    emit(source[position:end], position)
    return CleanText("".join(pieces), tuple(clean_starts), tuple(source_starts))
