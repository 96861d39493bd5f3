"""A long book takes no more memory than a short one."""

import json
import subprocess

import pytest
from line_helpers import Line

SENTENCES = (
    "The road went on between the hills, and nobody came to meet the travellers on it, mile after mile, {}.",
    "They had been walking since the spring of year {} and had told each other all their stories twice.",
    "Where the river bent there stood a mill, said guide {}, and in the mill there lived a man without a name.",
    "It rained on the morning of march {}, and they waited under the trees until the sky was clear again.",
)
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def write_novel(file, num_words: int) -> None:
    """Write chapters of some three thousand words; no two sentences are alike."""
    words, number, parts = 0, 0, []
    while words < num_words:
        if words // 3_000 >= sum(part.startswith("#") for part in parts):
            parts.append(f"# Day {' '.join(WORDS[int(d)] for d in str(len(parts)))}")
        spoken = " ".join(WORDS[int(digit)] for digit in str(number))
        sentence = SENTENCES[number % len(SENTENCES)].format(spoken)
        parts.append(sentence)
        words += len(sentence.split())
        number += 1
    file.write_text("\n\n".join(parts), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("deterministic", [True, False])
def test_memory_is_flat_however_long_the_book(tmp_path, deterministic):
    """200,000 words against 20,000, the whole line with real cache and encoder: the peaks differ by little.

    What grows is the plan, a kilobyte a segment; audio, tokens or requests that piled up would show as hundreds
    of megabytes.
    """
    peaks = {}
    for num_words in (20_000, 200_000):
        line = Line(tmp_path / str(num_words))
        write_novel(line.book, num_words)
        pack = json.loads((line.pack / "pack.json").read_text(encoding="utf-8"))
        pack["length"] = {"base_tokens": 14.0, "tokens_per_char": 0.0, "max_ratio": 2.0}
        (line.pack / "pack.json").write_text(json.dumps(pack), encoding="utf-8")
        mode = "--deterministic" if deterministic else "--no-deterministic"
        spec = {"peak_file": str(line.folder / "peak"), "block_size": 128}
        command, environment = line.command(spec)
        done = subprocess.run([*command, mode], env=environment, capture_output=True, timeout=280, check=False)
        assert 0 == done.returncode, done.stderr.decode()[-2000:]
        assert len(line.files()) >= num_words // 3_500
        peaks[num_words] = int((line.folder / "peak").read_text())
    assert peaks[200_000] - peaks[20_000] < 100 * 1024, f"KiB: {peaks}"
