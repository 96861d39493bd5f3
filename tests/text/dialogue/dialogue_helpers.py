"""Books of a few paragraphs, with a cast, for the tests of dialogue."""

import dataclasses
from pathlib import Path

from orpheus_batch.config import Config, load_config
from orpheus_batch.data import Book
from orpheus_batch.pipeline.books import load_book, make_plan
from orpheus_batch.pipeline.casting import Casting
from orpheus_batch.pipeline.models import pack_of
from orpheus_batch.text.dialogue.attribution import attribute_chapter
from orpheus_batch.text.dialogue.quotes import find_quotations, judge_style
from orpheus_batch.text.dialogue.roster import Roster, Speaker, with_genders

PEOPLE = (
    (Speaker("Alice", "female"), ("Alice",)),
    (Speaker("Hatter", "male"), ("Hatter", "Mad Hatter")),
    (Speaker("March Hare", "male"), ("March Hare",)),
    (Speaker("Duchess", "female"), ("Duchess",)),
)
CAST = """narrator: tara
characters:
  Alice: {voice: leah, gender: female}
  Hatter: {voice: leo, gender: male, aliases: [the Mad Hatter]}
  March Hare: dan
others: {female: jess, male: zac}
"""


def quoted(*paragraphs: str) -> list[list[str]]:
    """Return what each paragraph quotes."""
    found = find_quotations(paragraphs, judge_style(paragraphs))
    return [[text[q.start : q.end] for q in of_text] for text, of_text in zip(paragraphs, found, strict=True)]


def spoken_by(*paragraphs: str, people=PEOPLE, style: str | None = None) -> list[list[str]]:
    """Return the speaker of each quotation of each paragraph, "-" for nobody."""
    found = find_quotations(paragraphs, style or judge_style(paragraphs))
    roster = with_genders(people, []) if people else Roster([])
    attributed = attribute_chapter(paragraphs, found, roster)
    return [[a.speaker.name if a.speaker else "-" for a in of_text] for of_text in attributed]


@dataclasses.dataclass
class Stage:
    """A folder with a book, a cast and Orpheus's pack without weights."""

    folder: Path
    text: str
    cast: str | None = CAST

    def __post_init__(self) -> None:
        self.book_file = self.folder / "tea.txt"
        self.book_file.write_text(self.text, encoding="utf-8")
        self.cast_file = self.folder / "cast.yaml"
        if self.cast is not None:
            self.cast_file.write_text(self.cast, encoding="utf-8")
        self.script_file = self.folder / "script.csv"

    def config(self, **overrides: object) -> Config:
        """Return a configuration; keyword names are keys with two underscores for the dot."""
        values = {"model.pack": "orpheus-3b"}
        if self.cast is not None:
            values["text.cast"] = str(self.cast_file)
        if self.script_file.exists():
            values["text.script"] = str(self.script_file)
        return load_config(None, values | {key.replace("__", "."): value for key, value in overrides.items()})

    def book(self, config: Config) -> Book:
        """Read the book."""
        return load_book(self.book_file, config)

    def segments(self, **overrides: object) -> list[tuple[str, str]]:
        """Return voice and text of what is planned; the plan itself proves that every character is covered."""
        config = self.config(**overrides)
        plans = make_plan(self.book(config), pack_of(config), config, "f")
        return [(segment.voice, segment.text) for plan in plans for segment in plan.segments]

    def casting(self, **overrides: object) -> Casting:
        """Return the casting after a plan."""
        config = self.config(**overrides)
        casting = Casting(pack_of(config), config)
        make_plan(self.book(config), pack_of(config), config, "f", casting=casting)
        return casting
