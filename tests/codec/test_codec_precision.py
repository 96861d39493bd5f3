"""The codec in half precision: chosen, told apart by its fingerprint, bounded in memory, rescued by float32."""

import logging

import numpy as np
import pytest
import torch

from orpheus_batch import triton_support
from orpheus_batch.codec import snac, snac_fused
from orpheus_batch.codec.snac import SnacCodec, codec_fingerprint, resolve_codec_precision
from orpheus_batch.codec.snac_fused import FusedSnacDecoder
from orpheus_batch.config import load_config
from orpheus_batch.data import SnacCodes
from orpheus_batch.errors import CodecError
from orpheus_batch.pipeline.models import Factories, Models
from orpheus_batch.pipeline.progress import Progress
from orpheus_batch.testing import make_tiny_pack
from orpheus_batch.voices import load_pack

CODEBOOK_SIZE = 64


@pytest.fixture(scope="module")
def pack_dir(tmp_path_factory):
    return make_tiny_pack(tmp_path_factory.mktemp("pack"), codebook_size=CODEBOOK_SIZE)


@pytest.fixture(scope="module")
def codec_dir(pack_dir):
    return pack_dir / "codec"


@pytest.fixture(autouse=True)
def _no_tf32(monkeypatch):
    """A GPU's convolutions round what they multiply to 11 bits unless told not to: too coarse for float32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def codes(num_frames, seed):
    random = np.random.default_rng(seed)
    return SnacCodes(*(random.integers(0, CODEBOOK_SIZE, num_frames * k).astype(np.int32) for k in (1, 2, 4)))


LENGTHS = (4, 1, 0, 9, 2)
STREAMS = [codes(n, seed) for seed, n in enumerate(LENGTHS)]
SEEDS = [11 * i for i in range(len(LENGTHS))]
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")],
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("precision", "bound"), [("float16", 0.005), ("bfloat16", 0.05)])
@pytest.mark.parametrize("max_frames", [None, 5])
def test_half_precision_is_near_float32(codec_dir, device, precision, bound, max_frames):
    """In one batch or in several, back in the caller's order."""
    plain = SnacCodec(codec_dir, device="cpu").decode(STREAMS, SEEDS)
    codec = SnacCodec(codec_dir, device=device, precision=precision, max_frames_per_batch=max_frames)
    codec.warm_up()
    for frames, expected, got in zip(LENGTHS, plain, codec.decode(STREAMS, SEEDS), strict=True):
        assert np.float32 == got.samples.dtype
        assert 2048 * frames == len(got.samples)
        difference = np.linalg.norm(expected.samples - got.samples)
        assert difference <= bound * np.linalg.norm(expected.samples)
        assert difference > 0 or not frames


@pytest.mark.parametrize("device", DEVICES)
def test_what_float16_cannot_hold_is_decoded_in_float32(codec_dir, device, monkeypatch, caplog):
    """Activations beyond 65,504 become infinite and then no number: noticed, said once, and put right."""
    plain = SnacCodec(codec_dir, device=device, precision="float32")
    codec = SnacCodec(codec_dir, device=device, precision="float16", max_frames_per_batch=5)
    codec._batches._decode.__self__._project.mul_(1e6)
    if device == "cuda":
        torch.cuda.synchronize()  # the codec's stream does not wait for this one
    with caplog.at_level(logging.WARNING):
        got = codec.decode(STREAMS, SEEDS)
    for expected, samples in zip(plain.decode(STREAMS, SEEDS), got, strict=True):
        np.testing.assert_allclose(samples.samples, expected.samples, rtol=0, atol=snac.BATCH_TOLERANCE)
    assert ["half precision is too narrow"] == [r.getMessage()[:28] for r in caplog.records]


@pytest.mark.parametrize("device", DEVICES)
def test_only_what_float16_cannot_hold_is_decoded_again(codec_dir, device, monkeypatch, caplog):
    """Its neighbours in the batch keep their samples: what a stream sounds like does not depend on its company."""
    codec = SnacCodec(codec_dir, device=device, precision="float16")
    in_half = codec.decode(STREAMS, SEEDS)
    in_full = SnacCodec(codec_dir, device=device, precision="float32").decode_batched(STREAMS, SEEDS)
    half, exact, seen = codec._batches._decode, codec._batches._exact._decode, []

    def too_narrow_for_two(levels, stops, seeds):
        samples = half(levels, stops, seeds)
        samples[seeds == SEEDS[1], 0] = torch.nan
        samples[seeds == SEEDS[4], 2047] = torch.inf
        return samples

    def watched(levels, stops, seeds):
        seen.extend(seeds.tolist())
        return exact(levels, stops, seeds)

    monkeypatch.setattr(codec._batches, "_decode", too_narrow_for_two)
    monkeypatch.setattr(codec._batches._exact, "_decode", watched)
    with caplog.at_level(logging.WARNING):
        got = codec.decode(STREAMS, SEEDS)
    assert sorted([SEEDS[1], SEEDS[4]]) == sorted(seen)
    for index in (0, 2, 3):
        np.testing.assert_array_equal(in_half[index].samples, got[index].samples)
    for index in (1, 4):
        np.testing.assert_allclose(got[index].samples, in_full[index], rtol=0, atol=snac.BATCH_TOLERANCE)
    assert ": 2 of 4 streams decoded together are decoded again" in caplog.text


