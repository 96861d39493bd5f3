"""Draw tokens a second against batch size, beside the roofline and vLLM, from what the benchmarks printed.

    python benchmarks/plot_throughput.py LOG_DIR/*.log -o docs/throughput.png

Reads the JSON lines of `orpheus_throughput.py` and `peer_vllm.py` in any files; other lines are passed over. Of two
measurements of one setting the later counts, of the peer's the best, in however many processes. Everything in one
picture must come from one kind of hardware. The last line is JSON.
"""

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

GREY = "#7d8590"
"""readable on white and on near-black, as the background is left transparent"""
COLOURS = {"bf16": "#2f81f7", "float8 keys and values": "#a371f7", "float8": "#e3622b"}
MAX_BYTES = 60_000


@dataclass(frozen=True)
class Point:
    """One measurement."""

    precision: str
    """a key of `COLOURS`"""
    batch_size: int
    tokens_per_s: float
    roofline: float | None = None
    """tokens a second at the measured ceilings; None for a peer"""


def json_lines(files: Iterable[Path]) -> Iterable[dict]:
    """Yield the JSON objects among the lines of files."""
    for file in files:
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("{"):
                try:
                    found = json.loads(line)
                except json.JSONDecodeError:  # a line cut off by a killed run
                    continue
                if isinstance(found, dict):
                    yield found


def points(lines: Iterable[dict]) -> tuple[list[Point], list[Point], set[str], str]:
    """Return our measurements, the peer's, the hardware they name, and the peer's version."""
    ours, peers, hardware, version = {}, {}, set(), ""
    for line in lines:
        if line.get("benchmark") == "orpheus_throughput" and not line["is_tiny"]:
            hardware.add(line["hardware"])
            for row in line["rows"]:
                precision = "float8" if row["weights"] == "float8" else "bf16"
                if precision == "bf16" and row["kv"] == "float8":
                    precision = "float8 keys and values"
                point = Point(
                    precision, row["batch_size"], row["tokens_per_s"], row["num_tokens"] / row["floor_s"]
                )
                ours[precision, point.batch_size] = point
        elif line.get("benchmark") == "peer_vllm":
            version = line["vllm"]
            precision = "float8" if line["float8"] else "bf16"
            point = Point(precision, line["batch_size"], line["tokens_per_s"])
            best = peers.get((precision, point.batch_size), point)
            peers[precision, point.batch_size] = max(point, best, key=lambda p: p.tokens_per_s)
    return list(ours.values()), list(peers.values()), hardware, version


def draw(ours: list[Point], peers: list[Point], hardware: str, version: str, file: Path) -> None:
    """Write the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    style = dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "axes.titlecolor"),
        GREY,
    )
    with pyplot.rc_context(style | {"font.size": 10}):
        figure, axes = pyplot.subplots(figsize=(7.2, 4.2), layout="constrained")
        for precision, colour in COLOURS.items():
            line = sorted((p for p in ours if p.precision == precision), key=lambda p: p.batch_size)
            if line:
                sizes = [p.batch_size for p in line]
                axes.plot(sizes, [p.tokens_per_s for p in line], "o-", color=colour, label=precision)
                axes.plot(
                    sizes, [p.roofline for p in line], "--", color=colour, lw=1, label=f"{precision}: roofline"
                )
            marks = [p for p in peers if p.precision == precision]
            if marks:
                axes.plot(
                    [p.batch_size for p in marks],
                    [p.tokens_per_s for p in marks],
                    "X",
                    color=colour,
                    markersize=10,
                    label=f"{precision}: vLLM {version}",
                )
        sizes = sorted({p.batch_size for p in ours + peers})
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:,.0f}k"))
        axes.set_xlabel("sequences together")
        axes.set_ylabel("audio tokens a second")
        axes.set_title(f"Orpheus-3B's shape on one {hardware}, random weights", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color=GREY, alpha=0.25)
        title = "float8: unproven on Orpheus's own weights" if len({p.precision for p in ours}) > 1 else None
        axes.legend(
            frameon=False,
            fontsize=8,
            title=title,
            title_fontsize=8,
            alignment="left",
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
        )
        figure.savefig(file, dpi=110, transparent=True, metadata={"Software": None})
        pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="+", help="files with the benchmarks' lines")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/throughput.png"))
    args = parser.parse_args()
    ours, peers, hardware, version = points(json_lines(args.logs))
    if not ours:
        raise SystemExit("no line of orpheus_throughput.py (one of a full-sized model) is in these files")
    if len(hardware) > 1:
        raise SystemExit(f"these were measured on different hardware: {', '.join(sorted(hardware))}")
    draw(ours, peers, hardware.pop(), version, args.output)
    size = args.output.stat().st_size
    if size > MAX_BYTES:
        raise SystemExit(f"{args.output} takes {size:,} bytes, more than {MAX_BYTES:,}")
    counts = {"num_points": len(ours), "num_peer_points": len(peers), "bytes": size}
    print(json.dumps({"benchmark": "plot_throughput", "file": str(args.output)} | counts))


if __name__ == "__main__":
    main()
