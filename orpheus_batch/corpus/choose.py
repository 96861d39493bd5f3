"""What of a corpus' texts is spoken, by which voice, and into which split it goes.

All of it follows from the text alone (round-robin apart), so a sentence fares the same on every night, in
whatever order sources are given.
"""

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence

from orpheus_batch.config import CorpusConfig
from orpheus_batch.corpus.items import BadRow, Wish, Wisher
from orpheus_batch.corpus.sources import Text
from orpheus_batch.data import Boundary, Segment
from orpheus_batch.errors import ConfigError
from orpheus_batch.text.lexicon import Respeller, respell
from orpheus_batch.text.normalize import end_with_stop, normalize
from orpheus_batch.text.segment import segment_id, segment_limits
from orpheus_batch.voices import ModelPack

_NO_WORD = re.compile(r"[\W_]+")


class Sieve:
    """Decides which texts are spoken, and as what.

    Args:
        pack: Its alphabet and limits.
        config: Lengths and characters.

    Raises:
        ConfigError: The limits exclude each other, or ``characters`` is no set of characters.
    """

    def __init__(self, pack: ModelPack, config: CorpusConfig):
        self._pack = pack
        self._low, self._high = segment_limits(pack, config.min_chars, config.max_chars)
        self._other = None
        if config.characters is not None:
            try:
                self._other = re.compile(f"[^{config.characters}]")
            except re.error as error:
                raise ConfigError(
                    f"corpus.characters: '{config.characters}' is not what may stand between the brackets of a "
                    f"regular expression: {error}"
                ) from error

    def spoken(self, text: Text, respeller: Respeller | None = None) -> str:
        """Return a text as it is spoken.

        Args:
            text: Of a source.
            respeller: Of its voice.

        Raises:
            BadRow: It is left out; the message is one of few, to be counted.
        """
        if text.problem:
            raise BadRow(text.problem)
        plain = " ".join(text.text.split())
        if len(plain) > 4 * self._high:
            raise BadRow("too long")
        if self._other is not None and self._other.search(plain):
            raise BadRow("characters that were not asked for")
        written = respell(plain, respeller.find(plain)) if respeller else plain
        words = self._pack.puts_into_words(self._pack.default_voice)
        spoken = normalize(written, alphabet=self._pack.alphabet, tags=self._pack.tags, words=words)
        if not spoken:
            raise BadRow("no pronounceable characters")
        spoken = end_with_stop(spoken)
        if len(spoken) > self._high:
            raise BadRow("too long")
        if len(spoken) < self._low:
            raise BadRow("too short")
        return spoken


def text_key(spoken: str) -> str:
    """Return an id by which texts are the same: their words, whatever the punctuation and capitals."""
    words = _NO_WORD.sub(" ", spoken.casefold()).strip()
    return hashlib.sha256(words.encode()).hexdigest()[:16]


class Voices:
    """Gives each item its voice.

    Args:
        pack: Whose voices there are.
        spec: "tara=3,leo=1" by weights, "tara,leo" by turns, "" or None for the pack's own.

    Raises:
        ConfigError: No such voice, or not a weight.
    """

    def __init__(self, pack: ModelPack, spec: str | None):
        weights: dict[str, float] = {}
        self._by_turns = True
        for part in (spec or pack.default_voice).split(","):
            name, weighted, weight = part.strip().partition("=")
            pack.voice(name.strip())
            try:
                weights[name.strip()] = float(weight) if weighted else 1.0
            except ValueError:
                raise ConfigError(f"corpus.voices: '{part}': the weight is not a number") from None
            self._by_turns &= not weighted
        if not all(0 <= weight < 1e9 for weight in weights.values()) or not sum(weights.values()):
            raise ConfigError(f"corpus.voices: '{spec}': weights are numbers from 0, and one is above it")
        self._names = list(weights)
        self._bounds = list(itertools.accumulate(weights.values()))

    def voice(self, item_id: str, number: int) -> str:
        """Return an item's voice: by its number where voices take turns, else drawn by its id."""
        if self._by_turns:
            return self._names[number % len(self._names)]
        drawn = share_of(item_id, "voice") * self._bounds[-1]
        return next(name for name, bound in zip(self._names, self._bounds, strict=True) if drawn < bound)


def split_of(item_id: str, config: CorpusConfig) -> str:
    """Return an item's split: by its id, so it never moves."""
    drawn = share_of(item_id, "split")
    if drawn < config.test_share:
        return "test"
    return "validation" if drawn < config.test_share + config.validation_share else "train"


def share_of(item_id: str, what: str) -> float:
    """Return a number in [0, 1) that is an item's own, another one for each purpose."""
    digest = hashlib.sha256(f"{what}|{item_id}".encode()).digest()
    return int.from_bytes(digest[:6], "little") / (1 << 48)


def corpus_wish(
    wisher: Wisher, text: Text, voice: str, config: CorpusConfig, item_id: str, source: str
) -> Wish:
    """Return what a text asks for; a row's own voice, seed and temperature go before the corpus'.

    Raises:
        BadRow: The row asks for what can't be.
    """
    values = {name: text.values[name] for name in ("voice", "seed", "temperature") if name in text.values}
    wish = wisher.wish(text.line, {"text": text.text, "voice": voice} | values)
    extra = {"source": source}
    if isinstance(text.values.get("id"), str | int):
        extra["source_id"] = str(text.values["id"])
    return dataclasses.replace(wish, item_id=item_id, split=split_of(item_id, config), extra=extra)


def corpus_segment(
    number: int, spoken: str, wish: Wish, seed: int, pack: ModelPack, fingerprint: str
) -> Segment:
    """Return the one segment of an item."""
    sampling = pack.sampling
    if wish.temperature is not None:
        sampling = dataclasses.replace(sampling, temperature=wish.temperature)
    return Segment(
        segment_id=segment_id(spoken, wish.voice, fingerprint, sampling, seed),
        chapter_index=number,
        index=0,
        text=spoken,
        voice=wish.voice,
        boundary=Boundary.CHAPTER,
        pause_after_s=0.0,
        start=0,
        end=len(wish.text),
        seed=seed,
        temperature=wish.temperature,
    )


def settings_of(config: CorpusConfig, table: Mapping[str, str], others: Sequence[object]) -> str:
    """Return all that decides what becomes of a source's texts, as text to be hashed."""
    return json.dumps(
        [config.min_chars, config.max_chars, config.characters, dict(table), *others],
        sort_keys=True,
        default=str,
    )
