"""Decides who speaks each quotation, by rules that say why; where none is sure, nobody.

First what the narration says ("said Alice"), then pronouns where one character alone can be meant, then two people
who take turns; twice, for what is known then helps. Voices and the cast's file are not known here.
"""

from collections.abc import Sequence

from orpheus_batch.text.dialogue.conversation import take_turns
from orpheus_batch.text.dialogue.lines import NOT_CLEAR, UNKNOWN, Attribution, Line, Scene, read_line
from orpheus_batch.text.dialogue.pronouns import doubt_descriptions, understand_pronouns
from orpheus_batch.text.dialogue.quotation import Quotation
from orpheus_batch.text.dialogue.roster import Roster

ROUNDS = 2


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
    scene = Scene(paragraphs, roster)
    lines = [read_line(scene, index, found) for index, found in enumerate(quotations) if found]
    scene.lines = {line.index: line for line in lines}
    for _ in range(ROUNDS):
        for line in lines:
            _continue_speech(line, scene)
            doubt_descriptions(line, scene)
            understand_pronouns(line, scene)
            _share_in_paragraph(line)
        take_turns(scene, lines)
    result: list[list[Attribution]] = [[] for _ in paragraphs]
    for line in lines:
        result[line.index] = [_settled(line, number) for number in range(len(line.given))]
    return result


def _settled(line: Line, number: int) -> Attribution:
    """Return what became of a quotation."""
    given, mention = line.given[number], line.mentions[number]
    if given is not None:
        return given
    unclear = line.unclear[number] or (mention.evidence if mention is not None else "")
    return Attribution(None, f"{NOT_CLEAR}{unclear}") if unclear else UNKNOWN


def _continue_speech(line: Line, scene: Scene) -> None:
    """Give speech that goes on from the paragraph before to the same speaker."""
    before = scene.lines.get(line.index - 1)
    if not line.quotations[0].continues or before is None or line.given[0] is not None:
        return
    given, mention = before.given[-1], line.mentions[0]
    if given is None or given.speaker is None or (mention and mention.gender not in ("", given.speaker.gender)):
        return
    line.given[0] = Attribution(given.speaker, "goes on from the paragraph before")
    line.mentions[0] = None


def _share_in_paragraph(line: Line) -> None:
    """Give what one paragraph quotes to one speaker, where it names one and no other."""
    named = {speaker.name: speaker for speaker in line.speakers}
    if len(named) != 1:
        return
    (speaker,) = named.values()
    if any(mention is not None and mention.gender not in ("", speaker.gender) for mention in line.mentions):
        return
    for number, given in enumerate(line.given):
        if given is None and line.is_speech[number]:
            line.given[number] = Attribution(speaker, "same paragraph")
            line.mentions[number] = None
