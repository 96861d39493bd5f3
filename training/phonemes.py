"""Phonemes for the teacher: JSONL of {"id", "text"} in, the same lines with "phonemes" out.

Training only. The fallback for words outside the lexicon is espeak-ng (GPL-3.0, through
``phonemizer`` and ``espeakng-loader``), so nothing here may become a dependency of the
package; the built-in voice reads characters and needs none of it.

Kokoro was trained on the phonemes of ``misaki`` (Apache-2.0), whose lexicon and stress
rules are used here. Plain espeak phonemes are another dialect: they lack Kokoro's single
letters for diphthongs, and "joy" came out as "jaw". Misaki wants a spaCy model for its
part-of-speech tags, which no registry carries; the averaged perceptron of
``textblob-aptagger`` (MIT, Penn tags, Matthew Honnibal) stands in for it, over spaCy's
rule-based tokenizer.

A segment of more than 500 phonemes, or of none, goes to the rejects file. A restart skips
the ids that either file holds. What this module does not know: how a homograph that the
tagger got wrong should have sounded, and whether a name is English.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import re
import sys
import time
import types
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

MOST = 500
"""Phonemes a segment: Kokoro's context is 512, less two boundaries and a little air."""
CHUNK = 64


class _Plain(pickle.Unpickler):
    """Reads the tagger's model, which is made of built-in containers only."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("__builtin__", "set"):
            return set
        raise pickle.UnpicklingError(f"the tagger's model asks for {module}.{name}")


class Tagger:
    """Penn Treebank tags by a greedy averaged perceptron.

    Source: ``PerceptronTagger`` in textblob-aptagger 0.2.0 (features and normalisation).
    """

    def __init__(self) -> None:
        found = find_spec("textblob_aptagger")
        if found is None or not found.submodule_search_locations:
            raise click.ClickException("textblob-aptagger is missing: see training/requirements.txt")
        model = Path(found.submodule_search_locations[0]) / "trontagger-0.1.0.pickle"
        with model.open("rb") as file:
            self.weights, self.known, self.classes = _Plain(file, encoding="latin-1").load()

    @staticmethod
    def _normal(word: str) -> str:
        if "-" in word and word[0] != "-":
            return "!HYPHEN"
        if word.isdigit() and len(word) == 4:
            return "!YEAR"
        return "!DIGITS" if word[0].isdigit() else word.lower()

    def tag(self, words: list[str]) -> list[str]:
        """One tag for each of ``words``, which are one sentence's tokens."""
        context = ["-START-", "-START2-", *map(self._normal, words), "-END-", "-END2-"]
        before, before2 = "-START-", "-START2-"
        tags = []
        for i, word in enumerate(words, start=2):
            tag = self.known.get(word)
            if tag is None:
                scores = dict.fromkeys(self.classes, 0.0)
                for feature in (
                    "bias",
                    f"i suffix {word[-3:]}",
                    f"i pref1 {word[0]}",
                    f"i-1 tag {before}",
                    f"i-2 tag {before2}",
                    f"i tag+i-2 tag {before} {before2}",
                    f"i word {context[i]}",
                    f"i-1 tag+i word {before} {context[i]}",
                    f"i-1 word {context[i - 1]}",
                    f"i-1 suffix {context[i - 1][-3:]}",
                    f"i-2 word {context[i - 2]}",
                    f"i+1 word {context[i + 1]}",
                    f"i+1 suffix {context[i + 1][-3:]}",
                    f"i+2 word {context[i + 2]}",
                ):
                    for label, weight in self.weights.get(feature, {}).items():
                        scores[label] += weight
                tag = max(self.classes, key=lambda label: (scores[label], label))
            tags.append(tag)
            before, before2 = tag, before
        return tags


