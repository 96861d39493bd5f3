"""When is a book finished, by how far its engine looks ahead? A simulation with the real scheduler.

The farther the scheduler looks, the better it packs the end of the book; but the later its chapters are settled, and
the less of their encoding runs beside the engine. Nothing is generated or encoded here. The last line is JSON.

    python benchmarks/look_ahead.py --speedup 1000 --encoders 14
"""

import argparse
import heapq
import json
import random
from collections.abc import Iterator

from about import about
from orpheus_throughput import SAMPLING

from orpheus_batch.data import TokenRequest
from orpheus_batch.engine.torch.scheduler import Scheduler
from orpheus_batch.units import TOKENS_PER_FRAME, TOKENS_PER_SECOND


def requests(count: int) -> list[TokenRequest]:
    """Return a book's segments, always the same: log-normal lengths, median 518 tokens."""
    noise = random.Random(0)
    lengths = [max(70, min(1600, int(noise.lognormvariate(6.25, 0.45)) // 7 * 7)) for _ in range(count)]
    return [
        TokenRequest(
            segment_id=str(index),
            prompt_token_ids=(1,) * 40,
            max_new_tokens=length,
            expected_num_tokens=length,
            sampling=SAMPLING,
            seed=0,
            forced_num_tokens=length,
        )
        for index, length in enumerate(lengths)
    ]


def settled_at(book: list[TokenRequest], max_in_flight: int, args) -> tuple[float, dict[int, float]]:
    """Return when the engine has ended, and when each chapter's last segment did, in seconds.

    The engine is handed at most ``max_in_flight`` requests that it has not answered, as `EngineThread` does.
    """
    scheduler = Scheduler(
        lane_sizes=(args.batch_size,),
        num_blocks=args.batch_size * 64,
        tokens_per_block=32,
        max_positions=8192,
        look_ahead=4 * args.batch_size,
    )
    frame_s = TOKENS_PER_FRAME * args.batch_size / (args.speedup * TOKENS_PER_SECOND)
    now, running, settled = 0.0, [], {}
    num_done = 0

    def handed_over() -> Iterator[TokenRequest | None]:
        for num_pulled, request in enumerate(book):
            while num_pulled - num_done >= max_in_flight:
                yield None
            yield request

    source = handed_over()
    while True:
        list(scheduler.pull(source))
        running += scheduler.admit([running])[0]
        if not running:
            return now, settled
        # a frame of a few sequences takes a third of a full one
        now += frame_s * (1 + 2 * len(running) / args.batch_size) / 3
        for sequence in running:
            sequence.num_frames += 1
            if sequence.num_frames == sequence.max_frames:
                settled[int(sequence.request.segment_id) * args.chapters // len(book)] = now
                num_done += 1
        running = [sequence for sequence in running if sequence.num_frames < sequence.max_frames]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--speedup", type=float, default=1000.0, help="of the engine, its batch full")
    parser.add_argument("--segments", type=int, default=4900)
    parser.add_argument("--chapters", type=int, default=30)
    parser.add_argument("--encoders", type=int, default=14)
    parser.add_argument("--encoder-speedup", type=float, default=142.0, help="of one process")
    args = parser.parse_args()
    book = requests(args.segments)
    lengths_s = [0.0] * args.chapters
    for index, request in enumerate(book):
        lengths_s[index * args.chapters // len(book)] += request.forced_num_tokens / TOKENS_PER_SECOND
    rows = []
    for batches in (5, 3, 2, 1.5, 1.25, 1):
        engine_s, settled = settled_at(book, round(batches * args.batch_size), args)
        free_at, finished_s = [0.0] * args.encoders, 0.0
        for chapter, at in sorted(settled.items(), key=lambda item: item[1]):
            done = max(at, heapq.heappop(free_at)) + lengths_s[chapter] / args.encoder_speedup
            heapq.heappush(free_at, done)
            finished_s = max(finished_s, done)
        rows.append(
            {
                "batches_in_flight": batches,
                "engine_s": round(engine_s, 1),
                "chapters_settled_at_90_percent": sum(at < 0.9 * engine_s for at in settled.values()),
                "finished_s": round(finished_s, 1),
                "speedup": round(sum(lengths_s) / finished_s),
            }
        )
    print(
        json.dumps(
            {"benchmark": "look_ahead", **about(), "audio_h": round(sum(lengths_s) / 3600, 2), "rows": rows}
        )
    )


if __name__ == "__main__":
    main()
