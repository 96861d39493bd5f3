"""How the weights of a codec begin: from nothing, from an earlier codec, or from a narrower one.

`training/codec.py` trains what comes out of here; ``generator`` is always its `Generator`.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.parametrize import is_parametrized


def read_codec(folder: Path) -> dict[str, torch.Tensor]:
    """Return a trained codec's weights by the `snac` package's names; the encoder may lie in a file of its own."""
    files = [folder / "model.safetensors", folder / "encoder.safetensors"]
    return {name: value for file in files if file.exists() for name, value in load_file(file).items()}


@torch.no_grad()
def start_weights(snac: nn.Module) -> None:
    """Set weights so that speech comes through an untrained codec at its own level.

    PyTorch's default weights lose two thirds of the variance at every convolution, and its default biases are
    several times louder than speech: such a codec begins as a constant, and learns for thousands of steps to be
    anything else. Here every convolution keeps the variance, no bias is set, what a residual unit adds is small,
    and speech (peaks of 0.5) runs inside at three times its level, where the snakes bend but do not wrap.
    """
    for name, module in snac.named_modules():
        if not isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            continue
        weight = module.weight
        fan_in = weight.shape[1] * weight.shape[2]
        if isinstance(module, nn.ConvTranspose1d):
            fan_in = weight.shape[0] * weight.shape[2] / module.stride[0]
        gain = 1.0
        if name.endswith("block.3") and weight.shape[2] == 1:
            gain = 0.3  # the second convolution of a residual unit
        if name.endswith("linear"):
            gain = 0.05  # of a noise block
        set_weight(module, torch.randn_like(weight) * gain * fan_in**-0.5)
        if module.bias is not None:
            module.bias.zero_()
    first = snac.encoder.block[0]
    set_weight(first, first.weight * 3.0)


@torch.no_grad()
def match_level(generator: nn.Module, audio: torch.Tensor) -> None:
    """Scale the last convolution so that what comes out is as loud as ``audio``."""
    last = [m for m in generator.snac.decoder.modules() if isinstance(m, nn.Conv1d)][-1]
    for _ in range(3):  # the output is bent by tanh, so the ratio is approached
        set_weight(last, last.weight * (audio.std() / generator(audio)[0].std()))


@torch.no_grad()
def take_weights(snac: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Take over the weights of an earlier codec, under the `snac` package's own names; its decoder may be narrower.

    New channels of a wider decoder begin as `start_weights` made them, and what the old ones would read of them
    is zero: the wider codec makes the sound of the narrow one, and learns from there (Net2Net, arXiv:1511.05641).

    Raises:
        ValueError: It has other layers, or is wider.
    """
    own = dict(snac.named_parameters())
    if set(own) != set(weights):
        raise ValueError(f"the earlier codec has other tensors: {sorted(set(own) ^ set(weights))[:3]}")
    for name, module in snac.named_modules():
        stored = [f"{name}.parametrizations.weight.original{i}" for i in (0, 1)]
        if not is_parametrized(module, "weight") or own[stored[1]].shape == weights[stored[1]].shape:
            continue
        length, direction = (weights.pop(key).float() for key in stored)
        old = direction * (length / direction.flatten(1).norm(dim=1)[:, None, None])
        new = corner(module.weight.clone(), old)
        rows, columns = (0, 1) if isinstance(module, nn.Conv1d) else (1, 0)
        num_old = old.shape[columns]
        into_old = new.narrow(rows, 0, old.shape[rows])
        into_old.narrow(columns, num_old, new.shape[columns] - num_old).zero_()
        set_weight(module, new)
    for name, old in weights.items():
        own[name].copy_(corner(own[name].clone(), old.float()))


def corner(new: torch.Tensor, old: torch.Tensor) -> torch.Tensor:
    """Return ``new`` with ``old`` in its first rows, columns and taps.

    Raises:
        ValueError: It does not fit in.
    """
    if any(o > n for n, o in zip(new.shape, old.shape, strict=True)):
        raise ValueError(f"the earlier codec is wider: {tuple(old.shape)} does not fit into {tuple(new.shape)}")
    new[tuple(slice(size) for size in old.shape)] = old
    return new


@torch.no_grad()
def start_codebooks(generator: nn.Module, batches: list[torch.Tensor]) -> None:
    """Whiten what each level encodes of ``batches``, and make its codebook of such encodings.

    Codes are chosen by direction alone, so encodings with a mean of their own would share a handful of codes. The
    output projection takes the whitening back: until the codes come in, the sound is what it was.
    """
    for level, quantizer in enumerate(generator.snac.quantizer.quantizers):
        encoded = torch.cat([generator(audio)[3][level] for audio in batches])
        mean, std = encoded.mean(dim=0), encoded.std(dim=0).clamp_min(1e-6)
        project, back = quantizer.in_proj, quantizer.out_proj
        project_weight, back_weight = project.weight.clone(), back.weight.clone()
        set_weight(project, project_weight / std[:, None, None])
        project.bias.copy_((project.bias - mean) / std)
        back.bias.add_(back_weight[..., 0] @ mean)
        set_weight(back, back_weight * std[None, :, None])
        chosen = torch.randperm(len(encoded), device=encoded.device)[: quantizer.codebook_size]
        chosen = chosen.repeat(-(-quantizer.codebook_size // len(chosen)))[: quantizer.codebook_size]
        quantizer.codebook.weight.copy_((encoded[chosen] - mean) / std)


def set_weight(conv: nn.Conv1d, weight: torch.Tensor) -> None:
    """Set the weight of a convolution under weight norm; a row of zeros keeps a direction, which must not be zero."""
    length = weight.flatten(1).norm(dim=1)[:, None, None]
    conv.parametrizations.weight.original1.copy_(torch.where(length > 0, weight, torch.ones_like(weight)))
    conv.parametrizations.weight.original0.copy_(length)
