"""Where a codec's training begins: at an earlier one's weights, which must be no wider."""

import sys
from pathlib import Path

import pytest
import torch

TRAINING = Path(__file__).parents[2] / "training"


@pytest.fixture(scope="module")
def start():
    """The module under test."""
    sys.path.insert(0, str(TRAINING))
    import codec_start

    return codec_start


def snac(start, seed, encoder_dim=4, decoder_dim=32, codebook_size=16):
    from snac import SNAC

    torch.manual_seed(seed)
    model = SNAC(
        encoder_dim=encoder_dim,
        encoder_rates=[2, 4, 8, 8],
        decoder_dim=decoder_dim,
        decoder_rates=[8, 8, 4, 2],
        attn_window_size=None,
        codebook_size=codebook_size,
        codebook_dim=8,
        vq_strides=[4, 2, 1],
        noise=True,
        depthwise=True,
    )
    start.start_weights(model)
    return model.eval()


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def sound(model, samples):
    torch.manual_seed(5)  # of the noise blocks
    with torch.inference_mode():
        return model(samples)[0]


@pytest.mark.parametrize("decoder_dim", [32, 64])
def test_a_wider_decoder_begins_with_the_sound_of_the_narrow_one(start, decoder_dim):
    """New channels are there and are not heard."""
    narrow, wide = snac(start, 1), snac(start, 2, decoder_dim=decoder_dim)
    samples = torch.sin(torch.arange(4096) * 0.05)[None, None] / 2
    start.take_weights(wide, weights(narrow))
    torch.testing.assert_close(sound(wide, samples), sound(narrow, samples), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("wider", [{"decoder_dim": 64}, {"encoder_dim": 8}, {"codebook_size": 32}])
def test_an_earlier_codec_that_is_wider_is_refused_in_words(start, wider):
    """With both shapes, whichever part is too wide; PyTorch would complain of a length."""
    with pytest.raises(ValueError, match=r"the earlier codec is wider: \(.*\) does not fit into \("):
        start.take_weights(snac(start, 2), weights(snac(start, 1, **wider)))
