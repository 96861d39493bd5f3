"""Finds who is said to speak in the narration beside a quotation: "said the Hatter", "Alice replied,".

Works on words alone: a list of verbs that carry speech, determiners, capitals. It does not know the cast; what
it finds is a *mention*, the words that stand for somebody.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from orpheus_batch.text.dialogue.speech_words import (
    ADVERBS,
    AUXILIARIES,
    DETERMINERS,
    GROUPS,
    LINKS,
    NOT_INVERTED,
    NOT_LY,
    NOT_NAMES,
    NOUNS,
    OBJECTS,
    PHRASAL,
    PRONOUNS,
    STOPS,
    TITLES,
    VERBS,
    Gender,
)

MAX_AFTER_VERB = 14
"""words between "Alice replied" and the quotation that it introduces"""
MAX_NOUNS = 5
"""words of "the old man in the corner", before "in" """

_WORD = re.compile(
    r"(?:Mr|Mrs|Ms|Dr|St|Messrs|Prof|Capt|Col|Gen|Lt|Lieut|Sgt|Rev|Revd|Hon|Mme|Mlle|Insp|Supt|Gov|Sr|Jr|Esq)\."
    r"|[A-HJ-Z]\.(?=[\s\w])"
    r"|[^\W\d_]+(?:[’'\-–][^\W\d_]+)*|\d+|[^\w\s]"
)


@dataclass(frozen=True, slots=True)
class Mention:
    """Words that stand for whoever speaks."""

    text: str
    """as the book has it: "the Mad Hatter", "Mr. Holmes", "he" """
    kind: Literal["name", "pronoun", "group"]
    evidence: str = ""
    """with its verb: "said the Mad Hatter" """

    @property
    def tokens(self) -> tuple[str, ...]:
        """Its words in lower case without determiner and full stops."""
        return name_tokens(self.text)

    @property
    def gender(self) -> Gender:
        """What its title, its noun or the pronoun itself says."""
        if self.kind == "pronoun":
            return {"he": "male", "she": "female", "it": "neutral"}.get(self.text.lower(), "")  # type: ignore[return-value]
        tokens = self.tokens
        for token in tokens[:1]:
            if TITLES.get(token):
                return TITLES[token]
        return NOUNS.get(tokens[-1], TITLES.get(tokens[-1], "")) if tokens else ""


def name_tokens(text: str) -> tuple[str, ...]:
    """Return a name's words, folded, without determiner: "the Mad Hatter" is ("mad", "hatter")."""
    found = [token.rstrip(".").lower().replace("’", "'") for token in _WORD.findall(text)]
    found = [token for token in found if token and (token[0].isalnum())]
    while len(found) > 1 and found[0] in DETERMINERS:
        found = found[1:]
    return tuple(found)


def tokenize(text: str) -> list[re.Match[str]]:
    """Return the words and marks of a text."""
    return list(_WORD.finditer(text))


def mention_after(narration: str, *, ended: bool) -> Mention | None:
    """Find the speaker in what follows a quotation: "said Alice", "the Hatter asked".

    Args:
        narration: From the quotation's end to the next one, or to the paragraph's end.
        ended: The quotation ended in a full stop, so what follows may be a sentence of its own.
    """
    matches = tokenize(narration[:300])
    tokens = [match.group() for match in matches]
    i = 0
    while i < len(tokens) and (not tokens[i][0].isalnum() and tokens[i] not in ".!?"):
        i += 1
    begin = i
    if i >= len(tokens) or tokens[i] in ".!?":
        return None
    if _verb(tokens, i) and tokens[i][0].islower() and tokens[i] not in NOT_INVERTED:
        found = _inverted(tokens, i)
    else:
        found = _straight(tokens, i, ended)
    return _evident(found[0], narration, matches, begin, found[1]) if found is not None else None


def _inverted(tokens: Sequence[str], i: int) -> tuple[Mention, int] | None:
    """Read "said Alice", "said quietly the old man"."""
    verb_end = _verb(tokens, i)
    return _noun_phrase(tokens, _skip_adverbs(tokens, verb_end)) or _noun_phrase(tokens, verb_end)


def _straight(tokens: Sequence[str], i: int, ended: bool) -> tuple[Mention, int] | None:
    """Read "Alice said", where it belongs to the quotation before it and begins no sentence of its own."""
    found = _noun_phrase(tokens, i)
    if found is None:
        return None
    mention, after = found
    capital = tokens[i][0].isupper() and tokens[i] != "I"
    if (ended and tokens[i][0].isupper()) or (
        capital and (mention.kind != "name" or tokens[i].lower() in DETERMINERS)
    ):
        return None
    end = _verb(tokens, _skip_to_verb(tokens, after))
    if not end or (end < len(tokens) and tokens[end].lower() in OBJECTS):
        return None
    return mention, end


