"""Lets two people take turns, where nobody else can be speaking and the turns that are known bear it out."""

import itertools
import re
from collections.abc import Sequence

from orpheus_batch.text.dialogue.lines import Attribution, Line, Scene
from orpheus_batch.text.dialogue.roster import Speaker

MAX_ANCHORED = 16
"""turns between two known ones, whose speakers fit, that are filled"""
MAX_AMONG_OTHERS = 4
"""the same, where a third has spoken in the same conversation"""
MAX_UNANCHORED = 6
"""turns before the first known one or after the last that are filled"""
MIN_ANCHORS = 3
"""known turns that show a conversation of two: one, other, one"""

_VOCATIVE = (
    r"(?:^|[,;:—–!?.\"“‘'\s-]{{1,3}}(?:my |dear |old |good |you, |O |Oh,? |Mr\.? |Mrs\.? |Miss |Dr\.? ){{0,3}})"
    r"{name}(?=[,.!?;:—–-])"
)

Turns = Sequence[Sequence[Line]]
Pair = tuple[Speaker, Speaker]


def take_turns(scene: Scene, lines: Sequence[Line]) -> None:
    """Attribute lines of conversations of two.

    Args:
        scene: The chapter.
        lines: All of it, in order.
    """
    for run in _runs(lines):
        turns = _turns(run)
        _hear_names(scene, turns)
        speakers = [_speaker_of(turn) for turn in turns]
        groups = _groups(speakers)
        others = len(groups) > 1
        for number, anchors in enumerate(groups):
            pair = _pair(scene, run, [speakers[i] for i in anchors], others)
            shown = len(anchors) >= MIN_ANCHORS and pair is not None
            if pair is None or (others and not shown):
                continue
            for left, right in itertools.pairwise(anchors):
                if 1 < right - left <= (MAX_AMONG_OTHERS if others else MAX_ANCHORED):
                    _fill(scene, turns, range(left + 1, right), left, _from(speakers[left], pair))
            first, last = anchors[0], anchors[-1]
            after = _from(speakers[last], pair)
            if number == len(groups) - 1 and (
                shown or any(addresses(line.spoken, after[1]) for line in turns[last])
            ):
                _fill(scene, turns, range(last + 1, min(len(turns), last + 1 + MAX_UNANCHORED)), last, after)
            if shown and number == 0:
                begin = max(0, first - MAX_UNANCHORED)
                _fill(scene, turns, range(first - 1, begin - 1, -1), first, _from(speakers[first], pair))
        for left, right in itertools.pairwise(i for i, speaker in enumerate(speakers) if speaker is not None):
            near = _neighbours(speakers, left, right)
            if right - left == 2 and near is not None:
                _fill(scene, turns, range(left + 1, right), left, near)


def addresses(spoken: str, speaker: Speaker) -> bool:
    """Say whether speech calls somebody by name, who can't be the one who speaks."""
    last = speaker.name.split()[-1]
    names = {speaker.name, last} if last[0].isupper() else {speaker.name}
    return any(re.search(_VOCATIVE.format(name=re.escape(name)), spoken) for name in names)


def _runs(lines: Sequence[Line]) -> list[list[Line]]:
    """Return the conversations: paragraphs with speech that follow each other."""
    runs: list[list[Line]] = []
    for line in lines:
        if not any(line.is_speech):
            continue
        if runs and line.index - runs[-1][-1].index <= 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    return runs


def _turns(run: Sequence[Line]) -> list[list[Line]]:
    """Join the paragraphs of one speech."""
    turns: list[list[Line]] = []
    for line in run:
        if line.quotations[0].continues and turns:
            turns[-1].append(line)
        else:
            turns.append([line])
    return turns


def _speaker_of(turn: Sequence[Line]) -> Speaker | None:
    """Return who speaks a turn, None where it is not known or more than one does."""
    found = {speaker.name: speaker for line in turn for speaker in line.speakers}
    return next(iter(found.values())) if len(found) == 1 else None


