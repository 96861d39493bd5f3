"""Understands "he said" and "asked the old man" where one character alone can be meant, and gives up elsewhere."""

import re

from orpheus_batch.text.dialogue.lines import (
    MAX_BEFORE_NAME,
    MAX_MEMORY,
    NOT_CLEAR,
    Attribution,
    Line,
    Scene,
    last_sentence,
)
from orpheus_batch.text.dialogue.roster import Speaker
from orpheus_batch.text.dialogue.speech_words import Gender

_PAST = re.compile(r"\bhad\b")
_NEVER = re.compile(r"(?!)")
_OTHER: dict[Gender, re.Pattern[str]] = {
    "male": re.compile(r"\bhim\b"),
    "female": re.compile(r"\b(?:to|at|with|by|for|from|on|of|upon|told|gave|handed|asked) her\b(?=[ ,.;]|$)"),
    "neutral": _NEVER,
    "": _NEVER,
}
"""somebody else of the same gender, beside the one who is named"""


def understand_pronouns(line: Line, scene: Scene) -> None:
    """Find whom "he said" means, where only one can be."""
    if any(given is not None and given.how.startswith(NOT_CLEAR) for given in line.given):
        return
    for number, mention in enumerate(line.mentions):
        if mention is None or line.given[number] is not None:
            continue
        found = _referent(line, number, mention.gender, scene)
        if found is not None:
            line.given[number] = Attribution(found, f"pronoun: {mention.evidence}")
            line.mentions[number] = None


def doubt_descriptions(line: Line, scene: Scene) -> None:
    """Take back a stranger's speech where the words may mean somebody of the cast: "said the old man"."""
    before = scene.lines.get(line.index - 1)
    other = before.last if before is not None else None
    for number, given in enumerate(line.given):
        if given is None or given.speaker is None or given.speaker.is_known or given.speaker.name[0].isupper():
            continue
        met = [
            *scene.met_before(line.index).values(),
            *(s for s, _ in scene.known_in(" ".join(line.narration))),
        ]
        if any(_may_be(speaker, given.speaker.gender, other, scene) for speaker in met):
            line.given[number] = Attribution(None, f"{NOT_CLEAR}{given.how.removeprefix('named: ')}")


def _may_be(speaker: Speaker, gender: Gender, other: Speaker | None, scene: Scene) -> bool:
    if not speaker.is_known or speaker in (other, scene.roster.first_person):
        return False
    return not speaker.gender or not gender or speaker.gender == gender


def _referent(line: Line, number: int, gender: Gender, scene: Scene) -> Speaker | None:
    """Return whom a pronoun beside a quotation means."""
    beside = " ".join(line.narration[max(0, number - MAX_MEMORY) : number + 1])
    if any(speaker.is_known for speaker, _ in scene.known_in(beside)):
        return _only(beside, gender, scene)
    if line.speakers:
        return next((s for s in line.speakers if s.gender in ("", gender)), None)
    before = scene.lines.get(line.index - 1)
    return _told_above(line, gender, scene) if before is None else _answers(line, before, gender, scene)


def _told_above(line: Line, gender: Gender, scene: Scene) -> Speaker | None:
    """Return whom the narration above tells of; one who has spoken, where others of the gender have."""
    if not line.index:
        return None
    said = scene.spoken_before(line.index)
    above = scene.paragraphs[line.index - 1]
    found = _only(above, gender, scene)
    if found is not None:
        others = [
            s for s in said.values() if s.gender in ("", gender) and s not in (found, scene.roster.first_person)
        ]
        return found if found.name in said or not others else None
    if any(speaker.is_known for speaker, _ in scene.known_in(above)):
        return None
    alone = len(said) == 1 and set(scene.met_before(line.index)) == set(said)
    return next((s for s in said.values() if alone and s.gender == gender), None)


def _acts_last(text: str, speaker: Speaker, scene: Scene) -> bool:
    """Say whether the last sentence of a text is about somebody here and now: "Holmes laughed."."""
    sentence = last_sentence(text)
    known = scene.known_in(sentence)
    if not known or known[0][0] != speaker or known[0][1] > MAX_BEFORE_NAME:
        return False
    return _PAST.search(sentence, known[0][1]) is None


def _answers(line: Line, before: Line, gender: Gender, scene: Scene) -> Speaker | None:
    """Return who talks with the one who has just spoken."""
    other, narrator = before.last, scene.roster.first_person
    if other is None or scene.has_stranger(line, gender):
        return None
    met = scene.met_before(line.index)
    others = [s for s in met.values() if s.is_known and s not in (other, narrator)]
    if not others and other.gender == gender and narrator.name not in met:
        return other  # alone, and talking on
    fitting = [s for s in others if s.gender == gender]
    return fitting[0] if len(fitting) == 1 and all(s.gender for s in others) else None


def _only(text: str, gender: Gender, scene: Scene) -> Speaker | None:
    """Return the one character of a gender that a text names, None where there are others that may be meant."""
    named = {speaker.name: speaker for speaker, _ in scene.known_in(text)}
    fitting = [speaker for speaker in named.values() if speaker.gender == gender]
    doubtful = [speaker for speaker in named.values() if not speaker.gender and speaker.is_known]
    if len(fitting) != 1 or doubtful or _OTHER[gender].search(text) or scene.strangers_in(text, gender):
        return None
    return fitting[0]