OPENERS = frozenset("—([“\"'")
CLIPPED = frozenset(
    [
        "tis",
        "twas",
        "twere",
        "twill",
        "tisn",
        "em",
        "til",
        "till",
        "cause",
        "bout",
        "round",
        "gainst",
        "mid",
        "n",
    ]
)
"""Words that begin with an apostrophe, which is no quotation mark."""
SHORT = frozenset(
    ["NO", "OH", "MY", "SO", "WE", "HE", "ME", "DO", "IS", "TO", "IN", "OF", "ON", "AT", "BE", "AN", "IF", "OR"]
)
"""Words of two letters that are likelier shouted than spelled out."""
RUN = re.compile(r"\b[A-Z][A-Z']*(?:[ -][A-Z][A-Z']+)+\b")
NUMBERED = re.compile(r"\b((?i:chapter|book|part|volume|act|scene|section|letter))\s+([IVXLC]+)\b")
ROMAN = types.MappingProxyType({"I": 1, "V": 5, "X": 10, "L": 50, "C": 100})


def _roman(numeral: str) -> int:
    values = [ROMAN[c] for c in numeral]
    return sum(-v if v < max(values[i:]) else v for i, v in enumerate(values))


class FrontEnd:
    """Text to Kokoro's phonemes. Building one takes a second or two; keep it."""

    QUOTES = types.MappingProxyType(
        {"“": "``", "”": "''", "(": "-LRB-", ")": "-RRB-", "[": "-LRB-", "]": "-RRB-"}
    )

    def __init__(self, vocabulary: frozenset[str]) -> None:
        import spacy
        from misaki import en, espeak

        self._vocabulary = vocabulary
        self._blank = spacy.blank("en")
        self._tagger = Tagger()
        rescue = espeak.EspeakFallback(british=False)
        spoken = lru_cache(maxsize=65536)(lambda text: rescue(types.SimpleNamespace(text=text)))
        g2p = object.__new__(en.G2P)  # its __init__ insists on a spaCy model
        g2p.version, g2p.british, g2p.unk = None, False, ""
        g2p.nlp, g2p.lexicon = self._tagged, en.Lexicon(False)
        g2p.fallback = lambda token: spoken(token.text)
        self._g2p = g2p

    def _tagged(self, text: str) -> Any:
        """SpaCy's tokens with tags, those of punctuation as misaki expects them."""
        doc = self._blank(text)
        double, single = False, False  # inside such quotes
        words, fixed = [], {}
        for i, token in enumerate(doc):
            word = token.text
            before = not i or bool(doc[i - 1].whitespace_) or doc[i - 1].text in OPENERS
            if word == '"':
                ends = bool(token.whitespace_) or i + 1 == len(doc)
                double = before and not (double and ends)
                fixed[i] = word = "``" if double else "''"
            elif word == "'":
                following = doc[i + 1].text.lower() if i + 1 < len(doc) else ""
                opens = before and not token.whitespace_ and following not in CLIPPED
                fixed[i] = "``" if opens else "''" if single and not opens else "HYPH"
                single = opens or (single and fixed[i] == "HYPH")
            elif word in self.QUOTES:
                fixed[i] = word = self.QUOTES[word]
            elif word == "-" and not before:
                fixed[i] = "HYPH"  # inside a compound: no pause
            elif word in ("—", "–", "-", "…"):
                fixed[i] = ":"
            elif word.isspace():
                fixed[i] = "_SP"
            words.append(word)
        for i, (token, tag) in enumerate(zip(doc, self._tagger.tag(words), strict=True)):
            token.tag_ = fixed.get(i, tag)
        return doc

    def _capitals(self, match: re.Match[str]) -> str:
        """A word in capitals as a word, unless the lexicon spells it out."""
        word = match[0]
        known = self._g2p.lexicon.golds
        lower = word.lower()
        plain = lower in known and word not in known and (len(word) > 2 or word in SHORT)
        return word.capitalize() if plain else word

    def __call__(self, text: str) -> str:
        """``text`` as Kokoro's phonemes, with its punctuation; nothing outside the vocabulary."""
        text = text.replace("’", "'").replace("‘", "'").replace("...", "…")
        text = re.sub(r"\s*(?:--+|―)\s*", "—", text)
        text = re.sub(r"[_*#<>|~^\\]", "", " ".join(text.split()))
        text = NUMBERED.sub(lambda m: f"{m[1]} {_roman(m[2])}", text)
        # misaki spells capitals out; a run of them, or a common word, is emphasis
        text = RUN.sub(lambda m: " ".join(w.capitalize() for w in m[0].split(" ")), text)
        text = re.sub(r"\b[A-Z]{2,}\b", self._capitals, text)
        phonemes, _ = self._g2p(text, preprocess=False)
        phonemes = "".join(p for p in phonemes if p in self._vocabulary)
        return re.sub(r"\s+([,.;:!?…)])", r"\1", " ".join(phonemes.split()))


