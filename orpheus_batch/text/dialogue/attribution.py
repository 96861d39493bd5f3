"""Decides who speaks each quotation, by rules that say why; where none is sure, nobody.

Paragraph by paragraph, first what the narration says ("said Alice"), then pronouns where one character alone can be
meant, then two people who take turns. Voices and the cast's file are not known here.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from orpheus_batch.text.dialogue.mentions import (
    Mention,
    mention_after,
    mention_before,
    sentence_subject,
)
from orpheus_batch.text.dialogue.quotation import Quotation
from orpheus_batch.text.dialogue.roster import FIRST_PERSON, Roster, Speaker
from orpheus_batch.text.dialogue.speech_words import Gender

NO_SPEECH = "no speech: a word or a title in quotation marks"
NOT_CLEAR = "not clear: "
MAX_UNANCHORED = 4
"""turns that are taken for granted after the last one whose speaker is named"""
MIN_PATTERN = 3
"""turns in a row, one, other, one, that show a conversation of two"""
MAX_ANCHORED = 12
"""turns between two named ones, whose speakers fit, that are filled"""
MAX_BEFORE_NAME = 16
"""characters of a sentence before the name of whom it is about: "Here the old " """
MAX_MEMORY = 6
"""turns back in which those are looked for whom a pronoun may mean"""
MAX_SCARE_WORDS = 4
"""of a quotation that is a word or a title rather than speech"""
MAX_GAP = 1
"""paragraphs of narration that a conversation may have between two turns"""

_OTHER = {
    "male": re.compile(r"\bhim\b"),
    "female": re.compile(r"\b(?:to|at|with|by|for|from|on|of|upon|told|gave|handed|asked) her\b(?=[ ,.;]|$)"),
    "neutral": re.compile(r"(?!)"),
    "": re.compile(r"(?!)"),
}
"""somebody else of the same gender, beside the one who is named"""
_SENTENCE_GAP = re.compile(r"(?<=[.!?…])[\"”’'»]?\s+")
_ENDS_SPEECH = re.compile(r"[,.!?…—–-][\"'”’»_*\s]*$")
_HANGS = re.compile(r",[\"'”’»_*\s]*$")
_ENDED = re.compile(r"[.][\"'”’»_*\s]*$")
_VOCATIVE = (
    r"(?:^|[,;:—–!?.\"“‘'\s-]{{1,3}}(?:my |dear |old |good |you, |O |Oh,? |Mr\.? |Mrs\.? |Miss |Dr\.? ){{0,3}})"
    r"{name}(?=[,.!?;:—–-])"
)


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who speaks a quotation."""

    speaker: Speaker | None
    """None: not known, so the narrator reads it"""
    how: str
    """the rule, and the words that it goes by"""


UNKNOWN = Attribution(None, "no sign of who speaks")


@dataclass(slots=True)
class _Line:
    """One paragraph with speech."""

    index: int
    """of the paragraph"""
    text: str
    quotations: Sequence[Quotation]
    given: list[Attribution | None]
    mentions: list[Mention | None]
    """of pronouns that are still to be understood"""
    is_speech: list[bool]
    unclear: list[str]
    """what the narration says of each quotation's speaker, where nobody is understood by it"""
    narration: list[str]
    """before, between and after the quotations"""

    @property
    def spoken(self) -> str:
        """All that is said in it."""
        return " ".join(self.text[q.start : q.end] for q in self.quotations)

    @property
    def first(self) -> Speaker | None:
        """Who speaks first, as far as is known."""
        found = next((a for a, speech in zip(self.given, self.is_speech, strict=True) if speech), None)
        return found.speaker if found else None

    @property
    def last(self) -> Speaker | None:
        """Who speaks last, likewise."""
        known = [a for a, speech in zip(self.given, self.is_speech, strict=True) if speech]
        return known[-1].speaker if known and known[-1] else None

    @property
    def is_open(self) -> bool:
        """Whether nothing of it is attributed yet, and the narration says nothing that speaks against turns."""
        return any(self.is_speech) and all(a is None for a in self.given) and not any(self.unclear)


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


