"""A long book takes no more memory than a short one."""

import json
import subprocess
from pathlib import Path

import pytest
from line_helpers import Line

SENTENCES = (
    "The road went on between the hills, and nobody came to meet the travellers on it, mile after mile, {}.",
    "They had been walking since the spring of year {} and had told each other all their stories twice.",
    "Where the river bent there stood a mill, said guide {}, and in the mill there lived a man without a name.",
    "It rained on the morning of march {}, and they waited under the trees until the sky was clear again.",
)
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


WORDS_A_CHAPTER = 10_000
NO_PAUSES = "pauses: {clause_s: 0.0, sentence_s: 0.0, paragraph_s: 0.0, heading_s: 0.0, chapter_s: 0.0}\n"
"""most of the time would go into encoding silence"""


def write_novel(file: Path, num_words: int) -> None:
    """Write a book in which no two sentences are alike."""
    num_written, number, parts = 0, 0, []
    while num_written < num_words:
        spoken = " ".join(WORDS[int(digit)] for digit in str(number))
        if num_written >= WORDS_A_CHAPTER * sum(part.startswith("#") for part in parts):
            parts.append(f"# Day {spoken}")
        sentence = SENTENCES[number % len(SENTENCES)].format(spoken)
        parts.append(sentence)
        num_written += len(sentence.split())
        number += 1
    file.write_text("\n\n".join(parts), encoding="utf-8")


def peak_kib(folder: Path, num_words: int, mode: str) -> int:
    """Render a book in a process of its own and return the most memory that the process had."""
    folder.mkdir()
    line = Line(folder)
    write_novel(line.book, num_words)
    pack = json.loads((line.pack / "pack.json").read_text(encoding="utf-8"))
    pack["length"] = {"base_tokens": 14.0, "tokens_per_char": 0.0, "max_ratio": 2.0}
    (line.pack / "pack.json").write_text(json.dumps(pack), encoding="utf-8")
    spec = {"peak_file": str(folder / "peak"), "block_size": 128, "yaml": NO_PAUSES}
    command, environment = line.command(spec)
    done = subprocess.run([*command, mode], env=environment, capture_output=True, timeout=290, check=False)
    assert 0 == done.returncode, done.stderr.decode()[-2000:]
    assert num_words // WORDS_A_CHAPTER == len(line.files())
    return int((folder / "peak").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def short_kib(tmp_path_factory) -> int:
    """What a short book takes."""
    return peak_kib(tmp_path_factory.mktemp("short") / "book", 10_000, "--deterministic")


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["--deterministic", "--no-deterministic"])
def test_memory_is_flat_however_long_the_book(short_kib, tmp_path, mode):
    """200,000 words through the whole line, with real cache and encoder, take little more than 10,000.

    What grows is the plan, some kilobytes a segment; audio or tokens that pile up would show as hundreds of
    megabytes: the book's samples alone are 140 MB, though a segment is but two frames here.
    """
    assert peak_kib(tmp_path / "book", 200_000, mode) - short_kib < 100 * 1024
