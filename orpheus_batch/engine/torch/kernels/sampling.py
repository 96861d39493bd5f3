"""One draw a slot in one Triton kernel: penalty, temperature, top-p, noise, and the state's next step.

Nothing is sorted. A code is in the likeliest set that reaches top-p if and only if what is no likelier than it
weighs more than 1 - top_p; the bound is found by bisection over the bits of a float, 31 sums over a row that
stays in registers.

Source: noise as in `orpheus_batch.engine.torch.noise` (Philox4x32-10).
"""

import triton
import triton.language as tl

ONE_BITS: tl.constexpr = tl.constexpr(0x3F800000)


@triton.jit
def sample_step_kernel(  # noqa: PLR0915 - one launch
    logits,
    logits_stride,
    token,
    position,
    step,
    stop_from_step,
    end_step,
    seed,
    segment,
    temperature,
    top_p,
    repetition_penalty,
    seen,
    frame,
    place,
    stop_id,
    first_id,
    codebook_size,
    STOP_COLUMN: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """A slot a program; ``STOP_COLUMN`` is negative where the stop id is not legal."""
    slot = tl.program_id(0).to(tl.int64)
    at = tl.load(position + slot)
    if at >= 0:
        now = tl.load(step + slot)
        code = tl.arange(0, BLOCK)
        inside = code < codebook_size
        marks = seen + (slot * 7 + place) * codebook_size
        score = tl.load(logits + slot * logits_stride + code, mask=inside, other=-float("inf")).to(tl.float32)
        penalty = tl.load(repetition_penalty + slot)
        is_seen = tl.load(marks + code, mask=inside, other=0) != 0
        score = tl.where(is_seen, tl.where(score > 0, score / penalty, score * penalty), score)
        stop_score = tl.full([], -float("inf"), tl.float32)
        if STOP_COLUMN >= 0:
            stop_score = tl.load(logits + slot * logits_stride + STOP_COLUMN).to(tl.float32)
            stop_score = tl.where(now >= tl.load(stop_from_step + slot), stop_score, -float("inf"))
        peak = tl.maximum(tl.max(score, axis=0), stop_score)
        heat = tl.load(temperature + slot)
        if heat == 0:
            choice = tl.min(tl.where((score == peak) & inside, code, BLOCK), axis=0)
            choice = tl.where(stop_score == peak, -1, choice)
        else:
            weight = tl.exp((score - peak) / heat)
            stop_weight = tl.exp((stop_score - peak) / heat)
            limit = (1.0 - tl.load(top_p + slot)) * (tl.sum(weight, axis=0) + stop_weight)
            # what weighs at most ``low`` is out together, what weighs at most ``high`` is not
            low = tl.full([], -1, tl.int32)
            high = tl.full([], ONE_BITS, tl.int32)
            bits, stop_bits = weight.to(tl.int32, bitcast=True), stop_weight.to(tl.int32, bitcast=True)
            for _ in range(31):
                middle = low + (high - low) // 2
                under = tl.sum(tl.where(bits <= middle, weight, 0.0), axis=0)
                under += tl.where(stop_bits <= middle, stop_weight, 0.0)
                is_out = under <= limit
                low = tl.where(is_out, middle, low)
                high = tl.where(is_out, high, middle)
            kept = (bits > low) & inside
            weight = tl.where(kept, weight, 0.0)
            stop_weight = tl.where(stop_bits > low, stop_weight, 0.0)
            running = stop_weight + tl.cumsum(weight, axis=0)
            word = segment + slot * 3
            noise, _, _, _ = tl.philox(
                tl.load(seed + slot),
                now.to(tl.uint32),
                tl.load(word).to(tl.uint32),
                tl.load(word + 1).to(tl.uint32),
                tl.load(word + 2).to(tl.uint32),
            )
            target = (noise >> 8).to(tl.float32) * (1.0 / 16777216.0) * (tl.sum(weight, axis=0) + stop_weight)
            choice = tl.min(tl.where(kept & (running > target), code, BLOCK), axis=0)
            # rounding may leave the target at or above the last sum
            choice = tl.where(choice == BLOCK, tl.max(tl.where(kept, code, -1), axis=0), choice)
            choice = tl.where(target < stop_weight, -1, choice)
        chosen = tl.where(choice < 0, stop_id, first_id + choice).to(tl.int32)
        tl.store(marks + tl.maximum(choice, 0), tl.full([], 1, tl.uint8), mask=choice >= 0)
        tl.store(frame + slot * 7 + place, chosen)
        tl.store(token + slot, chosen)
        tl.store(step + slot, now + 1)
        has_ended = (choice < 0) | (now + 1 >= tl.load(end_step + slot))
        tl.store(position + slot, tl.where(has_ended, -1, at + 1))