class Broken:
    """Triton's operations on a machine without a C compiler."""

    def __getattr__(self, name):
        raise RuntimeError("Failed to find C compiler. Please specify via CC environment variable")


def test_kernels_that_do_not_run_are_replaced(codec_dir, monkeypatch, caplog):
    """The same samples, more slowly, and the reason: what Triton lacks shows when it first compiles."""
    expected = SnacCodec(codec_dir, device="cpu", precision="float16").decode(STREAMS, SEEDS)
    monkeypatch.setattr(snac_fused, "operations_for", lambda device: Broken())
    with caplog.at_level(logging.WARNING):
        got = SnacCodec(codec_dir, device="cpu", precision="float16").decode(STREAMS, SEEDS)
    for one, other in zip(expected, got, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)
    assert "Failed to find C compiler" in caplog.text


def test_memory_of_a_batch_is_bounded(codec_dir, monkeypatch):
    """However many streams are given, no batch takes more than its share; padding is little, and sizes are few."""
    seen = []
    plain = FusedSnacDecoder.decode

    def decode(self, levels, stops, seeds):
        seen.append((levels[0].numel(), int(stops.sum()) // 4))
        return plain(self, levels, stops, seeds)

    monkeypatch.setattr(FusedSnacDecoder, "decode", decode)
    bytes_per_frame = SnacCodec(codec_dir, device="cpu", precision="float16")._batches._decode.__self__
    bytes_per_frame = bytes_per_frame.bytes_per_frame
    monkeypatch.setattr(snac, "MAX_BATCH_BYTES", 80 * bytes_per_frame + 1)
    codec = SnacCodec(codec_dir, device="cpu", precision="float16")
    seen.clear()
    codec._batches.warm_up()
    sizes = {padded for padded, _ in seen}
    seen.clear()
    lengths = [15 + 8 * (i % 4) for i in range(20)]
    codec.decode([codes(length, i) for i, length in enumerate(lengths)], range(20))
    assert len(seen) > 4
    assert 80 >= max(padded for padded, _ in seen)
    assert sum(lengths) == sum(real for _, real in seen)
    assert sum(padded for padded, _ in seen) < 1.2 * sum(real for _, real in seen)
    assert sizes >= {padded for padded, _ in seen}


def test_out_of_memory_the_batches_shrink_and_nothing_is_lost(codec_dir, monkeypatch, caplog):
    """Room for three steps at a time: the same samples, and a word about it; for none, an error that helps."""
    streams = [codes(snac.LENGTH_STEP * (1 + i % 3), i) for i in range(9)]
    expected = SnacCodec(codec_dir, device="cpu", precision="float16").decode(streams, range(9))
    plain = FusedSnacDecoder.decode
    room = 3 * snac.LENGTH_STEP

    def cramped(self, levels, stops, seeds):
        if levels[0].numel() > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(self, levels, stops, seeds)

    monkeypatch.setattr(FusedSnacDecoder, "decode", cramped)
    codec = SnacCodec(codec_dir, device="cpu", precision="float16")
    with caplog.at_level(logging.WARNING):
        decoded = codec.decode(streams, range(9))
    for wanted, got in zip(expected, decoded, strict=True):
        np.testing.assert_allclose(wanted.samples, got.samples, atol=5e-3)
    assert "goes on with batches of" in caplog.text
    room = 0
    with pytest.raises(CodecError, match="kv_cache_gb"):
        codec.decode(streams[:1], range(1))


def test_auto_is_half_precision_where_it_is_fast(monkeypatch):
    """A GPU with Triton; float32 on a CPU, and on a GPU without."""
    assert "float32" == resolve_codec_precision("auto", "cpu")
    assert "bfloat16" == resolve_codec_precision("bfloat16", "cpu")
    monkeypatch.setattr(triton_support, "has_triton", lambda: True)
    assert "float16" == resolve_codec_precision("auto", "cuda:1")
    assert "float32" == resolve_codec_precision("float32", "cuda")
    monkeypatch.setattr(triton_support, "has_triton", lambda: False)
    assert "float32" == resolve_codec_precision("auto", "cuda")
    with pytest.raises(CodecError, match="'half' is not a precision of the codec; give auto, float32"):
        resolve_codec_precision("half", "cpu")


def test_fingerprints_differ_where_samples_do(pack_dir, codec_dir):
    """The audio cache is keyed by it; the codec and the run that plans with it agree."""
    prints = {}
    for precision in ("auto", "float32", "float16", "bfloat16"):
        codec = SnacCodec(codec_dir, device="cpu", precision=precision)
        config = load_config(
            None,
            {"model.pack": str(pack_dir), "engine.device": "cpu", "model.codec_precision": precision},
        )
        models = Models(load_pack(str(pack_dir)), config, Factories(), Progress())
        assert codec.fingerprint == models.codec_fingerprint
        assert models.codec().fingerprint == models.codec_fingerprint
        prints[precision] = codec.fingerprint
    assert 3 == len(set(prints.values()))
    assert prints["auto"] == prints["float32"] == codec_fingerprint(codec_dir)
