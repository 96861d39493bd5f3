"""Opening and closing credits, spoken by the book's voice: tiny books of their own beside it.

They go through the whole line, with a ledger each, so they are spoken once and never lost. What they say is not
decided here.
"""

import dataclasses
from pathlib import Path

from orpheus_batch.config import Config, TextConfig
from orpheus_batch.errors import DeliveryError, LedgerError
from orpheus_batch.fingerprint import sha256_file
from orpheus_batch.ledger.store import Ledger
from orpheus_batch.pipeline.books import book_folders
from orpheus_batch.pipeline.models import Factories, pack_of
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.pipeline.run import render_books

CREDITS_FOLDER = "credits"


def render_credits(
    texts: dict[str, str], book_folder: Path, config: Config, factories: Factories, progress: Progress
) -> dict[str, Path]:
    """Speak credits that were not spoken yet, and return the folder of each with its ledger.

    Args:
        texts: What to say, by what it is called.
        book_folder: Of the book; they get a folder in it.
        config: The book's own: voice, model and seed.
        factories: How engine and codec are made; the model is loaded only if something is new.
        progress: Hears of every step.

    Raises:
        DeliveryError: They can't be spoken.
        OrpheusBatchError: As in `render_books`.
    """
    if config.text.cast is not None:  # they are the narrator's
        config = dataclasses.replace(config, voice=config.voice or pack_of(config).default_voice)
    sources: dict[str, Path] = {}
    for name, text in texts.items():
        source = sources[name] = book_folder / CREDITS_FOLDER / f"{name}.txt"
        try:
            source.parent.mkdir(parents=True, exist_ok=True)
            content = "\n".join(f"{line}\n" for line in text.split("\n"))
            if not source.is_file() or source.read_text(encoding="utf-8") != content:
                source.write_text(content, encoding="utf-8")
        except OSError as error:
            raise DeliveryError(
                f"can't write the credits {source}: {error.strerror or error}; leave them out with --no-credits, "
                "or put the book's folder where it can be written"
            ) from error
    folders = {name: _finished(source, config) for name, source in sources.items()}
    new = [name for name, folder in folders.items() if folder is None]
    if new:
        # How a book is read says nothing of these; how its words are said does.
        text = TextConfig(
            encoding="utf-8",
            lexicon=config.text.lexicon,
            min_chars=config.text.min_chars,
            max_chars=config.text.max_chars,
        )
        report = render_books(
            [sources[name] for name in new],
            book_folder / CREDITS_FOLDER,
            dataclasses.replace(config, text=text),
            factories=factories,
            progress=progress,
        )
        for name, book in zip(new, report.books, strict=True):
            if book.error:
                raise DeliveryError(f"the {name.lower()} can't be spoken: {book.error}")
            folders[name] = Path(book.folder)
    return {name: folder for name, folder in folders.items() if folder is not None}


def _finished(source: Path, config: Config) -> Path | None:
    """Return the folder in which this very text was spoken by this voice, None where it was not."""
    wanted = config.to_dict()
    for folder in book_folders(source.parent):
        try:
            with Ledger.open(folder, read_only=True) as ledger:
                recorded, facts = ledger.facts().get("config", {}), ledger.facts().get("book")
                if (
                    facts is not None
                    and facts["source_sha256"] == sha256_file(source)
                    and not ledger.summary().num_pending
                    and all(recorded[key] == wanted[key] for key in ("voice", "seed", "model", "sampling"))
                ):
                    return folder
        except LedgerError:  # of an older release, or damaged: rendering mends it, or says why not
            continue
    return None
