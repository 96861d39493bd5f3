"""The cast: which voice speaks for whom, from a YAML file, checked against a model pack.

Knows names, aliases, genders and voices. Who says what is found elsewhere.
"""

import difflib
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orpheus_batch.errors import ConfigError
from orpheus_batch.text.dialogue.mentions import Mention, name_tokens
from orpheus_batch.text.dialogue.roster import Speaker
from orpheus_batch.text.dialogue.speech_words import Gender
from orpheus_batch.voices import ModelPack

NARRATOR = "narrator"
UNKNOWN = "unknown"
"""speaker of a quotation that is attributed to nobody; the narrator reads it"""
GENDERS: tuple[Gender, ...] = ("female", "male", "neutral")
MAX_FILE_BYTES = 1 << 20
MIN_TURNS = 3
"""quotations from which on somebody gets a line in a cast to begin with"""

_KEYS = ("narrator", "characters", "others")
_CHARACTER_KEYS = ("voice", "gender", "aliases")
_OTHER_KEYS = ("female", "male", "any")
_FEMALE = re.compile(r"\b(?:woman|female|girl|lady)\b", re.IGNORECASE)
_MALE = re.compile(r"\b(?:man|male|boy)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Character:
    """One who speaks."""

    name: str
    voice: str
    """"" for the narrator's"""
    gender: Gender
    """as the file or a title in the name says; "" where neither does"""
    aliases: tuple[str, ...]
    voice_gender: Gender = ""
    """what the pack says of the voice: a guess, for want of better"""


@dataclass(frozen=True, slots=True)
class Cast:
    """Everyone's voice."""

    path: str
    narrator: str | None
    """voice; None: the run's"""
    characters: tuple[Character, ...] = ()
    female: str = ""
    """voice of women and girls who are not among the characters; "" for the narrator's"""
    male: str = ""
    any_other: str = ""
    """of others whose gender is not known"""

    def voice_of(self, speaker: Speaker | None) -> str:
        """Return a speaker's voice, "" for the narrator's."""
        if speaker is None:
            return ""
        for character in self.characters:
            if character.name == speaker.name:
                return character.voice
        if speaker.name == "I":
            return ""
        return {"female": self.female, "male": self.male}.get(speaker.gender, "") or self.any_other

    def voice_of_name(self, name: str) -> str | None:
        """Return the voice of a character, or of the narrator (""), by name or alias; None if there is none."""
        if name.casefold() in (NARRATOR, UNKNOWN, "", "i"):
            return next((c.voice for c in self.characters if name.casefold() == "i" and "I" in c.aliases), "")
        for character in self.characters:
            if name.casefold() in (
                character.name.casefold(),
                *(alias.casefold() for alias in character.aliases),
            ):
                return character.voice
        return None

    @property
    def roster(self) -> list[tuple[Speaker, tuple[str, ...]]]:
        """Characters with all that they are called."""
        return [(Speaker(c.name, c.gender), (c.name, *c.aliases)) for c in self.characters]


def load_cast(file: Path, pack: ModelPack) -> Cast:
    """Read a cast.

    Args:
        file: YAML; ``docs/dialogue.md`` describes it.
        pack: Whose voices there are.

    Raises:
        ConfigError: The file can't be read, holds something unknown, or names a voice that the pack lacks; the
            message says which line, and the nearest that there is.
    """
    tree, lines = _read(file)
    reader = _Reader(str(file), lines, pack)
    reader.known_keys(tree, (), _KEYS)
    narrator = reader.voice(tree.get("narrator"), ("narrator",)) or None
    raw = reader.mapping(tree.get("characters"), ("characters",))
    characters = tuple(reader.character(name, value) for name, value in raw.items())
    others = reader.mapping(tree.get("others"), ("others",))
    reader.known_keys(others, ("others",), _OTHER_KEYS)
    voices = {key: reader.voice(others.get(key), ("others", key)) for key in _OTHER_KEYS}
    reader.check_names(characters)
    return Cast(str(file), narrator, characters, voices["female"], voices["male"], voices["any"])


def first_cast(speakers: Iterable[tuple[str, Gender, int]], pack: ModelPack, narrator: str, title: str) -> str:
    """Return a cast to begin with, as YAML: voices given out in turn, to women, men and others by what is known.

    Args:
        speakers: Name, gender and number of quotations, most first.
        pack: Whose voices there are.
        narrator: The voice that reads the book; nobody else gets it while there are others.
        title: Of the book.
    """
    import yaml

    free = [voice for voice in pack.voices if voice.name != narrator] or list(pack.voices)
    rings = {
        "female": [v.name for v in free if _FEMALE.search(v.description)],
        "male": [v.name for v in free if _MALE.search(v.description) and not _FEMALE.search(v.description)],
    }
    turns = {kind: itertools.cycle(voices or [v.name for v in free]) for kind, voices in rings.items()}
    turns[""] = turns["neutral"] = itertools.cycle([v.name for v in free])
    lines = [
        f"# Who speaks in {' '.join(title.split())}, by number of quotations; aliases: every other name of somebody"
    ]
    lines += [f"narrator: {narrator}", "characters:"]
    for name, gender, count in speakers:
        if count >= MIN_TURNS:
            entry = {
                name: {"voice": next(turns[gender])} | ({"gender": gender} if gender else {}) | {"aliases": []}
            }
            plain = yaml.safe_dump(
                entry, allow_unicode=True, default_flow_style=None, sort_keys=False, width=1000
            )
            lines += [f"  {line}" for line in [f"# {count:,}", *plain.rstrip().split("\n")]]
    if lines[-1] == "characters:":
        lines[-1] = "characters: {}"
    others = {kind: voices[-1] for kind, voices in rings.items() if voices}
    lines += ["others:", *(f"  {kind}: {voice}" for kind, voice in others.items())] if others else []
    return "\n".join(lines) + "\n"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?", or what there is."""
    names = list(known)
    folded = {other.casefold(): other for other in names}
    near = difflib.get_close_matches(name.casefold(), folded, n=2, cutoff=0.5)
    if near:
        return f"; did you mean {' or '.join(repr(folded[other]) for other in near)}?"
    return f"; there is: {', '.join(names)}" if names else ""


Keys = tuple[str, ...]
"""of a value, from the top of the file"""


class _Reader:
    """Checks the parts of one file."""

    def __init__(self, file: str, lines: dict[Keys, int], pack: ModelPack):
        self._file = file
        self._lines = lines
        self._pack = pack

    def fail(self, path: Keys, message: str) -> ConfigError:
        line = self._lines.get(path)
        return ConfigError(f"{self._file}{f', line {line}' if line else ''}: {message}")

    def mapping(self, value: Any, path: Keys) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.fail(path, f"'{'.'.join(path)}' must hold keys and values, not {value!r}")
        return value

    def known_keys(self, tree: dict[str, Any], path: Keys, known: tuple[str, ...]) -> None:
        for key in tree:
            if key not in known:
                raise self.fail((*path, key), f"unknown key '{key}'{did_you_mean(key, known)}")

    def voice(self, value: Any, path: Keys) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.fail(path, f"'{'.'.join(path)}' must be a voice's name, not {value!r}")
        voices = [voice.name for voice in self._pack.voices]
        if value not in voices:
            hint = did_you_mean(value, voices)
            raise self.fail(path, f"the pack '{self._pack.name}' has no voice '{value}'{hint}")
        return value

    def character(self, name: str, value: Any) -> Character:
        path = ("characters", name)
        if name.casefold() in (NARRATOR, UNKNOWN):
            raise self.fail(path, f"'{name}' can't be a character: give 'narrator: VOICE' at the top instead")
        tree = {"voice": value} if value is None or isinstance(value, str) else self.mapping(value, path)
        self.known_keys(tree, path, _CHARACTER_KEYS)
        voice = self.voice(tree.get("voice"), path if isinstance(value, str) else (*path, "voice"))
        gender = tree.get("gender") or ""
        if gender and gender not in GENDERS:
            hint = did_you_mean(str(gender), GENDERS)
            raise self.fail((*path, "gender"), f"a gender is female, male or neutral, not {gender!r}{hint}")
        aliases = tree.get("aliases") or []
        if isinstance(aliases, str):
            aliases = [aliases]
        if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
            raise self.fail((*path, "aliases"), f"the aliases of '{name}' must be a list of names")
        gender = gender or Mention(name, "name").gender
        return Character(name, voice, gender, tuple(aliases), self._gender_of(voice))

    def _gender_of(self, voice: str) -> Gender:
        described = self._pack.voice(voice).description if voice else ""
        if _FEMALE.search(described):
            return "female"
        return "male" if _MALE.search(described) else ""

    def check_names(self, characters: Iterable[Character]) -> None:
        """See that no two are called the same."""
        taken: dict[tuple[str, ...], str] = {}
        for character in characters:
            for name in (character.name, *character.aliases):
                key = name_tokens(name) if name != "I" else ("I",)
                path = ("characters", character.name)
                if not key:
                    raise self.fail(path, f"{name!r} is no name")
                other = taken.setdefault(key, character.name)
                if other != character.name:
                    raise self.fail(
                        path, f"'{name}' is {character.name} and {other}; call one of them otherwise"
                    )


def _read(file: Path) -> tuple[dict[str, Any], dict[Keys, int]]:
    """Read YAML as strings, lists and mappings, with the line of each key; no key twice."""
    import yaml

    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"the cast {file} is larger than {MAX_FILE_BYTES:,} bytes")
        text = file.read_text(encoding="utf-8-sig")
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1
                raise ConfigError(
                    f"{file}, line {line}: '*{event.anchor}': write it out; anchors are not taken"
                )
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read the cast {file}: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"the cast {file} is not YAML: {error}") from error
    lines: dict[Keys, int] = {}

    def plain(node: Any, path: Keys) -> Any:
        if isinstance(node, yaml.MappingNode):
            tree: dict[str, Any] = {}
            for key_node, value_node in node.value:
                line = key_node.start_mark.line + 1
                if not isinstance(key_node, yaml.ScalarNode):
                    raise ConfigError(f"{file}, line {line}: a key must be a name")
                key = " ".join(key_node.value.split())
                if key in tree:
                    raise ConfigError(f"{file}, line {line}: '{key}' stands there twice")
                lines[(*path, key)] = line
                tree[key] = plain(value_node, (*path, key))
            return tree
        if isinstance(node, yaml.SequenceNode):
            return [plain(item, path) for item in node.value]
        return None if node.tag == "tag:yaml.org,2002:null" else node.value

    tree = {} if node is None else plain(node, ())
    if not isinstance(tree, dict):
        raise ConfigError(f"{file}: expected 'narrator:' and 'characters:' at the top; see docs/dialogue.md")
    return tree, lines
