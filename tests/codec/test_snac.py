"""The SNAC codec: equal to the snac package, independent of the batch, repeatable, plain about bad input."""

import json
import threading

import numpy as np
import pytest
import torch
from snac import SNAC

from orpheus_batch.codec import snac_decoder
from orpheus_batch.codec.batches import batches_by_length
from orpheus_batch.codec.snac import (
    BATCH_TOLERANCE,
    SnacCodec,
    codec_fingerprint,
    load_model,
)
from orpheus_batch.data import SnacCodes
from orpheus_batch.errors import CodecError
from orpheus_batch.testing import make_tiny_pack

CODEBOOK_SIZE = 64


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny tensors gain nothing from threads, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def codec_dir(tmp_path_factory):
    folder = make_tiny_pack(tmp_path_factory.mktemp("pack"), codebook_size=CODEBOOK_SIZE) / "codec"
    weights = _weights(folder)
    # snac starts with biases of up to 0.4 but alphas of exactly 1: give each channel its own, and louder noise,
    # so that a channel mixed up or a noise block left out is seen.
    random = torch.Generator().manual_seed(1)
    for name, tensor in weights.items():
        if name.endswith("alpha"):
            tensor.uniform_(0.3, 3.0, generator=random)
        if ".linear." in name:
            tensor.mul_(2.0)
    _save(folder, weights)
    return folder


@pytest.fixture(scope="module")
def codec(codec_dir):
    return SnacCodec(codec_dir, device="cpu", num_threads=2)


def _weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def _save(folder, weights):
    from safetensors.torch import save_file

    save_file(weights, folder / "model.safetensors")


def _copy(codec_dir, folder):
    folder.mkdir()
    for file in codec_dir.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def _codes(num_frames, seed):
    random = np.random.default_rng(seed)
    return SnacCodes(*(random.integers(0, CODEBOOK_SIZE, num_frames * k).astype(np.int32) for k in (1, 2, 4)))


LENGTHS = (7, 1, 30, 2, 0, 19, 64, 3)
STREAMS = [_codes(n, seed) for seed, n in enumerate(LENGTHS)]
SEEDS = [101 + 7 * i for i in range(len(LENGTHS))]


def _package_decode(codec_dir, codes, seed):
    """Decode with the snac package's own layers, its randn replaced by our noise."""
    model = load_model(codec_dir)
    blocks = [layer.block for layer in model.decoder.model if hasattr(layer, "block")]
    for index, block in enumerate(blocks):
        noise_block = next(layer for layer in block if hasattr(layer, "linear"))

        def forward(x, index=index, linear=noise_block.linear):
            noise = snac_decoder.normal_noise([seed], index, x.shape[-1], x.device)
            return x + noise[:, None] * linear(x)

        noise_block.forward = forward
    levels = [torch.from_numpy(a.astype(np.int64))[None] for a in (codes.coarse, codes.mid, codes.fine)]
    with torch.inference_mode():
        return model.decode(levels)[0, 0].numpy()


def test_equals_the_snac_package(codec, codec_dir):
    """Tiles, folded weights and tables change nothing but rounding: 64 frames span many tiles of each level."""
    for codes, seed, waveform in zip(STREAMS, SEEDS, codec.decode(STREAMS, SEEDS), strict=True):
        if codes.num_frames:
            expected = _package_decode(codec_dir, codes, seed)
            assert len(expected) == len(waveform.samples) == 2048 * codes.num_frames
            assert np.abs(expected).max() > 0.01
            np.testing.assert_allclose(waveform.samples, expected, rtol=0, atol=5e-6)


def test_tiles_are_exact_wherever_they_fall(codec, codec_dir, monkeypatch):
    """With tiny tiles every seam of every level is crossed; a context one column short would show."""
    expected = _package_decode(codec_dir, STREAMS[2], SEEDS[2])
    for tile_bytes in (1, 40_000):
        monkeypatch.setattr(snac_decoder, "_TILE_BYTES", tile_bytes)
        got = codec.decode([STREAMS[2]], [SEEDS[2]])[0].samples
        np.testing.assert_allclose(got, expected, rtol=0, atol=5e-6)


def test_cpu_samples_do_not_depend_on_batch_order_or_threads(codec, codec_dir):
    """Bit for bit: the audio cache and resumed runs rest on it."""
    together = codec.decode(STREAMS, SEEDS)
    backwards = SnacCodec(codec_dir, device="cpu", num_threads=1).decode(STREAMS[::-1], SEEDS[::-1])[::-1]
    for index, codes in enumerate(STREAMS):
        alone = codec.decode([codes], [SEEDS[index]])[0].samples
        np.testing.assert_array_equal(alone, together[index].samples)
        np.testing.assert_array_equal(alone, backwards[index].samples)