_front: FrontEnd | None = None


def _start(vocabulary: frozenset[str]) -> None:
    global _front  # noqa: PLW0603 - one front end a process, made by the pool's initializer
    _front = FrontEnd(vocabulary)


def _convert(lines: list[str]) -> tuple[list[str], list[str]]:
    """Finished lines and rejected lines for some input lines."""
    assert _front is not None
    good, bad = [], []
    for line in lines:
        row = json.loads(line)
        try:
            phonemes = _front(row["text"])
            reason = None if 0 < len(phonemes) <= MOST else f"{len(phonemes)} phonemes"
        except (ValueError, IndexError, KeyError, AssertionError, TypeError, RuntimeError) as error:
            # misaki and num2words fail in many ways on odd tokens
            reason, phonemes = f"{type(error).__name__}: {error}", ""
        if reason is None:
            good.append(json.dumps({**row, "phonemes": phonemes}, ensure_ascii=False) + "\n")
        else:
            rejected = {"id": row["id"], "reason": reason, "text": row["text"]}
            bad.append(json.dumps(rejected, ensure_ascii=False) + "\n")
    return good, bad


def _held(path: Path) -> set[str]:
    """The ids in a JSONL file; a half-written last line is cut off."""
    if not path.exists():
        return set()
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    os.truncate(path, whole)
    return {json.loads(line)["id"] for line in data[:whole].splitlines()}


def _chunks(path: Path, done: set[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            if json.loads(line)["id"] not in done:
                chunk.append(line)
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
    if chunk:
        yield chunk


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The teacher's config.json, for its vocabulary.",
)
@click.option("--workers", default=2, show_default=True)
def main(source: Path, out: Path, config: Path, workers: int) -> None:
    """Add "phonemes" to the lines of SOURCE and append them to OUT.

    What cannot be spoken goes to OUT with the suffix .rejects.jsonl.
    """
    vocabulary = frozenset(json.loads(config.read_text(encoding="utf-8"))["vocab"])
    rejects = out.with_suffix(".rejects.jsonl")
    done = _held(out) | _held(rejects)
    started, made, refused = time.monotonic(), 0, 0
    context = multiprocessing.get_context("spawn")
    with (
        out.open("a", encoding="utf-8") as good_file,
        rejects.open("a", encoding="utf-8") as bad_file,
        context.Pool(workers, _start, (vocabulary,)) as pool,
    ):
        shown = started
        for good, bad in pool.imap(_convert, _chunks(source, done)):
            good_file.writelines(good)
            bad_file.writelines(bad)
            good_file.flush()
            bad_file.flush()
            made, refused = made + len(good), refused + len(bad)
            if time.monotonic() - shown > 10:
                shown = time.monotonic()
                click.echo(f"{made + refused} segments, {made / (shown - started):.0f} a second", err=True)
    took = time.monotonic() - started
    click.echo(f"{len(done)} were there, {made} added, {refused} rejected, {took:.0f} s", err=True)


if __name__ == "__main__":
    sys.exit(main())
