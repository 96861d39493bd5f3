"""A corpus on the line: items become FLAC files in a staging folder, and windows of them shards, once.

What is staged may be lost at any time: it is decoded again from the ledger's tokens. What is sealed is never
touched again.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from orpheus_batch.audio.stitch import StitchPiece
from orpheus_batch.config import Config
from orpheus_batch.corpus.audio_files import WORK_FOLDER, AudioFile, AudioFiles, AudioJob
from orpheus_batch.corpus.item_run import ItemRun, made_item, settings_digest
from orpheus_batch.corpus.nights import Night
from orpheus_batch.corpus.shards import Sample, facts_without_nothing, frames_of, write_shard
from orpheus_batch.ledger.corpus import CorpusLedger, ShardRecord
from orpheus_batch.ledger.item_records import ItemPiece, SettledItem, word_error_rate
from orpheus_batch.pipeline.books import predicted_s
from orpheus_batch.pipeline.models import Models
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.quality.stream_checks import usable_token_ids
from orpheus_batch.units import SAMPLE_RATE_HZ

ODD_PACE = 1.33
"""times as long as predicted, or as short: worth a flag, and far from a fault"""


class CorpusRun(ItemRun):
    """A corpus of one folder, open for writing until `close`.

    Args:
        ledger: Planned.
        models: For judging and decoding.
        config: The whole configuration.
        progress: Hears of takes.
        files: Makes the staged audio.
        out: The corpus' folder.
        night: When to begin nothing more.
    """

    title = "corpus"

    def __init__(
        self,
        ledger: CorpusLedger,
        models: Models,
        config: Config,
        progress: Progress,
        files: AudioFiles,
        out: Path,
        night: Night,
    ):
        super().__init__(ledger, models, config, progress, files, config.corpus.shard_items)
        self.ledger: CorpusLedger = ledger
        self.num_sealed = 0
        """shards, in this run"""
        self.was_stopped = False
        self._out = out
        self._night = night
        self._staged: dict[int, tuple[AudioFile, SettledItem]] = {}
        self._made_by = settings_digest(models, config)

    def stopped(self) -> bool:
        """Return whether the night is over."""
        self.was_stopped = self.was_stopped or self._night.is_over(self.settled_audio_s)
        return self.was_stopped

    def job(self, item: SettledItem, pieces: tuple[StitchPiece, ...]) -> AudioJob:
        """Return the staged file."""
        return AudioJob(item.number, self._out / WORK_FOLDER / "staged" / f"{item.number}.flac", "flac", pieces)

    def wants(self, item: SettledItem) -> bool:
        """Failed items are no part of a corpus."""
        return not item.failed

    def made(self, files: Sequence[AudioFile]) -> None:
        """Hold staged files until their window is whole."""
        for file in files:
            self._staged[file.number] = (file, self._in_work.pop(file.number))
        self.num_made += len(files)
        self.made_audio_s += sum(file.duration_s for file in files)

    def make_touched(self) -> None:
        """Stage what has settled, and seal the windows before the first that wants anything."""
        super().make_touched()
        first = self.ledger.first_pending_number()
        if first is None:
            return  # the end: `finish` seals what is left
        end = first // self._window_items * self._window_items
        if any(number < end for number in self._staged) or any(number < end for number in self._in_work):
            self.collect(wait=True)
            self._seal([number for number in self._staged if number < end])

    def finish(self) -> None:
        """Seal all that is settled, whole windows or not: the end of a night, or of the work."""
        self.collect(wait=True)
        self._seal(list(self._staged))

    def _seal(self, numbers: Sequence[int]) -> None:
        groups: dict[tuple[int, str], list[int]] = defaultdict(list)
        for number in sorted(numbers):
            _, item = self._staged[number]
            groups[number // self._window_items, item.split].append(number)
        for (window, split), members in sorted(groups.items()):
            self._seal_shard(self._free_name(split, window), members)

    def _free_name(self, split: str, window: int) -> str:
        """Return the window's name, or another where a night ended amid the window."""
        name = f"{split}-{window:06d}"
        taken = self.ledger.shard_names(name)
        return name if name not in taken else f"{name}-{len(taken)}"

    def _seal_shard(self, name: str, numbers: Sequence[int]) -> None:
        samples = [self._sample(*self._staged[number]) for number in numbers]
        sealed = write_shard(self._out, name, samples, self._config.corpus.layout)
        made = [made_item(*self._staged[number], failed=False) for number in numbers]
        audio_s = sum(item.duration_s for item in made)
        self.ledger.seal(
            ShardRecord(name, len(made), sealed.num_bytes, sealed.sha256, audio_s), made, self._made_by
        )
        for number in numbers:
            self._staged.pop(number)[0].path.unlink(missing_ok=True)
        self.num_sealed += 1

    def _sample(self, file: AudioFile, item: SettledItem) -> Sample:
        (piece,) = item.pieces
        pack = self._models.pack
        extra = json.loads(item.extra)
        codes = None
        if self._config.corpus.keep_codes:
            take = self.ledger.chosen_take(piece.segment.segment_id)
            if take is not None:
                ids = usable_token_ids(take.token_ids, pack.layout)
                codes = frames_of(ids, pack.layout.codebook_size, pack.layout.audio_offset)
        temperature = piece.segment.temperature
        facts = {
            "id": item.item_id,
            "text": item.text,
            "normalized_text": piece.segment.text,
            "voice": item.voice,
            "seed": piece.segment.seed + (piece.attempt or 0),
            "temperature": pack.sampling.temperature if temperature is None else temperature,
            "duration_s": round(file.duration_s, 6),
            "num_tokens": round(piece.num_audio_s * 24_000 / 2_048 * 7),
            "sample_rate_hz": SAMPLE_RATE_HZ,
            "loudness_db": file.loudness_db,
            "score": piece.score,
            "word_error_rate": word_error_rate(item.num_words, item.num_wrong_words),
            "heard": piece.measurements.get("heard"),
            "recogniser": piece.measurements.get("recogniser"),
            "attempts": piece.num_takes,
            "quality_flags": quality_flags(piece, predicted_s(pack, piece.segment.text)),
            "split": item.split,
            "source": extra.get("source"),
            "source_id": extra.get("source_id"),
            "model": pack.name,
            "model_sha256": self._models.model_fingerprint,
            "codec_sha256": self._models.codec_fingerprint,
            "licence": pack.licence,
            "text_licence": self._config.corpus.licence,
            "synthetic": True,
        }
        return Sample(item.item_id, file.path, facts_without_nothing(facts), codes)


def quality_flags(piece: ItemPiece, expected_s: float) -> list[str]:
    """Return what is worth knowing of a take that passed the checks, in fixed words, to be filtered by.

    Args:
        piece: The item's one segment, accepted.
        expected_s: How long its text would play, as the pack predicts.
    """
    ratio = piece.num_audio_s / expected_s
    flags = {
        "retaken": piece.num_takes > 1,
        "fast": ratio < 1 / ODD_PACE,
        "slow": ratio > ODD_PACE,
        "misheard": piece.measurements.get("num_wrong_words", 0) > 0,
        "seed ignored": not piece.seed_honoured,
    }
    return [name for name, is_so in flags.items() if is_so]
