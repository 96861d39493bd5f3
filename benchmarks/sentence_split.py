"""How well does the sentence splitter do, beside plain Punkt and pySBD?

Two questions. *Golden rules*: pySBD's 48 English examples, which we did not write, read from the installed
wheel (``pip install pysbd==0.3.4``); one point an example that comes out exactly. *Wrapped novels*: on books
whose lines are wrapped by hand, how many sentences end at a mere line wrap, that is at a single line end with
no punctuation before it. Speed is CPU time on one core, learning from the book not counted.

    python benchmarks/sentence_split.py --books FOLDER

The last line is JSON.
"""

import importlib.metadata
import importlib.util
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import click

from orpheus_batch.data import Chapter
from orpheus_batch.text.punkt import load_tokenizer
from orpheus_batch.text.reader import read_book
from orpheus_batch.text.split import SentenceSplitter

Splitter = Callable[[str], list[str]]
_END_OF_SENTENCE = re.compile(r"[.!?…:;,—–-][\"'”’»)\]*_]*$|[\"”’)\]*_]$")
WRAPPED_WIDTH = 120
"""a book whose lines are longer than this is not wrapped"""


def golden_rules() -> list[tuple[str, list[str]]]:
    """Read pySBD's examples from the installed distribution.

    Raises:
        click.ClickException: It is not installed.
    """
    try:
        files = importlib.metadata.files("pysbd") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise click.ClickException("needs pysbd: pip install --no-deps pysbd==0.3.4") from error
    path = next((file.locate() for file in files if file.name == "english_golden_rules.py"), None)
    if path is None:
        raise click.ClickException("this pysbd has no benchmarks/english_golden_rules.py; install 0.3.4")
    spec = importlib.util.spec_from_file_location("english_golden_rules", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.GOLDEN_EN_RULES


def splitters() -> dict[str, Splitter]:
    """Return every splitter that is installed, by name."""
    import pysbd
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    found: dict[str, Splitter] = {
        "orpheus-batch": SentenceSplitter().split_text,
        "Punkt, our parameters": load_tokenizer().tokenize,
        "Punkt, untrained": PunktSentenceTokenizer().tokenize,
        "pySBD 0.3.4": lambda text: [
            s.strip() for s in pysbd.Segmenter(language="en", clean=False).segment(text)
        ],
    }
    try:
        from nltk.tokenize import PunktTokenizer

        found["Punkt, NLTK's punkt_tab"] = PunktTokenizer("english").tokenize
    except (ImportError, LookupError):
        click.echo("NLTK's own English parameters are not on this machine: left out", err=True)
    return found


def cut_at_wraps(text: str, sentences: list[str]) -> int:
    """Count sentences that end at a single line end without punctuation."""
    position = cuts = 0
    for sentence in sentences:
        start = text.find(sentence[:40], position)
        if start < 0:
            continue
        position = start + len(sentence.rstrip())
        after = re.match(r"[ \t]*\n(?![ \t]*\n)[ \t]*\S", text[position:])
        cuts += bool(after) and not _END_OF_SENTENCE.search(sentence.rstrip())
    return cuts


def our_cuts_at_wraps(splitter: SentenceSplitter, text: str) -> tuple[int, int]:
    """Return our sentences and how many end at a mere wrap, by their spans in the source."""
    sentences = splitter.split_chapter(Chapter(0, "", text, 0, 0))
    pieces = [text[s.start : s.end] for s in sentences]
    cuts = sum(
        bool(re.search(r"\S[ \t]*\n[ \t]*\Z", piece)) and not _END_OF_SENTENCE.search(piece.rstrip())
        for piece in pieces[:-1]
    )
    return len(pieces), cuts


def score_books(folder: Path, tools: dict[str, Splitter], max_chars: int) -> dict[str, dict[str, float]]:
    """Split every wrapped book in ``folder`` with every tool."""
    scores = {name: {"sentences": 0, "cut_at_a_wrap": 0, "characters": 0, "cpu_s": 0.0} for name in tools}
    for file in sorted(folder.glob("*.txt")):
        book = read_book(file)
        text = "\n\n".join(chapter.text[chapter.heading_length :] for chapter in book.chapters)[:max_chars]
        if sorted(map(len, text.split("\n")))[-len(text) // 2000 - 1] > WRAPPED_WIDTH:
            click.echo(f"{file.name}: not wrapped, left out", err=True)
            continue
        for name, split in tools.items():
            ours = SentenceSplitter.for_book(book) if name == "orpheus-batch" else None
            start_s = time.process_time()
            if ours:
                count, cuts = our_cuts_at_wraps(ours, text)
                cpu_s = time.process_time() - start_s
            else:
                sentences = split(text)
                cpu_s = time.process_time() - start_s
                count, cuts = len(sentences), cut_at_wraps(text, sentences)
            score = scores[name]
            score["sentences"] += count
            score["cut_at_a_wrap"] += cuts
            score["characters"] += len(text)
            score["cpu_s"] += cpu_s
        click.echo(f"{file.name}: {len(text):,} characters", err=True)
    return scores


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--books", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Folder of .txt")
@click.option("--max-chars", default=200_000, show_default=True, help="Of each book: pySBD is slow.")
def main(books: Path | None, max_chars: int) -> None:
    """Score the splitters."""
    rules = golden_rules()
    tools = splitters()
    golden = {}
    for name, split in tools.items():
        wrong = [number for number, (text, gold) in enumerate(rules, start=1) if split(text) != gold]
        golden[name] = len(rules) - len(wrong)
        click.echo(f"{name:28s} {golden[name]:2d} of {len(rules)}; wrong: {wrong}")
    result: dict[str, object] = {"golden_rules": golden, "num_golden_rules": len(rules)}
    if books is not None:
        scores = score_books(books, tools, max_chars)
        for name, score in scores.items():
            speed = score["characters"] / max(score["cpu_s"], 1e-9)
            click.echo(
                f"{name:28s} {score['sentences']:7,.0f} sentences, {score['cut_at_a_wrap']:6,.0f} at a wrap, "
                f"{speed / 1e6:.2f} million characters a second"
            )
        result["wrapped_novels"] = scores
    click.echo(json.dumps(result))


if __name__ == "__main__":
    main()