def mention_before(narration: str) -> Mention | None:
    """Find the speaker in what leads up to a quotation: "Alice replied, rather shyly,".

    Args:
        narration: From the quotation before, or from the paragraph's beginning.
    """
    stripped = narration.rstrip(" _*([")
    if not stripped or (stripped[-1] not in ",:—–-" and not stripped[-1].isalnum()):
        return None
    matches = tokenize(stripped[-400:])
    offset = len(stripped) - len(stripped[-400:])
    tokens = [match.group() for match in matches]
    bare = stripped[-1].isalnum()
    while tokens and not tokens[-1][0].isalnum():
        tokens.pop()
    start = next((k + 1 for k in reversed(range(len(tokens))) if tokens[k] in ".!?"), 0)
    for j in reversed(range(max(start, len(tokens) - MAX_AFTER_VERB - 1), len(tokens))):
        verb_end = _verb(tokens, j)
        if not verb_end or (verb_end < len(tokens) and tokens[verb_end].lower() in OBJECTS):
            continue
        if bare and _skip_adverbs(tokens, verb_end) < len(tokens):
            continue
        if tokens[j] not in NOT_INVERTED and j > start and tokens[j - 1] in ",;":
            inverted = _noun_phrase(tokens, verb_end)
            if inverted is not None and inverted[0].kind != "pronoun":
                return _evident(inverted[0], stripped[offset:], matches, j, inverted[1])
        subject = _subject_before(tokens, j, start)
        if subject is None and j > start + 1 and tokens[j - 1].lower() in ("and", "but", "then", ","):
            subject = _first_subject(tokens, start, j)
        if subject is not None:
            mention, first = subject
            return _evident(mention, stripped[offset:], matches, first, verb_end)
    return None


def sentence_subject(sentence: str) -> Mention | None:
    """Return who a sentence begins with, where somebody does: "Holmes laughed", "The Hatter opened his eyes"."""
    tokens = [match.group() for match in tokenize(sentence[:200])]
    i = 0
    while i < len(tokens) and not tokens[i][0].isalnum():
        i += 1
    if i >= len(tokens):
        return None
    lowered = tokens[i].lower()
    if lowered in DETERMINERS or lowered in PRONOUNS:
        tokens[i] = tokens[i] if tokens[i] == "I" else lowered
    found = _noun_phrase(tokens, i)
    if found is None:
        return None
    mention, end = found
    if mention.kind == "group" or end >= len(tokens) or not tokens[end][0].isalpha():
        return mention if mention.kind == "name" and end < len(tokens) and tokens[end] == "," else None
    return mention


def names_in(text: str) -> list[Mention]:
    """Return every proper name of a text, capitalised words in the middle of sentences and titles before names."""
    matches = tokenize(text)
    tokens = [match.group() for match in matches]
    found: list[Mention] = []
    i = 0
    while i < len(tokens):
        if tokens[i][0].isupper() and tokens[i].lower() not in NOT_NAMES:
            mention, end = _proper_name(tokens, i)
            found.append(mention)
            i = end
        else:
            i += 1
    return found


def described_in(text: str, gender: Gender) -> list[int]:
    """Return where a text tells of somebody of a gender by a noun alone: "the old man", "a lady".

    Returns:
        Places of the words after the determiner, as `Roster.known_in` gives them.
    """
    matches = tokenize(text)
    found = []
    for i in range(len(matches) - 1):
        if matches[i].group().lower() not in DETERMINERS:
            continue
        mention = _described([match.group() for match in matches[i : i + MAX_NOUNS + 4]], 0)
        if mention is not None and mention[0].gender == gender:
            found.append(matches[i + 1].start())
    return found


def _evident(
    mention: Mention, narration: str, matches: Sequence[re.Match[str]], first: int, end: int
) -> Mention:
    evidence = narration[matches[first].start() : matches[end - 1].end()]
    return Mention(mention.text, mention.kind, evidence)


def _verb(tokens: Sequence[str], i: int) -> int:
    """Return where a verb of speech at ``i`` ends, 0 where none is there."""
    if i >= len(tokens):
        return 0
    verb = tokens[i].lower()
    particle = tokens[i + 1].lower() if i + 1 < len(tokens) else ""
    if verb in PHRASAL and particle in PHRASAL[verb].split():
        return i + 2
    if verb.endswith("ing") and i and (tokens[i - 1].lower() in AUXILIARIES or tokens[i - 1] == ","):
        return i + 1 if verb[:-3] in VERBS or verb[:-3] + "e" in VERBS else 0
    return i + 1 if verb in VERBS else 0


def _skip_adverbs(tokens: Sequence[str], i: int) -> int:
    while i < len(tokens) and (_is_adverb(tokens[i]) and tokens[i].islower()):
        i += 1
    return i


def _skip_to_verb(tokens: Sequence[str], i: int) -> int:
    """Step over what may stand between a subject and its verb: "Alice, too, hastily replied"."""
    start = i
    while i < len(tokens) and i - start < 6:
        token = tokens[i].lower()
        if _verb(tokens, i):
            return i
        if token in AUXILIARIES or token in ADVERBS or _is_adverb(token):
            i += 1
        elif (
            token == ","
            and i + 2 < len(tokens)
            and (tokens[i + 1].lower() in ("too", "also", "however", "at", "in"))
        ):
            closing = next((k for k in range(i + 1, min(i + 6, len(tokens))) if tokens[k] == ","), 0)
            if not closing:
                return i
            i = closing + 1
        else:
            return i
    return i


