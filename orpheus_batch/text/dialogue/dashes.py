"""Finds speech in paragraphs that a dash opens, as in Joyce, in French and in Spanish.

Nothing closes it but the paragraph's end or the narrator's words: "— Not I, said the Hatter." What follows a
sentence of the narrator's is his, for nothing says otherwise; after a dash it is speech again.
"""

import re

from orpheus_batch.text.dialogue.mentions import mention_after
from orpheus_batch.text.dialogue.quotation import Quotation

MAX_EVIDENCE_CHARS = 200

_SPOT = re.compile(r"(?<=[,!?…])\s+(?=\w)|\s*[—–―]\s*(?=\w)|\s--\s*(?=\w)")
_NARRATION_ENDS = re.compile(r"(?P<sentence>[.!?…](?=\s|$))|(?P<dash>[,.]?\s*(?:[—–―]|--)[,.;:]?\s*)")


def dashed_speech(text: str, begin: int) -> list[Quotation]:
    """Part a paragraph that begins with a dash.

    Args:
        text: The paragraph.
        begin: Where its first word stands, after the dash.
    """
    found: list[Quotation] = []
    start, position = 0, begin
    while True:
        spot = _SPOT.search(text, position)
        if spot is None:
            return [*found, Quotation(start, len(text))]
        position = spot.end()
        mention = mention_after(text[position : position + MAX_EVIDENCE_CHARS], ended=False)
        if mention is None or mention.text == "I" or not text.startswith(mention.evidence, position):
            continue
        found.append(Quotation(start, spot.start()))
        ending = _NARRATION_ENDS.search(text, position + len(mention.evidence))
        if ending is None or ending["sentence"] is not None:
            return found
        start = position = ending.end()
        if start >= len(text):
            return found
