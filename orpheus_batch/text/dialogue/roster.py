"""Knows who may speak in a book: the cast's characters, or, without a cast, whoever the narration names.

Turns a mention ("Mr. Holmes", "the Hatter") into one of them, only where exactly one is meant. Voices are not
known here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orpheus_batch.text.abbreviations import words
from orpheus_batch.text.dialogue.mentions import Mention, name_tokens, tokenize
from orpheus_batch.text.dialogue.speech_words import TITLES, Gender

FIRST_PERSON = "I"
"""speaker of "said I" where no character has "I" among its aliases"""
MIN_EVIDENCE = 6
"""pronouns after a name from which on they tell its gender"""
SURE = 0.9
"""share of them that must agree"""

_SAME_TITLE = {
    "doctor": "dr", "mister": "mr", "captain": "capt", "professor": "prof", "colonel": "col", "inspector": "insp",
    "lieut": "lt", "lieutenant": "lt", "sergeant": "sgt", "general": "gen", "reverend": "rev", "revd": "rev",
    "superintendent": "supt", "governor": "gov", "madame": "mme", "mademoiselle": "mlle", "saint": "st",
}  # fmt: skip
_RANKS = words(
    "dr capt col prof insp lt sgt gen rev king queen prince princess duke duchess baron baroness count countess "
    "major judge bishop dean emperor empress admiral commander constable supt gov president"
)
"""titles that stand for their bearer: "said the captain" """
_QUALITIES = words("old poor little young dear good great big honest worthy gallant unfortunate")
_HIS = words("he him his himself")
_HER = words("she her hers herself")


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody who speaks."""

    name: str
    """a character's, or, for one who is not in the cast, the words of the book: "old man" """
    gender: Gender = ""
    is_known: bool = True
    """a character of the cast, or somebody who is named more than once"""


class Roster:
    """Characters by what they are called."""

    def __init__(self, characters: Iterable[tuple[Speaker, Sequence[str]]]):
        """Make a roster.

        Args:
            characters: Each with everything that it is called, its name included.
        """
        self._speakers: dict[str, Speaker] = {}
        exact: dict[tuple[str, ...], set[str]] = defaultdict(set)
        bare: dict[tuple[str, ...], set[str]] = defaultdict(set)
        parts: dict[tuple[str, ...], set[str]] = defaultdict(set)
        titles: dict[str, set[str]] = defaultdict(set)
        self.first_person = Speaker(FIRST_PERSON, "", is_known=True)
        """whoever tells the story as "I" """
        for speaker, forms in characters:
            self._speakers[speaker.name] = speaker
            for form in forms:
                if form == FIRST_PERSON:
                    self.first_person = speaker
                    continue
                tokens = _folded(name_tokens(form))
                if not tokens:
                    continue
                exact[tokens].add(speaker.name)
                rest = _without_title(tokens)
                bare[rest].add(speaker.name)
                for cut in range(1, len(rest)):
                    parts[rest[:cut]].add(speaker.name)
                    parts[rest[cut:]].add(speaker.name)
                if tokens[0] in _RANKS:
                    titles[tokens[0]].add(speaker.name)
        self._exact, self._bare, self._parts, self._titles = exact, bare, parts, titles
        self._longest = max(map(len, exact), default=0)

    @property
    def speakers(self) -> list[Speaker]:
        """All characters."""
        return list(self._speakers.values())

    def resolve(self, mention: Mention) -> Speaker | None:
        """Return who is meant by a name or by "I"; somebody unknown is a speaker of that name.

        None for other pronouns, for groups, and where two characters may be meant.
        """
        if mention.kind == "pronoun":
            return self.first_person if mention.text == "I" else None
        tokens = _folded(mention.tokens)
        if mention.kind == "group" or not tokens:
            known = self._exact.get(tokens, set())
            return self._speakers[next(iter(known))] if len(known) == 1 else None
        found = self._find(tokens, mention.gender)
        if len(found) == 1:
            return self._speakers[found.pop()]
        return None if found else Speaker(display_name(mention.text), mention.gender, is_known=False)

    def known_in(self, text: str) -> list[tuple[Speaker, int]]:
        """Return the characters that a text names, in order, each with the place of its name."""
        matches = tokenize(text)
        tokens = [match.group() for match in matches]
        folded = _folded(tuple(token.rstrip(".").lower().replace("’", "'") for token in tokens))
        folded = tuple(token[:-2] if token.endswith("'s") else token for token in folded)
        found: list[tuple[Speaker, int]] = []
        i = 0
        while i < len(tokens):
            step = 1
            for size in range(min(self._longest, len(tokens) - i), 0, -1):
                key = folded[i : i + size]
                names = self._exact.get(key) or self._bare.get(key) or set()
                if not names and size == 1 and tokens[i][0].isupper():
                    names = self._parts.get(key, set())
                if len(names) == 1 and (tokens[i] != "I"):
                    found.append((self._speakers[next(iter(names))], matches[i].start()))
                    step = size
                    break
            i += step
        return found

    def _find(self, tokens: tuple[str, ...], gender: Gender) -> set[str]:
        """Return the names of all who may be meant, the nearest way of calling them first."""
        for index, key in (
            (self._exact, tokens),
            (self._exact, _without_qualities(tokens)),
            (self._bare, _without_title(tokens)),
            (self._parts, _without_title(_without_qualities(tokens))),
        ):
            found = {name for name in index.get(key, ()) if _agree(self._speakers[name].gender, gender)}
            if found:
                return found
        if len(tokens) == 1 and tokens[0] in self._titles:
            return set(self._titles[tokens[0]])
        rest = _without_title(tokens)
        longer = set()
        for cut in range(1, len(rest)):
            longer |= self._bare.get(rest[:cut], set()) | self._bare.get(rest[cut:], set())
        return {name for name in longer if _agree(self._speakers[name].gender, gender)}