@pytest.mark.parametrize("max_frames", [1, 40, 100_000])
def test_masked_batch_equals_decoding_each_alone(codec_dir, max_frames):
    """The GPU's way, on CPU: padding must not leak through biases and right context into short streams."""
    codec = SnacCodec(codec_dir, device="cpu", max_frames_per_batch=max_frames)
    alone = codec.decode(STREAMS, SEEDS)
    batched = codec.decode_batched(STREAMS, SEEDS)
    for expected, got in zip(alone, batched, strict=True):
        np.testing.assert_allclose(got, expected.samples, rtol=0, atol=BATCH_TOLERANCE)


def test_padding_without_masks_would_be_heard(codec):
    """Shows that the test above can fail: unmasked padding differs by far more than the tolerance."""
    short, pad = STREAMS[0], 5
    padded = SnacCodes(
        *(
            np.concatenate([a, np.zeros(pad * k, np.int32)])
            for a, k in ((short.coarse, 1), (short.mid, 2), (short.fine, 4))
        )
    )
    alone = codec.decode([short], [SEEDS[0]])[0].samples
    leaked = codec.decode([padded], [SEEDS[0]])[0].samples[: len(alone)]
    assert np.abs(leaked - alone).max() > 100 * BATCH_TOLERANCE


def test_noise_is_the_streams_own(codec):
    """Same codes: same seed same samples on every call, another seed other samples."""
    first, again, other = codec.decode([STREAMS[0]] * 3, [5, 5, 6])
    np.testing.assert_array_equal(first.samples, again.samples)
    assert np.abs(first.samples - other.samples).max() > 1e-4


def test_noise_is_standard_normal_and_uncorrelated():
    """Moments of a million draws; neighbours, seeds and blocks are unrelated. Bounds are five sigma."""
    count = 100_000
    device = torch.device("cpu")
    noise = torch.stack([normal for b in (0, 1) for normal in _noise(range(5), b, count, device)])
    assert noise.mean(1).abs().max() < 5 / count**0.5
    assert (noise.var(1) - 1).abs().max() < 5 * (2 / count) ** 0.5
    assert (noise[:, 1:] * noise[:, :-1]).mean(1).abs().max() < 5 / count**0.5
    assert (torch.corrcoef(noise) - torch.eye(10)).abs().max() < 5 / count**0.5


def _noise(seeds, block, count, device):
    return snac_decoder.normal_noise(list(seeds), block, count, device)


def test_noise_does_not_depend_on_length():
    """A position's noise is the same in a short and in a long row, or tiles and padding would change it."""
    device = torch.device("cpu")
    long = _noise([9], 2, 1001, device)
    for count in (1, 2, 500, 999):
        torch.testing.assert_close(_noise([9], 2, count, device), long[:, :count], rtol=0, atol=0)


def test_callers_thread_settings_are_left_alone(codec):
    """Decoding sets one thread for its own workers; the engine's number survives, here and in new threads."""
    torch.set_num_threads(2)
    codec.decode(STREAMS[:2], SEEDS[:2])
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert [2, 2] == [torch.get_num_threads(), *seen]


def test_empty_input(codec):
    """No streams give no audio, and a stream of no frames an empty waveform."""
    assert [] == codec.decode([], [])
    assert 0 == len(codec.decode([_codes(0, 0)], [1])[0].samples)


@pytest.mark.parametrize("level", ["coarse", "mid", "fine"])
@pytest.mark.parametrize("code", [-1, CODEBOOK_SIZE])
def test_code_out_of_range_names_the_stream(codec, level, code):
    """An embedding look-up would raise IndexError at best, and at worst read a wrong row."""
    bad = _codes(3, 0)
    getattr(bad, level)[2] = code
    with pytest.raises(CodecError, match=rf"stream 1: {level} code {code} at 2"):
        codec.decode([_codes(3, 1), bad], [0, 0])


def test_ragged_levels_and_seeds_are_refused(codec):
    """Lengths that do not agree are named, not broadcast."""
    codes = _codes(3, 0)
    with pytest.raises(CodecError, match="stream 0: levels of 3, 5 and 12"):
        codec.decode([SnacCodes(codes.coarse, codes.mid[:5], codes.fine)], [0])
    with pytest.raises(CodecError, match="1 streams came with 2 seeds"):
        codec.decode([codes], [0, 1])
    with pytest.raises(CodecError, match="stream 0: the seed -1"):
        codec.decode([codes], [-1])