def attribute_chapter(
    paragraphs: Sequence[str], quotations: Sequence[Sequence[Quotation]], roster: Roster
) -> list[list[Attribution]]:
    """Decide who speaks.

    Args:
        paragraphs: A chapter's, each on one line.
        quotations: Of each paragraph.
        roster: Who there is.

    Returns:
        For each paragraph, of each quotation, who speaks it.
    """
    lines = [
        _read(index, text, found, paragraphs, roster)
        for index, (text, found) in enumerate(zip(paragraphs, quotations, strict=True))
        if found
    ]
    by_index = {line.index: line for line in lines}
    for _ in range(2):
        for line in lines:
            _continue_speech(line, by_index)
            _understand_pronouns(line, by_index, paragraphs, roster)
            _share_in_paragraph(line)
        for run in _runs(lines):
            _take_turns(run, roster)
    result: list[list[Attribution]] = [[] for _ in paragraphs]
    for line in lines:
        result[line.index] = [
            given
            or (
                Attribution(None, f"{NOT_CLEAR}{unclear or mention.evidence}")
                if unclear or mention
                else UNKNOWN
            )
            for given, unclear, mention in zip(line.given, line.unclear, line.mentions, strict=True)
        ]
    return result


def _read(
    index: int, text: str, quotations: Sequence[Quotation], paragraphs: Sequence[str], roster: Roster
) -> _Line:
    """Read what a paragraph itself says of who speaks."""
    chunks = narration_of(text, quotations)
    explicit = explicit_mentions(text, quotations)
    above = paragraphs[index - 1] if index else ""
    if explicit[0] is None and not chunks[0].strip() and above.rstrip().endswith(":"):
        explicit[0] = mention_before(above)
    line = _Line(index, text, quotations, [], [], [], [], chunks)
    for number, (quotation, mention) in enumerate(zip(quotations, explicit, strict=True)):
        given: Attribution | None = None
        pending: Mention | None = None
        speech, unclear = True, ""
        if quotation.broken:
            given = Attribution(None, "quotation marks that do not pair")
        elif mention is not None:
            speaker = roster.resolve(mention)
            if speaker is not None:
                given = Attribution(speaker, f"named: {mention.evidence}")
            elif mention.kind == "pronoun":
                pending = mention
            else:
                given = Attribution(None, f"{NOT_CLEAR}{mention.evidence}")
        elif not quotation.continues and _is_no_speech(text, quotation, chunks[number], chunks[number + 1]):
            given = Attribution(None, NO_SPEECH)
            speech = False
        elif _HANGS.search(text[quotation.start : quotation.end]) and chunks[number + 1].strip():
            unclear = _short(chunks[number + 1])
        line.unclear.append(unclear)
        line.given.append(given)
        line.mentions.append(pending)
        line.is_speech.append(speech)
    _beats(line, roster)
    return line


def _is_no_speech(text: str, quotation: Quotation, before: str, after: str) -> bool:
    """Say whether a quotation is part of the narrator's sentence: a "word", a title, a sign."""
    spoken = text[quotation.start : quotation.end].strip("“”\"‘’'«»„‟_* ")
    if not spoken or not any(character.isalnum() for character in spoken):
        return True
    inside = bool(before.strip()) and before.rstrip()[-1] not in ".!?:,;—–\"”’'-…"
    closes = _ENDS_SPEECH.search(text[quotation.start : quotation.end].rstrip("\"”’'»")) is not None
    lower = spoken[0].islower()
    follows = bool(after.strip()) and (after.lstrip()[0].islower() or after.lstrip()[0] in ",;")
    if inside and (lower or not closes):
        return True
    return len(spoken.split()) <= MAX_SCARE_WORDS and not closes and (follows or bool(before.strip()))


def _beats(line: _Line, roster: Roster) -> None:
    """Take the only character of a paragraph's narration for its speaker, where one acts beside the speech."""
    if any(line.given) or any(line.mentions) or any(line.unclear) or not all(line.is_speech):
        return
    narration = " ".join(chunk for chunk in line.narration if chunk.strip())
    if not narration:
        return
    known = {speaker.name for speaker, _ in roster.known_in(narration)}
    for number, chunk in enumerate(line.narration):
        if not chunk.strip():
            continue
        sentences = _SENTENCE_GAP.split(chunk.strip())
        beside = sentences[-1] if number < len(line.quotations) else sentences[0]
        subject = sentence_subject(beside)
        if subject is not None and subject.kind == "pronoun":
            if subject.text == "I" and not known:
                given = Attribution(roster.resolve(subject), f"acts beside the words: {_short(beside)}")
                line.given = [given for _ in line.quotations]
            elif subject.text != "I" and len(known) <= 1:
                line.mentions = [Mention(subject.text, "pronoun", _short(beside)) for _ in line.quotations]
            return
        acting = roster.known_in(beside)
        if acting and acting[0][1] <= MAX_BEFORE_NAME and len(known) == 1:
            given = Attribution(acting[0][0], f"acts beside the words: {_short(beside)}")
            line.given = [given for _ in line.quotations]
        return


