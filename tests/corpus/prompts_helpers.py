"""Tables of prompts and what a run made of them."""

import csv
from pathlib import Path

from line_helpers import Line

from orpheus_batch.corpus.prompts import render_prompts
from orpheus_batch.corpus.report import PromptsReport

TABLE = """id,text,voice,seed,temperature,format,filename
a,"A table, and a chair.",,,,,
b,"A table, and a chair.",two,,,,
c,The third row is spoken by the first voice.,one,5,0.2,flac,
d,It rained. It rained again. And then the sun came out over the hills.,,,,mp3,
e,Opus is small.,,,,opus,deep/down/e
f,The last row of them all.,,,,,own name.wav
"""


def write(line: Line, text: str = TABLE, name: str = "prompts.csv") -> str:
    """Write a table and return its path."""
    file = line.folder / name
    file.write_text(text, encoding="utf-8")
    return str(file)


def render(line: Line, path: str, **options) -> PromptsReport:
    """Render a table on the fakes."""
    overrides = options.pop("overrides", {})
    return render_prompts(path, line.out, line.config(**overrides), factories=line.factories, **options)


def manifest(line: Line) -> list[dict[str, str]]:
    """Return the manifest's rows."""
    with (line.out / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def files(out: Path) -> dict[str, bytes]:
    """Return everything that a run leaves but its ledger."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith("ledger.")
    }
