"""A paragraph with speech, and what its own narration says of who speaks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from orpheus_batch.text.dialogue.mentions import (
    Mention,
    described_in,
    mention_after,
    mention_before,
    names_in,
    sentence_subject,
)
from orpheus_batch.text.dialogue.quotation import Quotation
from orpheus_batch.text.dialogue.roster import Roster, Speaker
from orpheus_batch.text.dialogue.speech_words import Gender

NO_SPEECH = "no speech: a word or a title in quotation marks"
NOT_CLEAR = "not clear: "
MAX_BEFORE_NAME = 16
"""characters of a sentence before the name of whom it is about: "Here the old " """
MAX_SCARE_WORDS = 4
"""of a quotation that is a word or a title rather than speech"""
MAX_MEMORY = 6
"""paragraphs back in which those are looked for who may be meant"""

_SENTENCE_GAP = re.compile(r"(?<=[.!?…])[\"”’'»]?\s+")
_ENDS_SPEECH = re.compile(r"[,.!?…—–-][\"'”’»_*\s]*$")
_HANGS = re.compile(r",[\"'”’»_*\s]*$")
_ENDED = re.compile(r"[.][\"'”’»_*\s]*$")
_HE_OR_SHE = re.compile(r"\b(?:[Hh]e|[Ss]he|I)\b")
_MARKS = "“”\"‘’'«»„‟_* "


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who speaks a quotation."""

    speaker: Speaker | None
    """None: not known, so the narrator reads it"""
    how: str
    """the rule, and the words that it goes by"""


UNKNOWN = Attribution(None, "no sign of who speaks")


@dataclass(slots=True)
class Line:
    """One paragraph with speech, on its way to be attributed."""

    index: int
    """of the paragraph"""
    text: str
    quotations: Sequence[Quotation]
    narration: list[str]
    """before, between and after the quotations"""
    given: list[Attribution | None] = field(default_factory=list)
    """of each quotation; None while nothing is known"""
    mentions: list[Mention | None] = field(default_factory=list)
    """of pronouns that are still to be understood"""
    unclear: list[str] = field(default_factory=list)
    """narration beside a quotation that should tell who speaks, and is not understood"""
    is_speech: list[bool] = field(default_factory=list)

    @property
    def spoken(self) -> str:
        """All that is said in it."""
        return " ".join(self.text[q.start : q.end] for q in self.quotations)

    @property
    def speakers(self) -> list[Speaker]:
        """Who is known to speak in it, in order."""
        return [given.speaker for given in self.given if given is not None and given.speaker is not None]

    @property
    def last(self) -> Speaker | None:
        """Who speaks last, as far as is known."""
        said = [given for given, speech in zip(self.given, self.is_speech, strict=True) if speech]
        return said[-1].speaker if said and said[-1] is not None else None

    @property
    def is_open(self) -> bool:
        """Whether nothing of it is attributed yet, and the narration says nothing that speaks against turns."""
        return any(self.is_speech) and all(a is None for a in self.given) and not any(self.unclear)


class Scene:
    """A chapter's paragraphs, its lines as far as they are attributed, and who is named where."""

    def __init__(self, paragraphs: Sequence[str], roster: Roster):
        self.paragraphs = paragraphs
        self.roster = roster
        self.lines: dict[int, Line] = {}
        self._known: dict[str, list[tuple[Speaker, int]]] = {}

    def known_in(self, text: str) -> list[tuple[Speaker, int]]:
        """Return the characters that a text names; see `Roster.known_in`."""
        if text not in self._known:
            self._known[text] = self.roster.known_in(text)
        return self._known[text]

    def met_before(self, index: int) -> dict[str, Speaker]:
        """Return who spoke or was named by the narrator in the paragraphs before one, by name."""
        met: dict[str, Speaker] = {}
        for back in range(index - 1, max(-1, index - 1 - MAX_MEMORY), -1):
            line = self.lines.get(back)
            for told in line.narration if line is not None else [self.paragraphs[back]]:
                met |= {speaker.name: speaker for speaker, _ in self.known_in(told)}
            if line is not None:
                met |= {speaker.name: speaker for speaker in line.speakers}
        return met

    def spoken_before(self, index: int) -> dict[str, Speaker]:
        """Return who spoke in the paragraphs before one, by name."""
        near = (self.lines.get(back) for back in range(max(0, index - MAX_MEMORY), index))
        return {speaker.name: speaker for line in near if line is not None for speaker in line.speakers}

    def strangers_in(self, text: str, gender: Gender) -> bool:
        """Say whether a text tells of a man, or a woman, whom it does not name."""
        known = {place for _, place in self.known_in(text)}
        return any(place not in known for place in described_in(text, gender))

    def has_stranger(self, line: Line, gender: Gender) -> bool:
        """Say whether somebody of a gender who is not named was spoken of just before a line."""
        told = [
            chunk
            for back in (2, 1, 0)
            if (near := self.lines.get(line.index - back))
            for chunk in near.narration
        ]
        return any(self.strangers_in(chunk, gender) for chunk in told)