def _is_adverb(token: str) -> bool:
    return (token.endswith("ly") and token not in NOT_LY) or token in ADVERBS


def _noun_phrase(tokens: Sequence[str], i: int) -> tuple[Mention, int] | None:  # noqa: PLR0911 (a decision list)
    """Read somebody at ``i``: a pronoun, a name, or a determiner with its nouns."""
    if i >= len(tokens) or not tokens[i][0].isalpha():
        return None
    token, lowered = tokens[i], tokens[i].lower()
    if token == "I" or (lowered in PRONOUNS and lowered != "i"):
        kind = "group" if lowered in ("they", "we", "you", "who") else "pronoun"
        return Mention(token, kind), i + 1
    if lowered in GROUPS and lowered not in DETERMINERS:
        return Mention(token, "group"), i + 1
    if lowered in DETERMINERS:
        return _described(tokens, i)
    if token[0].isupper() and lowered not in NOT_NAMES:
        return _proper_name(tokens, i)
    if (
        lowered in ("little", "poor", "old", "young", "dear", "good")
        and i + 1 < len(tokens)
        and tokens[i + 1][0].isupper()
    ):
        return _noun_phrase(tokens, i + 1)
    return None


def _proper_name(tokens: Sequence[str], i: int) -> tuple[Mention, int]:
    end = i + 1
    while end < len(tokens):
        if tokens[end][0].isupper() and tokens[end] != "I" and tokens[end].lower() not in ("mr.", "he", "she"):
            end += 1
        elif tokens[end].lower() in LINKS and end + 1 < len(tokens) and tokens[end + 1][0].isupper():
            end += 2
        else:
            break
    name = " ".join(tokens[i:end])
    return Mention(re.sub(r"['’]s$", "", name), "name"), end


def _described(tokens: Sequence[str], i: int) -> tuple[Mention, int] | None:
    """Read a determiner and what follows it: "the old man", "his friend", "the Queen of Hearts"."""
    end = i + 1
    while end < len(tokens) and end - i <= MAX_NOUNS:
        token = tokens[end]
        lowered = token.lower()
        if not token[0].isalpha() or (lowered in STOPS and token[0].islower()):
            break
        if (
            end > i + 1
            and token.islower()
            and (lowered in VERBS or (_is_adverb(lowered)) or lowered.endswith("ing"))
        ):
            break
        end += 1
    if end == i + 1:
        return None
    if end + 1 < len(tokens) and tokens[end] == "of" and tokens[end + 1][0].isupper():
        end += 2
    elif (
        end + 2 < len(tokens)
        and tokens[end] == "of"
        and tokens[end + 1] == "the"
        and tokens[end + 2][0].isalpha()
    ):
        end += 3
    vague = tokens[end - 1].lower() in GROUPS or tokens[i + 1].lower() in ("other", "others", "two", "of")
    kind = "group" if vague or tokens[i].lower() == "another" else "name"
    return Mention(" ".join(tokens[i:end]), kind), end


def _first_subject(tokens: Sequence[str], start: int, verb: int) -> tuple[Mention, int] | None:
    """Read the subject of "The captain turned to Slade and said": who the sentence begins with."""
    lowered = [
        *tokens[:start],
        tokens[start] if tokens[start] == "I" else tokens[start].lower(),
        *tokens[start + 1 :],
    ]
    is_plain = lowered[start] in DETERMINERS or lowered[start] in PRONOUNS or tokens[start] == "I"
    found = _noun_phrase(lowered if is_plain else tokens, start)
    if (
        found is None
        or found[1] >= verb
        or not tokens[found[1]][0].islower()
        or tokens[found[1]] in ("and", "or")
    ):
        return None
    return found[0], start


def _subject_before(tokens: Sequence[str], verb: int, start: int) -> tuple[Mention, int] | None:
    """Read the subject that ends before a verb, stepping back over adverbs and auxiliaries."""
    end = verb
    while end > start and (
        tokens[end - 1].lower() in AUXILIARIES
        or (_is_adverb(tokens[end - 1].lower()) and tokens[end - 1].islower())
    ):
        end -= 1
    if end <= start:
        return None
    for first in range(max(start, end - MAX_NOUNS - 2), end):
        token = tokens[first]
        if not token[0].isalpha():
            continue
        if (
            first > start
            and token[0].isupper()
            and tokens[first - 1][0].isupper()
            and tokens[first - 1].lower() not in NOT_NAMES
        ):
            continue
        lowered = [token if token == "I" else token.lower(), *tokens[first + 1 : end]]
        candidate = lowered if lowered[0] in DETERMINERS or lowered[0] in PRONOUNS else tokens[first:end]
        found = _noun_phrase(candidate, 0)
        if found is not None and found[1] == len(candidate):
            return found[0], first
    return None
