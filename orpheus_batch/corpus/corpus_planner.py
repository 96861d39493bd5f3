"""Puts the texts of a corpus' sources into the ledger: what is kept becomes an item, the rest is counted by reason.

An item, once planned, stays as it was planned; a text that an earlier night has had is a duplicate.
"""

import dataclasses
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from orpheus_batch.config import Config
from orpheus_batch.corpus.choose import Sieve, Voices, corpus_segment, corpus_wish, settings_of, text_key
from orpheus_batch.corpus.items import BadRow, Item, Wish, Wisher, seed_of
from orpheus_batch.corpus.planner import BATCH_ROWS, record_of, source_digest
from orpheus_batch.corpus.rows import TableFormat
from orpheus_batch.corpus.sources import Text, read_texts
from orpheus_batch.errors import InputError
from orpheus_batch.ledger.corpus import CorpusLedger
from orpheus_batch.pipeline.books import lexicon_of
from orpheus_batch.pipeline.judge import batched
from orpheus_batch.pipeline.models import Models
from orpheus_batch.pipeline.parts import Part

logger = logging.getLogger(__name__)

DUPLICATE = "a duplicate"


class CorpusPlanner:
    """Plans the sources of one corpus.

    Args:
        ledger: Where to.
        models: For pack and fingerprint.
        config: The whole configuration.
        table: How tables are read.
        part: Which windows are this process' own.
    """

    def __init__(self, ledger: CorpusLedger, models: Models, config: Config, table: TableFormat, part: Part):
        pack = models.pack
        self._ledger = ledger
        self._pack = pack
        self._fingerprint = models.model_fingerprint
        self._config = config
        self._table = table
        self._part = part
        self._sieve = Sieve(pack, config.corpus)
        self._voices = Voices(pack, config.corpus.voices or config.voice)
        self._wisher = Wisher(pack, pack.default_voice, "flac", [])
        self._lexicon = lexicon_of(config, pack)
        text = dataclasses.asdict(config.text) | {"lexicon": self._lexicon.digest()}
        self._settings = settings_of(
            config.corpus, table.columns, [table.encoding, table.delimiter, text, part]
        )
        self._number = ledger.next_number()

    def plan(self, sources: Sequence[Path]) -> list[tuple[str, str]]:
        """Plan what is not planned yet.

        Returns:
            Sources that can't be read, each with the reason.
        """
        unreadable = []
        for path in sources:
            try:
                self._plan_source(path)
            except InputError as error:
                logger.warning("%s", error)
                unreadable.append((str(path), str(error)))
        return unreadable

    def _plan_source(self, path: Path) -> None:
        digest = source_digest(str(path), self._settings)
        source, is_planned = self._ledger.open_source(str(path), digest)
        if is_planned:
            return
        epoch = self._ledger.begin_source(source)
        left_out: Counter[str] = Counter()
        num_kept = 0
        for batch in batched(read_texts(path, self._config, self._table), BATCH_ROWS):
            num_kept += self._plan_batch(batch, path.name, source, epoch, left_out)
        report = {"kept": num_kept, "left_out": dict(left_out)}
        self._ledger.end_source(source, digest, report, leave_epoch=None)

    def _plan_batch(
        self, texts: Sequence[Text], name: str, source: int, epoch: int, left_out: Counter[str]
    ) -> int:
        """Plan some texts; return how many of them are items of this source."""
        spoken: list[tuple[str, str, Text]] = []
        for text in texts:
            try:
                words = self._sieve.spoken(text)
            except BadRow as error:
                left_out[str(error)] += 1
            else:
                spoken.append((text_key(words), words, text))
        known = self._ledger.known_items(key for key, _, _ in spoken)
        taken: set[str] = set()
        met, planned = [], []
        for key, words, text in spoken:
            found = known.get(key)
            if key in taken or (found and (found.source != source or found.epoch == epoch)):
                left_out[DUPLICATE] += 1
                continue
            if found:
                if found.on_line:
                    met.append((found.number, text.line))
                taken.add(key)
                continue
            voice = self._voices.voice(key, self._number)
            try:
                wish = corpus_wish(self._wisher, text, voice, self._config.corpus, key, name)
                respelt = self._respelt(words, text, wish.voice)
            except BadRow as error:
                left_out[str(error)] += 1
                continue
            taken.add(key)
            planned.append(record_of(self._item(key, respelt, wish)))
            self._number += 1
        self._ledger.plan_items(source, epoch, met, planned, [])
        return len(taken)

    def _respelt(self, words: str, text: Text, voice: str) -> str:
        """Return a text as a voice speaks it; the lexicon changes neither which texts there are nor their ids.

        Raises:
            BadRow: What the lexicon says is too long.
        """
        respeller = self._lexicon.respeller(self._pack.voice(voice))
        return self._sieve.spoken(text, respeller) if respeller else words

    def _item(self, key: str, words: str, wish: Wish) -> Item:
        number = self._number
        seed = seed_of(self._config.seed, key) if wish.seed is None else wish.seed
        if not self._part.owns(number // self._config.corpus.shard_items):
            return Item(key, number, dataclasses.replace(wish, line=None), seed, None, ())
        segment = corpus_segment(number, words, wish, seed, self._pack, self._fingerprint)
        return Item(key, number, wish, seed, None, (segment,))