def _hear_names(scene: Scene, turns: Turns) -> None:
    """Give a turn in which one of two calls the other by name to the one who calls."""
    known = {s.name: s for turn in turns for line in turn for s in line.speakers}
    if len(known) != 2 or not all(speaker.is_known for speaker in known.values()):
        return
    for index, turn in enumerate(turns):
        called = [s for s in known.values() if any(addresses(line.spoken, s) for line in turn)]
        if len(called) != 1:
            continue
        caller = next(s for s in known.values() if s != called[0])
        beside = {
            _speaker_of(near) for near in (*turns[max(0, index - 1) : index], *turns[index + 1 : index + 2])
        }
        if caller not in beside and all(_may_speak(scene, line, caller) for line in turn):
            _give(turn, caller, f"calls {called[0].name} by name")


def _groups(speakers: Sequence[Speaker | None]) -> list[list[int]]:
    """Part known turns into stretches in which two speakers alternate, as far as the known ones tell."""
    groups: list[list[int]] = []
    voices: set[Speaker] = set()
    for index, speaker in enumerate(speakers):
        if speaker is None:
            continue
        last = groups[-1][-1] if groups else -1
        even = (index - last) % 2 == 0
        if groups and len(voices | {speaker}) <= 2 and (speakers[last] == speaker) == even:
            groups[-1].append(index)
            voices.add(speaker)
        else:
            groups.append([index])
            voices = {speaker}
    return groups


def _pair(scene: Scene, run: Sequence[Line], speakers: Sequence[Speaker | None], others: bool) -> Pair | None:
    """Return the two who talk: both known, or one, and the only one with whom that one has just talked.

    A stranger ("said the visitor") is no partner: the words may mean somebody else the next time.
    """
    known = {s.name: s for s in speakers if s is not None}
    if len(known) == 1 and not others:
        said = scene.spoken_before(run[0].index)
        named = {name for name, speaker in scene.met_before(run[0].index).items() if speaker.is_known}
        if set(said) > set(known) and named <= set(said):
            known |= said
    if len(known) != 2 or not all(speaker.is_known for speaker in known.values()):
        return None
    first = next(speaker for speaker in speakers if speaker is not None)
    return first, next(speaker for speaker in known.values() if speaker != first)


def _neighbours(speakers: Sequence[Speaker | None], left: int, right: int) -> Pair | None:
    """Return who talks at ``left`` and ``right``, and with whom, where a third is in the room."""
    one, two = speakers[left], speakers[right]
    if one is None or one != two:
        return None
    near = {speakers[i] for i in (left - 1, right + 1) if 0 <= i < len(speakers)} - {None, one}
    return (one, next(s for s in near if s is not None)) if len(near) == 1 else None


def _from(speaker: Speaker | None, pair: Pair) -> Pair:
    return pair if speaker == pair[0] else (pair[1], pair[0])


def _fill(scene: Scene, turns: Turns, indices: range, origin: int, pair: Pair) -> None:
    """Give turns to two speakers alternately: between known turns all or none, at the ends up to the first doubt."""
    between = bool(indices) and 0 <= indices[-1] + indices.step < len(turns) and _settled(turns, indices)
    chosen: list[tuple[Line, Speaker]] = []
    for index in indices:
        speaker = pair[(index - origin) % 2]
        doubtful = not between and any(any(line.mentions) for line in turns[index])
        if doubtful or not all(_may_speak(scene, line, speaker) for line in turns[index]):
            if between:
                return
            break
        chosen += [(line, speaker) for line in turns[index]]
    for line, speaker in chosen:
        _give([line], speaker, "takes turns")


def _give(turn: Sequence[Line], speaker: Speaker, how: str) -> None:
    """Attribute what of a turn is not attributed yet."""
    for line in turn:
        for number, given in enumerate(line.given):
            if given is None and line.is_speech[number]:
                line.given[number] = Attribution(speaker, how)
                line.mentions[number] = None


def _settled(turns: Turns, indices: range) -> bool:
    """Say whether a known turn follows the last of these."""
    return _speaker_of(turns[indices[-1] + indices.step]) is not None


def _may_speak(scene: Scene, line: Line, speaker: Speaker) -> bool:
    """Say whether nothing in a line speaks against a speaker."""
    if not line.is_open or addresses(line.spoken, speaker):
        return False
    genders = {mention.gender for mention in line.mentions if mention is not None and mention.gender}
    if genders and speaker.gender and genders != {speaker.gender}:
        return False
    return all(named.name == speaker.name for chunk in line.narration for named, _ in scene.known_in(chunk))
