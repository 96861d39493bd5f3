"""Marks that a text carries for the voice: pauses such as ``[pause 1.5s]``, and emotion tags such as ``<laugh>``.

A pause is heard as silence and never read. A tag that the voice has passes through; one that it lacks, or that
is misspelt, is taken out. Both are cut out of their sentence and keep their source span, with the reason, so the
proof of completeness still counts them. What a tag sounds like is the model's affair.
"""

import dataclasses
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from orpheus_batch.data import Boundary, Chapter, Sentence
from orpheus_batch.text.abbreviations import words
from orpheus_batch.text.cuts import cut_sentence
from orpheus_batch.text.normalize import EMOTION_TAGS

MAX_PAUSE_S = 10.0
"""longer, and a listener looks whether the player has stopped"""
PAUSE = "pause"
"""skip reason of a mark that is heard as silence"""
LONG_PAUSE = f"pause, shortened to {MAX_PAUSE_S:g} s"
EARLY_PAUSE = "pause before the first word of its chapter"
BAD_PAUSE = "pause that can't be read"
FOREIGN_TAG = "emotion tag that this voice does not have"
UNKNOWN_TAG = "unknown emotion tag"
REPORTED = frozenset({LONG_PAUSE, EARLY_PAUSE, BAD_PAUSE, FOREIGN_TAG, UNKNOWN_TAG})
"""reasons that `plan` lists one by one, for the author did not get what the mark asked for"""

_MARK = re.compile(
    r"\[\s*pause(?![\w'’-])(?P<length>[^\[\]<>\n]{0,40})\]"
    r"|\[\s*pause\s+(?P<open>-?\d[\d.,]{0,8}\s?(?:ms|s|sec|seconds?)?)(?![\w.,])"
    r"|<\s?(?P<close>/?)\s?(?P<tag>[A-Za-z][A-Za-z_-]{1,23})\s?/?>",
    re.IGNORECASE,
)
_LENGTH = re.compile(
    r"[\s:=]*(?P<number>\d{1,6}(?:[.,]\d{1,6})?|[.,]\d{1,6})\s*"
    r"(?:(?P<ms>ms|msecs?|milliseconds?)|s|secs?|seconds?)\.?\s*",
    re.IGNORECASE,
)
_FEELINGS = words(
    "afraid amazed amused angry annoyed anxious applause argh awe belch blush bored breath breathe breathes "
    "breathing breathy burp calm cheer cheerful clap clear-throat clear_throat clears-throat clears_throat "
    "confident confused contempt cries cry crying curious desperate determined disappointed disgust disgusted "
    "dramatic eager ecstatic embarrassed emotion emotional emphasis excited excitement exhale exhales fast fear "
    "fearful frightened frustrated frustration furious gentle giggle giggles giggling grin groggy growl grumble "
    "grunt grunts guffaw gulp happily happiness happy hesitant hiccup hiss hmm hum hums inhale inhales joy joyful "
    "laughter loud loudly lovingly mad mischievous moan moans mumble murmur mutter nervous neutral normal panic "
    "pant panting pants playful proud puke quiet quietly rage relaxed relief relieved sad sadly sadness sarcasm "
    "sarcastic scared scream screaming screams serious shocked shout shouting shouts shush shy silence singing "
    "sings sleepy slow slowly smile smiles smiling smirk sneeze sneezes snicker sniff sniffs snore snores snort "
    "snorts sob sobbing sobs soft softly sorrow stern stutter surprise surprised sympathetic tearful tense "
    "terrified throat tired tsk tut ugh uhm umm upset wail weary weep weeping weeps wheeze whimper whine whisper "
    "whispering whispers whistle worried wow yawning yell yelling yells"
)
"""what people ask a voice for in angle brackets; other words there (<type>, <url>, <Name>) are the book's own"""
_STEMS = re.compile(r"(?:s|es|ed|ing|ter|ingly)$")
_LEADING = re.compile(r"[,.;:!?…”’»)\]]+|[\"'](?=[\s,.;:!?]|$)")
_ENDS = re.compile(r"[.!?…][\"'”’»)\]]*$")


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark in a text that is not read."""

    start: int
    end: int
    """one past its last character"""
    reason: str
    pause_s: float | None = None
    """silence that it asks for, within `MAX_PAUSE_S`"""


def find_marks(text: str, tags: Sequence[str]) -> list[Mark]:
    """Find what is to be taken out of a text.

    Args:
        text: Any; on one line, for a sentence.
        tags: The voice's own; these are left where they are.

    Returns:
        Marks in order, without overlap.
    """
    if "[" not in text and "<" not in text:
        return []
    found = []
    for match in _MARK.finditer(text):
        if match["tag"] is not None:
            reason = _tag_reason(match, tags)
            if reason:
                found.append(Mark(match.start(), match.end(), reason))
            continue
        length = None if match["length"] is None else _LENGTH.fullmatch(match["length"])
        if length is None:
            found.append(Mark(match.start(), match.end(), BAD_PAUSE))
            continue
        seconds = float(length["number"].replace(",", ".")) / (1000 if length["ms"] else 1)
        reason = LONG_PAUSE if seconds > MAX_PAUSE_S else PAUSE
        found.append(Mark(match.start(), match.end(), reason, min(seconds, MAX_PAUSE_S)))
    return found


def cut_marks(chapter: Chapter, sentences: Sequence[Sentence], tags: Sequence[str]) -> list[Sentence]:
    """Cut marks out of sentences.

    Args:
        chapter: Where the sentences come from.
        sentences: They tile it.
        tags: The voice's own.

    Returns:
        Sentences that tile the chapter as before, numbered anew; marks are skipped ones, with their reason.
    """
    cut: list[Sentence] = []
    for sentence in sentences:
        marks = [] if sentence.skip_reason else find_marks(sentence.text, tags)
        cut += _cut_at_marks(chapter, sentence, marks) if marks else [sentence]
    if len(cut) == len(sentences):
        return list(sentences) if cut == list(sentences) else cut
    return [dataclasses.replace(sentence, index=index) for index, sentence in enumerate(cut)]


def advice(mark: str, tags: Sequence[str]) -> str:
    """Return what its author may do about a mark that was left out.

    Args:
        mark: As the book has it: ``<laughs>``, ``[pause long]``.
        tags: The voice's own.
    """
    match = _MARK.match(mark)
    if match is None or match["tag"] is None:
        if match is not None and match["length"] and _LENGTH.fullmatch(match["length"]):
            return "it takes the place of the pause after the words before it"
        bare = re.search(r"\d+(?:\.\d+)?", mark)
        fits = bare is not None and float(bare.group()) <= MAX_PAUSE_S
        return f"write [pause {bare.group()}s]" if bare and fits else "write [pause 1.5s] or [pause 800ms]"
    if not tags:
        return "the voice has no tags at all"
    near = nearest_tag(match["tag"], tags)
    return f"did you mean {near}?" if near else f"the voice has {' '.join(tags)}"


def nearest_tag(word: str, tags: Sequence[str]) -> str:
    """Return the tag that a misspelt one was meant to be, "" where none is near: laughing, chuckel."""
    names = {tag.strip("<>"): tag for tag in tags}
    folded = word.lower()
    for candidate in (folded, _STEMS.sub("", folded)):
        near = difflib.get_close_matches(candidate, names, n=1, cutoff=0.75)
        if near:
            return names[near[0]]
    return ""


def _tag_reason(match: re.Match[str], tags: Sequence[str]) -> str:
    """Return why a tag is taken out; "" if it stays: the voice's own, and words that ask for no feeling."""
    written, word = match.group(), match["tag"].lower()
    if written in tags:
        return ""
    if not match["close"] and f"<{word}>" in EMOTION_TAGS and f"<{word}>" not in tags:
        return FOREIGN_TAG
    return UNKNOWN_TAG if word in _FEELINGS or nearest_tag(word, EMOTION_TAGS) else ""