def explicit_mentions(text: str, quotations: Sequence[Quotation]) -> list[Mention | None]:
    """Return what the narration of a paragraph says of each quotation's speaker."""
    chunks = narration_of(text, quotations)
    found: list[Mention | None] = []
    for index, quotation in enumerate(quotations):
        spoken = text[quotation.start : quotation.end]
        mention = mention_after(chunks[index + 1], ended=_ENDED.search(spoken) is not None)
        if mention is None or mention.kind == "pronoun":
            above = mention_before(chunks[index])
            mention = above if mention is None or (above is not None and above.kind == "name") else mention
        found.append(mention)
    return found


def narration_of(text: str, quotations: Sequence[Quotation]) -> list[str]:
    """Return what stands before, between and after a paragraph's quotations."""
    chunks, position = [], 0
    for quotation in quotations:
        chunks.append(text[position : quotation.start])
        position = quotation.end
    return [*chunks, text[position:]]


def read_line(scene: Scene, index: int, quotations: Sequence[Quotation]) -> Line:
    """Read what a paragraph itself says of who speaks."""
    text = scene.paragraphs[index]
    chunks = narration_of(text, quotations)
    explicit = explicit_mentions(text, quotations)
    above = scene.paragraphs[index - 1] if index else ""
    if explicit[0] is None and not chunks[0].strip() and above.rstrip().endswith(":"):
        explicit[0] = mention_before(above)
    line = Line(index, text, quotations, chunks)
    for number, (quotation, mention) in enumerate(zip(quotations, explicit, strict=True)):
        given: Attribution | None = None
        pending: Mention | None = None
        speech, unclear = True, ""
        if quotation.broken:
            given = Attribution(None, "quotation marks that do not pair")
        elif mention is not None:
            speaker = scene.roster.resolve(mention)
            if speaker is not None:
                given = Attribution(speaker, f"named: {mention.evidence}")
            elif mention.kind == "pronoun":
                pending = mention
            else:
                given = Attribution(None, f"{NOT_CLEAR}{mention.evidence}")
        elif not quotation.continues and _is_no_speech(text, quotation, chunks[number], chunks[number + 1]):
            given = Attribution(None, NO_SPEECH)
            speech = False
        elif (number == 0 or explicit[number - 1] is None) and _tells_of_several(chunks[number]):
            given = Attribution(None, f"{NOT_CLEAR}{short(last_sentence(chunks[number]))}")
        elif _HANGS.search(text[quotation.start : quotation.end]) and chunks[number + 1].strip():
            unclear = short(chunks[number + 1])
        line.unclear.append(unclear)
        line.given.append(given)
        line.mentions.append(pending)
        line.is_speech.append(speech)
    if not (any(line.given) or any(line.mentions) or any(line.unclear)) and all(line.is_speech):
        _read_beats(line, scene)
    return line


def _tells_of_several(before: str) -> bool:
    """Say whether a sentence that leads into a quotation is about two people: "He heard Sammy Jay screaming"."""
    stripped = before.rstrip(" _*(—–-")
    if not stripped or not (stripped[-1].isalnum() or stripped[-1] == ","):
        return False
    sentence = last_sentence(stripped)
    names = {mention.tokens for mention in names_in(sentence)}
    return len(names) + (_HE_OR_SHE.search(sentence) is not None) > 1


def last_sentence(text: str) -> str:
    """Return the last sentence of a stretch of narration, as far as stops tell."""
    return _SENTENCE_GAP.split(text.strip())[-1]


def short(text: str) -> str:
    """Return the first words of a text."""
    words = text.split()
    return " ".join(words[:6]) + (" …" if len(words) > 6 else "")


def _is_no_speech(text: str, quotation: Quotation, before: str, after: str) -> bool:
    """Say whether a quotation is part of the narrator's sentence: a "word", a title, a sign."""
    quoted = text[quotation.start : quotation.end]
    spoken = quoted.strip(_MARKS)
    if not any(character.isalnum() for character in spoken):
        return True
    inside = bool(before.strip()) and before.rstrip()[-1] not in ".!?:,;—–\"”’'-…"
    closes = _ENDS_SPEECH.search(quoted.rstrip("\"”’'»")) is not None
    if inside and (spoken[0].islower() or not closes):
        return True
    follows = bool(after.strip()) and (after.lstrip()[0].islower() or after.lstrip()[0] in ",;")
    return len(spoken.split()) <= MAX_SCARE_WORDS and not closes and (follows or bool(before.strip()))


def _read_beats(line: Line, scene: Scene) -> None:
    """Take the only character of a paragraph's narration for its speaker, where one acts beside the speech."""
    known = {speaker.name for chunk in line.narration for speaker, _ in scene.known_in(chunk)}
    number = next((i for i, chunk in enumerate(line.narration) if chunk.strip()), None)
    if number is None:
        return
    sentences = _SENTENCE_GAP.split(line.narration[number].strip())
    beside = sentences[-1] if number < len(line.quotations) else sentences[0]
    how = f"acts beside the words: {short(beside)}"
    subject = sentence_subject(beside)
    acting = scene.known_in(beside)
    if subject is not None and subject.kind == "pronoun":
        if subject.text == "I" and not known:
            line.given = [Attribution(scene.roster.resolve(subject), how) for _ in line.quotations]
        elif subject.text != "I" and len(known) <= 1:
            line.mentions = [Mention(subject.text, "pronoun", short(beside)) for _ in line.quotations]
    elif acting and acting[0][1] <= MAX_BEFORE_NAME and len(known) == 1:
        line.given = [Attribution(acting[0][0], how) for _ in line.quotations]
