"""Gives a book's sentences their speakers' voices, as the cast and the script of a configuration say.

No model is loaded here.
"""

from collections.abc import Sequence
from pathlib import Path

from orpheus_batch.config import Config
from orpheus_batch.data import Book, Sentence
from orpheus_batch.errors import ConfigError
from orpheus_batch.text.dialogue.cast import Cast, load_cast
from orpheus_batch.text.dialogue.mentions import Mention
from orpheus_batch.text.dialogue.roster import Roster, Speaker, roster_of_book, with_genders
from orpheus_batch.text.dialogue.script import Line, cast_lines, read_script
from orpheus_batch.text.dialogue.turns import find_turns, with_voices
from orpheus_batch.voices import ModelPack


class Casting:
    """Casts one book.

    Args:
        pack: Whose voices there are; its default voice is the narrator's, if the configuration names none.
        config: Which cast, which script.

    Raises:
        ConfigError: The cast is wrong.
    """

    def __init__(self, pack: ModelPack, config: Config):
        self._pack = pack
        self._narrator = config.voice or pack.default_voice
        self.cast = cast_of(config, pack)
        self._script = Path(config.text.script) if config.text.script else None
        self.lines: list[Line] = []
        """of the book that was cast last"""

    def __call__(self, book: Book, sentences: Sequence[Sequence[Sentence]]) -> list[list[Sentence]]:
        """Return each chapter's sentences, cut where the voice changes.

        Raises:
            InputError: The script can't be read or does not fit the book.
        """
        if self.cast is None and self._script is None:
            return [list(of_chapter) for of_chapter in sentences]
        self.read(book, sentences)
        voices = {line.turn.place: "" if line.voice == self._narrator else line.voice for line in self.lines}
        turns = [[] for _ in book.chapters]
        for line in self.lines:
            turns[line.turn.chapter_index].append(line.turn)
        return [
            with_voices(chapter, of_chapter, own, lambda turn: voices[turn.place])
            for chapter, of_chapter, own in zip(book.chapters, sentences, turns, strict=True)
        ]

    def read(self, book: Book, sentences: Sequence[Sequence[Sentence]]) -> None:
        """Find the lines of a book, script or no script, cast or no cast.

        Raises:
            InputError: As above.
        """
        by_chapter = find_turns(book, sentences, self._roster)
        turns = [turn for of_chapter in by_chapter for turn in of_chapter]
        if self._script is None:
            self.lines = cast_lines(turns, self.cast)
        else:
            self.lines = read_script(self._script, turns, self.cast, self._pack, self._narrator)

    def _roster(self, mentions: Sequence[Mention], narration: Sequence[str]) -> Roster:
        if self.cast is None:
            return roster_of_book(mentions, narration)
        roster = with_genders(self.cast.roster, narration)
        voice_genders = {character.name: character.voice_gender for character in self.cast.characters}
        names = {speaker.name: forms for speaker, forms in self.cast.roster}
        return Roster(
            [(Speaker(s.name, s.gender or voice_genders[s.name]), names[s.name]) for s in roster.speakers]
        )


def cast_of(config: Config, pack: ModelPack) -> Cast | None:
    """Read the configured cast, None where there is none.

    Raises:
        ConfigError: It is wrong.
    """
    return None if config.text.cast is None else load_cast(Path(config.text.cast), pack)


def check_single(config: Config, num_books: int) -> None:
    """See that a script is given for one book alone.

    Raises:
        ConfigError: It is given for several.
    """
    if config.text.script is not None and num_books > 1:
        raise ConfigError(
            f"a script belongs to a single book, and there are {num_books}; render them one by one"
        )
