"""Makes the list of English words that any voice can be trusted with: `orpheus_batch/text/data/english_words.txt.gz`.

    apt-get download scowl && dpkg -x scowl_*.deb scowl
    python training/known_words.py scowl/usr/share/dict/scowl

From SCOWL 2020.12.07 (Debian's package `scowl`; permissive, its notice lies beside the list): the words, names and
contractions of English, American and British, variant spellings too, up to size 60, which SCOWL's author recommends for
spelling checkers. Forms in 's are left out, since readers of the list take that off.
"""

import argparse
import gzip
from pathlib import Path

OUT = Path(__file__).parents[1] / "orpheus_batch" / "text" / "data" / "english_words.txt.gz"
SIZES = (10, 20, 35, 40, 50, 55, 60)
SPELLINGS = ("english", "american", "british", "variant_1")
KINDS = ("words", "upper", "proper-names", "contractions")


def known_words(folder: Path) -> list[str]:
    """Return the words of a folder of SCOWL's final lists, sorted, each once."""
    found = set()
    for size in SIZES:
        for spelling in SPELLINGS:
            for kind in KINDS:
                file = folder / f"{spelling}-{kind}.{size}"
                if file.is_file():
                    found.update(file.read_text(encoding="utf-8").split())
    return sorted(word for word in found if not word.endswith("'s") and len(word) > 1)


def main() -> None:
    """Write the list."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="SCOWL's final lists: english-words.10 and so on")
    words = known_words(parser.parse_args().folder)
    OUT.write_bytes(gzip.compress("\n".join(words).encode(), 9, mtime=0))
    print(f"{OUT}: {len(words):,} words, {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
