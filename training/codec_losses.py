"""What the codec is trained against: spectra at several resolutions, and two discriminators.

Sources: multi-scale mel loss and its weights from DAC (arXiv:2306.06546); multi-period discriminator and feature
matching from HiFi-GAN (arXiv:2010.05646); complex multi-resolution STFT discriminator from EnCodec
(arXiv:2210.13438). All are narrower here than there: one narrator, minutes of training.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

SAMPLE_RATE_HZ = 24_000
MEL_WINDOWS = ((32, 5), (64, 10), (128, 20), (256, 40), (512, 80), (1024, 160), (2048, 160))
"""(window, mel bands); the hop is a quarter of the window."""
FLOOR = 1e-3
"""-60 dB of full scale. Synthetic speech has pauses of nearly nothing, and the slope of a logarithm there would drown
all else: with the usual floor of 1e-5 the gradient's norm reached 1e5, and nothing was learned."""


def mel_filterbank(num_bands: int, window: int) -> torch.Tensor:
    """Return triangular mel filters, float32 [num_bands, window // 2 + 1], each summing to one.

    Source: O'Shaughnessy's mel scale, 2595 log10(1 + f / 700).
    """
    top = 2595.0 * math.log10(1.0 + SAMPLE_RATE_HZ / 2 / 700.0)
    edges = 700.0 * (10.0 ** (torch.linspace(0.0, top, num_bands + 2) / 2595.0) - 1.0)
    bins = torch.linspace(0.0, SAMPLE_RATE_HZ / 2, window // 2 + 1)
    rising = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp_min(0.0)
    return filters / filters.sum(dim=1, keepdim=True).clamp_min(1e-8)


class MultiScaleMelLoss(nn.Module):
    """L1 between log-mel spectra at seven resolutions."""

    def __init__(self) -> None:
        super().__init__()
        for window, num_bands in MEL_WINDOWS:
            self.register_buffer(f"window_{window}", torch.hann_window(window), persistent=False)
            self.register_buffer(f"filters_{window}", mel_filterbank(num_bands, window), persistent=False)

    def forward(self, predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return a scalar for float32 [batch, num_samples] each."""
        total = predicted.new_zeros(())
        both = torch.cat([predicted, target])
        for window, _ in MEL_WINDOWS:
            spectrum = torch.stft(
                both,
                window,
                window // 4,
                window=getattr(self, f"window_{window}"),
                return_complex=True,
                pad_mode="reflect",
            ).abs()
            spectrum = spectrum / getattr(self, f"window_{window}").norm()
            mel = (getattr(self, f"filters_{window}") @ spectrum + FLOOR).log10()
            total = total + F.l1_loss(*mel.chunk(2))
        return total


class PeriodDiscriminator(nn.Module):
    """Looks at every ``period``-th sample, as an image of period columns."""

    def __init__(self, period: int, channels: tuple[int, ...] = (32, 64, 128, 256)):
        super().__init__()
        self.period = period
        sizes = (1, *channels)
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, (5, 1), (3, 1), (2, 0))) for a, b in itertools.pairwise(sizes)
        )
        self.convs.append(weight_norm(nn.Conv2d(channels[-1], channels[-1], (5, 1), 1, (2, 0))))
        self.head = weight_norm(nn.Conv2d(channels[-1], 1, (3, 1), 1, (1, 0)))

    def forward(self, audio: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of each layer, the scores last, for [batch, num_samples]."""
        audio = F.pad(audio, (0, -audio.shape[-1] % self.period), mode="reflect")
        x = audio.reshape(audio.shape[0], 1, -1, self.period)
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.1)
            features.append(x)
        return [*features, self.head(x)]


class SpectrumDiscriminator(nn.Module):
    """Looks at the complex spectrum of one resolution."""

    def __init__(self, window: int, channels: int = 32):
        super().__init__()
        self.window_size = window
        self.register_buffer("window", torch.hann_window(window), persistent=False)
        layers = [nn.Conv2d(2, channels, (3, 9), padding=(1, 4))]
        for dilation in (1, 2, 4):
            layers.append(
                nn.Conv2d(
                    channels,
                    channels,
                    (3, 9),
                    stride=(1, 2),
                    dilation=(dilation, 1),
                    padding=(dilation, 4),
                )
            )
        layers.append(nn.Conv2d(channels, channels, (3, 3), padding=(1, 1)))
        self.convs = nn.ModuleList(weight_norm(layer) for layer in layers)
        self.head = weight_norm(nn.Conv2d(channels, 1, (3, 3), padding=(1, 1)))

    def forward(self, audio: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of each layer, the scores last, for [batch, num_samples]."""
        with torch.autocast(audio.device.type, enabled=False):
            spectrum = torch.stft(
                audio.float(),
                self.window_size,
                self.window_size // 4,
                window=self.window,
                normalized=True,
                return_complex=True,
            )
        x = torch.stack([spectrum.real, spectrum.imag], dim=1).transpose(2, 3)  # [batch, 2, time, bins]
        features = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.1)
            features.append(x)
        return [*features, self.head(x)]


class Discriminators(nn.Module):
    """Five periods and three resolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            [PeriodDiscriminator(p) for p in (2, 3, 5, 7, 11)]
            + [SpectrumDiscriminator(w) for w in (2048, 1024, 512)]
        )

    def forward(self, audio: torch.Tensor) -> list[list[torch.Tensor]]:
        """Return the features of every part for float32 [batch, num_samples]."""
        return [part(audio) for part in self.parts]


def discriminator_loss(real: list[list[torch.Tensor]], fake: list[list[torch.Tensor]]) -> torch.Tensor:
    """Return the least-squares loss of the discriminators."""
    losses = [
        (1 - r[-1].float()).pow(2).mean() + f[-1].float().pow(2).mean() for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(losses).mean()


def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the mean distance of two feature maps, relative to the second's mean size."""
    b = b.float()
    return (a.float() - b).abs().mean() / b.abs().mean().clamp_min(1e-3)


def generator_losses(
    real: list[list[torch.Tensor]], fake: list[list[torch.Tensor]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the generator's adversarial and feature-matching losses.

    A feature's distance is taken relative to its mean size, so that no layer drowns the others.
    """
    adversarial = torch.stack([(1 - f[-1].float()).pow(2).mean() for f in fake]).mean()
    matching = torch.stack(
        [
            distance(a, b.detach())
            for f, r in zip(fake, real, strict=True)
            for a, b in zip(f[:-1], r[:-1], strict=True)
        ]
    ).mean()
    return adversarial, matching