def _short(text: str) -> str:
    words = text.split()
    return " ".join(words[:6]) + (" …" if len(words) > 6 else "")


def _continue_speech(line: _Line, lines: dict[int, _Line]) -> None:
    """Give speech that goes on from the paragraph before to the same speaker."""
    if line.quotations[0].continues:
        before = lines.get(line.index - 1)
        given = before.given[-1] if before else None
        if given is not None and given.speaker is not None and line.given[0] is None:
            mention = line.mentions[0]
            if mention is None or mention.gender in ("", given.speaker.gender):
                line.given[0] = Attribution(given.speaker, "goes on from the paragraph before")
                line.mentions[0] = None


def _share_in_paragraph(line: _Line) -> None:
    """Give what one paragraph quotes to one speaker, where it names one and no other."""
    named = {given.speaker.name: given.speaker for given in line.given if given and given.speaker}
    if len(named) != 1 or any(
        m is not None and m.gender not in ("", *(s.gender for s in named.values())) for m in line.mentions
    ):
        return
    (speaker,) = named.values()
    for number, given in enumerate(line.given):
        if given is None and line.is_speech[number]:
            line.given[number] = Attribution(speaker, "same paragraph")
            line.mentions[number] = None


def _understand_pronouns(
    line: _Line, lines: dict[int, _Line], paragraphs: Sequence[str], roster: Roster
) -> None:
    """Find whom "he said" means, where only one can be."""
    if any(given is not None and given.how.startswith(NOT_CLEAR) for given in line.given):
        return
    for number, mention in enumerate(line.mentions):
        if mention is None or line.given[number] is not None:
            continue
        found = _referent(line, number, mention.gender, lines, paragraphs, roster)
        if found is not None:
            line.given[number] = Attribution(found, f"pronoun: {mention.evidence}")
            line.mentions[number] = None


def _referent(
    line: _Line, number: int, gender: Gender, lines: dict[int, _Line], paragraphs: Sequence[str], roster: Roster
) -> Speaker | None:
    before = lines.get(line.index - 1)
    beside = " ".join(line.narration[max(0, number - MAX_MEMORY) : number + 1])
    here = _only(roster, beside, gender)
    if here is not None or any(speaker.is_known for speaker, _ in roster.known_in(beside)):
        return here
    if before is None and line.index > 0:
        above = roster.known_in(paragraphs[line.index - 1])
        if any(speaker.is_known for speaker, _ in above):
            return _only(roster, paragraphs[line.index - 1], gender)
    other = before.last if before is not None else None
    met: dict[str, Speaker] = {}
    for back in range(line.index - 1, max(-1, line.index - 1 - MAX_MEMORY), -1):
        earlier = lines.get(back)
        told = " ".join(earlier.narration) if earlier is not None else paragraphs[back]
        met |= {speaker.name: speaker for speaker, _ in roster.known_in(told)}
        if earlier is not None:
            met |= {given.speaker.name: given.speaker for given in earlier.given if given and given.speaker}
    others = [s for s in met.values() if s != other and s.is_known and s.name != FIRST_PERSON]
    fitting = [s for s in others if s.gender == gender]
    if any(not s.gender for s in others) or (before is not None and other is None):
        return None
    if not others and other is not None and other.gender == gender and FIRST_PERSON not in met:
        return other  # alone, and talking on
    return fitting[0] if len(fitting) == 1 else None


def _only(roster: Roster, text: str, gender: Gender) -> Speaker | None:
    """Return the one character of a gender that a text names, None where there are others that may be meant."""
    named = {speaker.name: speaker for speaker, _ in roster.known_in(text)}
    if named and _OTHER[gender].search(text):
        return None
    fitting = [speaker for speaker in named.values() if speaker.gender == gender]
    doubtful = [speaker for speaker in named.values() if not speaker.gender and speaker.is_known]
    return fitting[0] if len(fitting) == 1 and not doubtful else None


