"""This package's text normalisation beside two public ones, on the cases of `tests/text/normalization_cases.tsv`.

    python -m venv others && others/bin/pip install nemo_text_processing wetext
    python benchmarks/normalisers.py --others others/bin/python

NeMo text processing (Apache-2.0; weighted grammars compiled with pynini; English, cased input) and WeText (Apache-2.0;
the grammars of WeTextProcessing; English, text normalisation) run in a Python of their own: neither is a dependency.
The cases were written for this project, by the hand that wrote its rules: the score of the others says how they fare on
what this project wants, not how good they are. `--theirs` turns it round: NeMo's own cases.

Two scores. *Same words*: both sides in small letters, without punctuation, hyphens as blanks, "and" before a number
left out, and what is a matter of taste made one ("mister" and "Mr.", "oh" and "zero", "metre" and "meter", "one half"
and "a half"). *Exact*: character by character, which only rules written to this table can hope for.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

TABLE = Path(__file__).parents[1] / "tests" / "text" / "normalization_cases.tsv"
OTHERS = ("nemo_text_processing", "wetext")


def words(text: str) -> list[str]:
    return text.split()


_NUMBERS = frozenset(
    words(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million "
        "billion trillion"
    )
)
_ORDINALS = frozenset(
    words(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
        "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth thirtieth hundredth thousandth"
    )
)
_SAME = {
    "mister": "mr", "missus": "mrs", "misses": "mrs", "missis": "mrs", "miss": "ms", "o": "oh", "zero": "oh",
    "metre": "meter", "metres": "meters", "litre": "liter", "litres": "liters", "etcetera": "et cetera",
    "kilometre": "kilometer", "kilometres": "kilometers", "centimetres": "centimeters", "centimetre": "centimeter",
    "millimetres": "millimeters", "millimetre": "millimeter", "fiftys": "fifties", "phd": "ph d",
}  # fmt: skip


def same_words(text: str) -> str:
    """Return what is left of a text where only its words count."""
    text = text.lower().replace("’", "'").replace("per cent", "percent")
    said = re.sub(r"[^\w' ]", " ", text.replace("-", " ")).replace("'", "").split()
    said = " ".join(_SAME.get(word, word) for word in said).split()
    kept = []
    for index, word in enumerate(said):
        after = said[index + 1] if index + 1 < len(said) else ""
        later = said[index + 2] if index + 2 < len(said) else ""
        number = (
            after in _NUMBERS or after in _ORDINALS or after == "oh" or (after == "a" and later in _FRACTIONS)
        )
        if word == "and" and number and kept:
            continue
        if word in ("a", "one") and after in _FRACTIONS:
            continue
        kept.append(word)
    # Letters that are spelt: "n a s a" and "nasa" are one.
    return re.sub(r"\b([a-z]) (?=[a-z]\b)", r"\1", " ".join(kept))


_FRACTIONS = frozenset(words("half quarter third fourth hundred thousand million"))


def run_other(name: str) -> None:
    """Normalise lines of JSON from standard input; runs in the other Python."""
    lines = [json.loads(line) for line in sys.stdin]
    started = time.monotonic()
    if name == "nemo_text_processing":
        from nemo_text_processing.text_normalization.normalize import Normalizer

        normalizer = Normalizer(input_case="cased", lang="en")
    else:
        from wetext import Normalizer

        normalizer = Normalizer(lang="en", operator="tn")
    loaded = time.monotonic()
    said = []
    for line in lines:
        try:
            said.append(normalizer.normalize(line))
        except Exception as error:
            said.append(f"[{type(error).__name__}]")
    from importlib.metadata import version

    took = time.monotonic() - loaded
    result = {"said": said, "version": version(name), "load_s": loaded - started, "run_s": took}
    print("RESULT " + json.dumps(result))


def run_own(lines: list[str]) -> dict:
    from orpheus_batch import __version__
    from orpheus_batch.testing import BUILTIN_ALPHABET
    from orpheus_batch.text.normalize import normalize

    started = time.monotonic()
    said = [normalize(line, alphabet=BUILTIN_ALPHABET, tags=()) for line in lines]
    return {"said": said, "version": __version__, "load_s": 0.0, "run_s": time.monotonic() - started}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--others", type=Path, help="a Python that has nemo_text_processing and wetext")
    parser.add_argument("--serve", choices=OTHERS, help=argparse.SUPPRESS)
    parser.add_argument(
        "--theirs",
        type=Path,
        help="a folder of NeMo's own cases: tests/…/en/data_text_normalization of its repository",
    )
    parser.add_argument("--show", metavar="NAME", help="print the cases that this one gets wrong")
    args = parser.parse_args()
    if args.serve:
        run_other(args.serve)
        return
    cases = [
        line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    if args.theirs:
        cases = [
            (file.stem.removeprefix("test_cases_"), *line.split("~", 1))
            for file in sorted(args.theirs.glob("test_cases_*.txt"))
            for line in file.read_text(encoding="utf-8").splitlines()
            if "~" in line
        ]
    written = [case[1] for case in cases]
    results = {"orpheus-batch": run_own(written)}
    for name in OTHERS if args.others else ():
        done = subprocess.run(
            [args.others, __file__, "--serve", name],
            input="".join(json.dumps(line) + "\n" for line in written),
            capture_output=True,
            text=True,
            check=False,
        )
        answer = next((x for x in done.stdout.splitlines() if x.startswith("RESULT ")), None)
        if answer is None:
            sys.exit(f"{name} did not run:\n{done.stderr[-2000:]}")
        results[name] = json.loads(answer.removeprefix("RESULT "))
    totals = Counter(case[0] for case in cases)
    scores: dict[str, dict] = {}
    for name, result in results.items():
        right: Counter[str] = Counter()
        exact = 0
        for (category, text, wanted), said in zip(cases, result["said"], strict=True):
            hit = same_words(said) == same_words(wanted)
            right[category] += hit
            exact += said == wanted
            if args.show == name and not hit:
                print(f"{category}\t{text}\n\twanted  {wanted}\n\tsaid    {said}")
        scores[name] = {
            "version": result["version"],
            "same_words": right.total(),
            "exact": exact,
            "cases_per_s": round(len(cases) / max(result["run_s"], 1e-9)),
            "load_s": round(result["load_s"], 1),
            "by_category": {category: right[category] for category in totals},
        }
    print(f"| category | cases | {' | '.join(scores)} |\n|---|---|{'---|' * len(scores)}")
    for category, total in sorted(totals.items()):
        print(
            f"| {category} | {total} | {' | '.join(str(s['by_category'][category]) for s in scores.values())} |"
        )
    for title, key in (("**same words**", "same_words"), ("exact", "exact")):
        print(f"| {title} | {len(cases)} | {' | '.join(str(s[key]) for s in scores.values())} |")
    print(json.dumps({"benchmark": "normalisers", "cases": len(cases), "scores": scores}))


if __name__ == "__main__":
    main()