def test_batches_hold_every_stream_once_within_the_bound():
    """Grouping by length: bounded, complete, and an oversized stream still gets a batch."""
    lengths = [5, 0, 9, 1, 30, 5, 8]
    batches = list(batches_by_length(lengths, 20))
    assert [0, 2, 3, 4, 5, 6] == sorted(i for batch in batches for i in batch)
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 20
    assert [4] == batches[-1]


def test_float16_and_pickled_weights_give_the_same_codec(codec_dir, codec, tmp_path):
    """Files may hold float16, an encoder, or PyTorch's own format, as SNAC's published weights do."""
    config = json.loads((codec_dir / "config.json").read_text())
    weights = _weights(codec_dir)
    full = dict(SNAC(**config).state_dict()) | weights
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(full, folder / "pytorch_model.bin")
    expected = codec.decode(STREAMS[:1], SEEDS[:1])[0].samples
    got = SnacCodec(folder, device="cpu").decode(STREAMS[:1], SEEDS[:1])[0].samples
    np.testing.assert_array_equal(got, expected)

    half = _copy(codec_dir, tmp_path / "half")
    _save(half, {name: tensor.half() for name, tensor in weights.items()})
    got = SnacCodec(half, device="cpu").decode(STREAMS[:1], SEEDS[:1])[0].samples
    assert np.float32 == got.dtype
    np.testing.assert_allclose(got, expected, atol=0.02)


def test_code_in_a_pickle_is_not_run(codec_dir, tmp_path):
    """``pytorch_model.bin`` is a pickle: only tensors may come out of it."""

    class Bomb:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'boom')!r}, 'w')",))

    folder = _copy(codec_dir, tmp_path / "codec")
    (folder / "model.safetensors").unlink()
    torch.save({"decoder.x": Bomb()}, folder / "pytorch_model.bin")
    with pytest.raises(CodecError, match=r"pytorch_model\.bin"):
        SnacCodec(folder, device="cpu")
    assert not (tmp_path / "boom").exists()


def test_fingerprint_follows_weights_and_config(codec_dir, tmp_path):
    """The audio cache is keyed by it: any byte of the codec changes it, its folder's name does not."""
    folder = _copy(codec_dir, tmp_path / "codec")
    assert codec_fingerprint(codec_dir) == codec_fingerprint(folder)
    weights = _weights(folder)
    next(iter(weights.values())).mul_(1.01)
    _save(folder, weights)
    assert codec_fingerprint(codec_dir) != codec_fingerprint(folder)


def _break_config(**changes):
    def apply(folder):
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return apply


def _break_weights(edit):
    def apply(folder):
        weights = _weights(folder)
        edit(weights)
        _save(folder, weights)

    return apply


BIAS = "decoder.model.0.bias"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), r"no config\.json in the codec's folder"),
        (lambda f: (f / "model.safetensors").unlink(), r"no model\.safetensors or pytorch_model\.bin"),
        (lambda f: (f / "config.json").write_text("{"), r"can't read .*config\.json"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x00" * 64), r"can't read the codec's weights"),
        (_break_config(colour="red"), "does not describe a SNAC model.*colour"),
        (_break_config(vq_strides=[8, 4, 2, 1]), "vq_strides must be"),
        (_break_config(sampling_rate=32000), "sampling_rate must be 24000"),
        (_break_config(decoder_rates=[8, 8, 2, 2]), "a frame must be 2048 samples"),
        (_break_config(attn_window_size=32, decoder_dim=64), "attn_window_size must be null"),
        (_break_config(depthwise=False), "depthwise must be true"),
        (_break_config(decoder_dim=64), r"'decoder\.model.* instead of"),
        (_break_weights(lambda w: w.pop(BIAS)), rf"1 tensors missing \({BIAS}\)"),
        (_break_weights(lambda w: w.update(other=torch.ones(1))), r"1 unknown \(other\)"),
        (_break_weights(lambda w: w[BIAS].fill_(float("nan"))), f"'{BIAS}' holds values that are not finite"),
    ],
)
def test_damaged_codec_is_refused_with_the_reason(codec_dir, tmp_path, damage, message):
    """Each way in which a codec folder can be wrong ends in a CodecError that says which file and what."""
    folder = _copy(codec_dir, tmp_path / "codec")
    damage(folder)
    with pytest.raises(CodecError, match=message):
        SnacCodec(folder, device="cpu")


def test_unknown_device_is_refused(codec_dir):
    """A device that does not exist is the user's mistake, not a traceback."""
    with pytest.raises(CodecError, match="'gpu0' is not a device"):
        SnacCodec(codec_dir, device="gpu0")
