"""A book from text file to MP3s, and where the time goes.

    python benchmarks/end_to_end.py samples/buster-bear-goes-fishing.txt

Renders into a fresh folder with the real engine, codec and encoder and prints one line of JSON: seconds of speech a
second of wall time (loading apart), and the share of each stage in that wall time. Encoding runs beside the rest; its
share is its tail. `orpheus-batch bench` is the same for users.
"""

import argparse
import dataclasses
import json
from pathlib import Path

from about import about

from orpheus_batch.bench import bench_books
from orpheus_batch.config import load_config


def main() -> None:
    """Render the books once and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("books", type=Path, nargs="+")
    parser.add_argument("--config", type=Path)
    args = parser.parse_args()
    report = bench_books(args.books, load_config(args.config))
    figures = {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in dataclasses.asdict(report).items()
    }
    print(
        json.dumps(
            {"benchmark": "end_to_end", "books": [book.name for book in args.books], **figures, **about()}
        )
    )


if __name__ == "__main__":
    main()