def _cut_at_marks(chapter: Chapter, sentence: Sentence, marks: Sequence[Mark]) -> list[Sentence]:
    """Cut one sentence at its marks; what is left of it keeps its words, its end and its span."""
    text = sentence.text
    begins = {mark.start: mark for mark in marks}
    places = list(begins)
    for mark in marks:
        after = mark.end
        while after < len(text) and text[after].isspace():
            after += 1
        places.append(after)
    pieces: list[Sentence] = []
    for part in cut_sentence(chapter, sentence, places):
        mark = begins.get(part.first)
        rest = text[part.first : part.last].strip()
        if mark is None:
            rest = _give_to_last(pieces, rest)
        reason = mark.reason if mark else "" if any(map(str.isalnum, rest)) else "no pronounceable characters"
        pieces.append(
            dataclasses.replace(
                sentence,
                text=rest,
                start=part.start,
                end=part.end,
                skip_reason=reason,
                pause_s=mark.pause_s if mark else None,
            )
        )
    spoken = [index for index, piece in enumerate(pieces) if not piece.skip_reason]
    for index, piece in enumerate(pieces[:-1]):
        if index in spoken[:-1]:
            boundary = Boundary.SENTENCE if _ENDS.search(piece.text) else Boundary.CLAUSE
        else:
            boundary = sentence.boundary if index in spoken else Boundary.CLAUSE
        pieces[index] = dataclasses.replace(piece, boundary=boundary)
    return pieces


def _give_to_last(pieces: list[Sentence], rest: str) -> str:
    """Let what stands before a mark keep the punctuation after it; return what is left: "Who [pause 1s]?" asks."""
    leading = _LEADING.match(rest)
    index = next((i for i in reversed(range(len(pieces))) if not pieces[i].skip_reason), None)
    if leading is None or index is None:
        return rest
    pieces[index] = dataclasses.replace(pieces[index], text=pieces[index].text + leading.group())
    return rest[leading.end() :].strip()