def roster_of_book(mentions: Iterable[Mention], narration: Sequence[str]) -> Roster:
    """Make a roster of a book without a cast: everybody whom its narration names as speaking.

    Args:
        mentions: Of speakers, all of the book's.
        narration: Its text outside quotations, to learn genders from.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    shown: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    genders: dict[tuple[str, ...], Gender] = {}
    for mention in mentions:
        if mention.kind != "name":
            continue
        tokens = _without_qualities(_folded(mention.tokens))
        counts[tokens] += 1
        shown[tokens][display_name(mention.text)] += 1
        genders[tokens] = mention.gender or genders.get(tokens, "")
    groups: list[list[tuple[str, ...]]] = []
    for tokens in sorted(counts, key=lambda t: (-len(_without_title(t)), -counts[t], t)):
        rest = _without_title(tokens)
        homes = [group for group in groups if any(_same(tokens, rest, other, genders) for other in group)]
        equal = [group for group in homes if any(_without_title(other) == rest for other in group)]
        if len(equal) == 1 or len(homes) == 1:
            (equal if len(equal) == 1 else homes)[0].append(tokens)
        else:
            groups.append([tokens])
    characters = []
    for group in groups:
        name = max(
            (text for tokens in group for text in shown[tokens]),
            key=lambda text, group=group: (sum(shown[tokens][text] for tokens in group), len(text)),
        )
        gender = next((genders[tokens] for tokens in group if genders[tokens]), "")
        forms = [text for tokens in group for text in shown[tokens]]
        known = sum(counts[tokens] for tokens in group) > 1
        characters.append((Speaker(name, gender, is_known=known), forms))
    return with_genders(characters, narration)


def with_genders(characters: Sequence[tuple[Speaker, Sequence[str]]], narration: Sequence[str]) -> Roster:
    """Make a roster, and learn the genders that are not given from the pronouns that follow names.

    Args:
        characters: As for `Roster`.
        narration: The book's text outside quotations.
    """
    roster = Roster(characters)
    unknown = {speaker.name for speaker, _ in characters if not speaker.gender}
    if not unknown:
        return roster
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for text in narration:
        known = roster.known_in(text)
        for number, (speaker, place) in enumerate(known):
            if speaker.name not in unknown:
                continue
            end = known[number + 1][1] if number + 1 < len(known) else len(text)
            following = [match.group().lower() for match in tokenize(text[place:end])[1:30]]
            pronoun = next((token for token in following if token in _HIS or token in _HER), "")
            if pronoun:
                counts[speaker.name]["male" if pronoun in _HIS else "female"] += 1
    learned = {}
    for name, count in counts.items():
        (gender, most), total = count.most_common(1)[0], sum(count.values())
        if total >= MIN_EVIDENCE and most >= SURE * total:
            learned[name] = gender
    return Roster(
        [(Speaker(s.name, s.gender or learned.get(s.name, ""), s.is_known), forms) for s, forms in characters]
    )


def _folded(tokens: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_SAME_TITLE.get(token, token) for token in tokens)


def _without_title(tokens: tuple[str, ...]) -> tuple[str, ...]:
    while len(tokens) > 1 and tokens[0] in TITLES and tokens[1] not in ("of", "de", "the"):
        tokens = tokens[1:]
    return tokens


def _without_qualities(tokens: tuple[str, ...]) -> tuple[str, ...]:
    while len(tokens) > 1 and tokens[0] in _QUALITIES:
        tokens = tokens[1:]
    return tokens


def _agree(one: Gender, other: Gender) -> bool:
    return not one or not other or one == other


def _same(
    tokens: tuple[str, ...],
    rest: tuple[str, ...],
    other: tuple[str, ...],
    genders: dict[tuple[str, ...], Gender],
) -> bool:
    """Say whether a shorter name may be a longer one's: Holmes, Mr. Sherlock Holmes."""
    bare = _without_title(other)
    if not _agree(genders.get(tokens, ""), genders.get(other, "")):
        return False
    size = len(rest)
    return bare == rest or (size < len(bare) and rest in (bare[:size], bare[-size:]))


def display_name(text: str) -> str:
    """Return a mention as a name: without determiner."""
    words = text.split()
    while len(words) > 1 and words[0].lower() in (
        "the",
        "a",
        "an",
        "my",
        "his",
        "her",
        "our",
        "their",
        "this",
        "that",
    ):
        words = words[1:]
    return " ".join(words)