def _runs(lines: Sequence[_Line]) -> list[list[_Line]]:
    """Return the conversations: paragraphs with speech that follow each other."""
    runs: list[list[_Line]] = []
    for line in lines:
        if not any(line.is_speech):
            continue
        if runs and line.index - runs[-1][-1].index <= 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    return runs


def _take_turns(run: Sequence[_Line], roster: Roster) -> None:
    """Let two people take turns between the turns whose speakers are known."""
    turns: list[list[_Line]] = []
    for line in run:
        if line.quotations[0].continues and turns:
            turns[-1].append(line)
        else:
            turns.append([line])
    speakers = [_speaker_of(turn) for turn in turns]
    known = {s.name for s in speakers if s is not None}
    anchors = [index for index, speaker in enumerate(speakers) if speaker is not None]
    closed = [any(_is_closed(line) for line in turn) for turn in turns]
    for left, right in itertools.pairwise(anchors):
        one, two = speakers[left], speakers[right]
        if right - left == 1 or right - left > MAX_ANCHORED or any(closed[left + 1 : right]):
            continue
        pair = _pair(speakers, left, right)
        if pair is None or (len(known) > 2 and right - left > 2):
            continue
        first, second = pair
        if (two == first) != ((right - left) % 2 == 0) or one != first:
            continue
        _fill(turns, range(left + 1, right), (first, second), left, roster)
    if not anchors or len(known) != 2:
        return
    last = anchors[-1]
    recent = speakers[max(0, last - 2) : last + 1]
    pair = _pair(speakers, last, last)
    if pair is None or not (
        (len(recent) == MIN_PATTERN and None not in recent and recent[0] == recent[2] != recent[1])
        or any(_addresses(line.spoken, pair[1]) for line in turns[last])
    ):
        return
    stop = last + 1
    while stop < len(turns) and stop - last <= MAX_UNANCHORED and not closed[stop]:
        stop += 1
    _fill(turns, range(last + 1, stop), pair, last, roster)


def _speaker_of(turn: Sequence[_Line]) -> Speaker | None:
    found = {s.name: s for line in turn for s in (line.first, line.last) if s is not None}
    return next(iter(found.values())) if len(found) == 1 else None


def _is_closed(line: _Line) -> bool:
    """Say whether a line is settled, or its narration speaks against taking turns."""
    return not line.is_open


def _pair(speakers: Sequence[Speaker | None], left: int, right: int) -> tuple[Speaker, Speaker] | None:
    """Return who talks at ``left``, and with whom."""
    one, two = speakers[left], speakers[right]
    if one is None:
        return None
    if two is not None and two != one:
        return one, two
    near = [
        speakers[i] for i in (left - 1, right + 1) if 0 <= i < len(speakers) and speakers[i] not in (None, one)
    ]
    names = {speaker.name for speaker in near if speaker}
    return (one, near[0]) if len(names) == 1 and near[0] is not None else None


def _fill(
    turns: Sequence[Sequence[_Line]], indices: range, pair: tuple[Speaker, Speaker], origin: int, roster: Roster
) -> None:
    """Give turns to two speakers alternately, unless something in one of them speaks against it."""
    chosen: list[tuple[_Line, Speaker]] = []
    for index in indices:
        speaker = pair[(index - origin) % 2]
        for line in turns[index]:
            genders = {m.gender for m in line.mentions if m is not None and m.gender}
            acting = {named.name for named, _ in roster.known_in(" ".join(line.narration))}
            if (genders and speaker.gender and genders != {speaker.gender}) or (acting - {speaker.name}):
                return
            if _addresses(line.spoken, speaker):
                return
            chosen.append((line, speaker))
    for line, speaker in chosen:
        for number, given in enumerate(line.given):
            if given is None and line.is_speech[number]:
                line.given[number] = Attribution(speaker, "takes turns")
                line.mentions[number] = None


def _addresses(spoken: str, speaker: Speaker) -> bool:
    """Say whether speech calls somebody by name, who can't be the one who speaks."""
    last = re.escape(speaker.name.split()[-1])
    names = {re.escape(speaker.name), last} if last[0].isupper() else {re.escape(speaker.name)}
    return any(re.search(_VOCATIVE.format(name=name), spoken) for name in names)
