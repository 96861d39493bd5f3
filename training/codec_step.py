"""One step of training the codec: losses, gradients, both optimisers.

The discriminators look at real and decoded speech once a step, and both sides learn from that one look: their own
gradient and the decoder's are taken from the same features. On one GPU, when the codes are kept, every step is the same
operations on the same memory, so it is captured once as a CUDA graph and replayed; eagerly, such a step waits for the
host more than half of the time.
"""

from typing import NamedTuple

import torch
from codec_losses import discriminator_loss, generator_losses
from torch import nn

MEL_WEIGHT, ADVERSARIAL_WEIGHT, MATCHING_WEIGHT = 15.0, 1.0, 4.0
BETAS, WEIGHT_DECAY = (0.8, 0.99), 1e-3
CRITICS_RATE = 0.5
"""of the codec's learning rate"""
WARM_UP = 12
"""eager steps before the capture"""


class Outcome(NamedTuple):
    """What a step leaves behind; overwritten by the next where steps are replayed."""

    record: dict[str, torch.Tensor]
    """scalars for the log"""
    indices: list[torch.Tensor]
    """of each level, as `Generator.forward` returns them"""
    encodings: list[torch.Tensor]


class Step:
    """The optimisers, and what they are fed."""

    def __init__(
        self, generator: nn.Module, critics: nn.Module, mel_loss: nn.Module, world: int, *, replayed: bool
    ):
        """Make the optimisers.

        Args:
            generator: The `Generator` of `training/codec.py`, on its device.
            critics: `Discriminators`, likewise.
            mel_loss: `MultiScaleMelLoss`, likewise.
            world: Processes that share each batch; their gradients are averaged.
            replayed: Capture steps where that is possible.
        """
        self.generator, self.critics, self.mel_loss, self.world = generator, critics, mel_loss, world
        self.trained = [p for p in generator.parameters() if p.requires_grad]
        self.judging = list(critics.parameters())
        device = self.judging[0].device
        self.device = device
        # as tensors: a replayed step reads what they hold then
        self.rate, self.critics_rate, self.ramp = (torch.zeros((), device=device) for _ in range(3))
        self._replayed = replayed and device.type == "cuda" and world == 1 and generator.keep_codes
        self._settings = settings = {"betas": BETAS, "weight_decay": WEIGHT_DECAY}
        if device.type == "cuda":
            settings |= {"fused": True, "capturable": True}
        self.g_opt = torch.optim.AdamW(self.trained, lr=self.rate, **settings)
        self.d_opt = torch.optim.AdamW(self.judging, lr=self.critics_rate, **settings)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._real: torch.Tensor | None = None
        self._outcome: Outcome | None = None
        self._warmed = 0

    def __call__(self, real: torch.Tensor, rate: float, ramp: float) -> Outcome:
        """Train on speech [batch, num_samples].

        Args:
            real: float32 in [-1, 1], whole frames.
            rate: Learning rate of the codec.
            ramp: Weight of what the discriminators say; 0 leaves them out.
        """
        self.rate.fill_(rate)
        self.critics_rate.fill_(rate * CRITICS_RATE)
        self.ramp.fill_(ramp)
        if not (self._replayed and ramp > 0):
            return self._run(real, ramp > 0)
        if self._graph is None and self._warmed < WARM_UP:
            self._warmed += 1
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                outcome = self._run(real, True)
            torch.cuda.current_stream().wait_stream(side)
            return outcome
        if self._graph is None:
            self._capture(real)
        self._real.copy_(real)
        self._graph.replay()
        return self._outcome

    def load(self, g_state: dict, d_state: dict) -> None:
        """Take over what the optimisers knew."""
        self.g_opt.load_state_dict(g_state)
        self.d_opt.load_state_dict(d_state)
        for optimizer, rate in ((self.g_opt, self.rate), (self.d_opt, self.critics_rate)):
            for group in optimizer.param_groups:
                group.update(self._settings, lr=rate)  # loading puts copies of its own there

    def _capture(self, real: torch.Tensor) -> None:
        self._real = real.clone()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._outcome = self._run(self._real, True)
        self._graph = graph

    def _run(self, real: torch.Tensor, judged: bool) -> Outcome:
        generator, critics = self.generator, self.critics
        mixed = torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.device.type == "cuda", cache_enabled=False
        )
        fake, vq_loss, indices, encodings = generator(real)
        mel = self.mel_loss(fake, real)
        loss = MEL_WEIGHT / 7 * mel + vq_loss
        record = {
            "mel": mel.detach(),
            "vq": vq_loss.detach(),
            "rms_in": real.square().mean().sqrt(),
            "rms_out": fake.detach().square().mean().sqrt(),
        }
        if judged:
            heard = fake.detach().requires_grad_()
            with mixed:
                real_features, fake_features = critics(real), critics(heard)
            d_loss = discriminator_loss(real_features, fake_features)
            adversarial, matching = generator_losses(real_features, fake_features)
            self._take(self.judging, torch.autograd.grad(d_loss, self.judging, retain_graph=True))
            against = self.ramp * (ADVERSARIAL_WEIGHT * adversarial + MATCHING_WEIGHT * matching)
            (pull,) = torch.autograd.grad(against, heard)
            loss = loss + (pull * fake).sum()  # whose gradient is what the critics would have fake move to
            record |= {"d": d_loss.detach(), "adv": adversarial.detach(), "match": matching.detach()}
        self._take(self.trained, torch.autograd.grad(loss, self.trained, allow_unused=True))
        if judged:
            nn.utils.clip_grad_norm_(self.judging, 10.0)
            self.d_opt.step()
        record["grad"] = nn.utils.clip_grad_norm_(self.trained, 5.0).detach()
        self.g_opt.step()
        return Outcome(record, indices, encodings)

    def _take(self, parameters: list[nn.Parameter], gradients: tuple[torch.Tensor | None, ...]) -> None:
        share(self.world, list(gradients), average=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
            if gradient is not None and gradient.stride() != parameter.stride():
                # the optimiser wants both laid out alike
                parameter.grad = torch.empty_like(parameter).copy_(gradient)


def share(world: int, tensors: list[torch.Tensor | None], *, average: bool) -> None:
    """Add up (or average) tensors over the processes, in place, in one message."""
    tensors = [t for t in tensors if t is not None]
    if world == 1:
        return
    flat = torch.cat([t.reshape(-1) for t in tensors])
    torch.distributed.all_reduce(flat)
    if average:
        flat /= world
    for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))
