"""A peer for parity.py: pytorch/examples' own network, a few steps trained, saved in every way, and what it paints.

examples_net.py DIR PICTURE.npy OUT ; DIR is `fast_neural_style/neural_style` of a checkout of pytorch/examples, the
picture float32 (H, W, 3), RGB in 0..1. Leaves in the folder OUT the files and `painting.npy`. Nothing of danqing is
imported here.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import torch

STEPS = 120


def main() -> None:
    """See the top."""
    sys.path.insert(0, sys.argv[1])
    from transformer_net import TransformerNet  # type: ignore[import-not-found] # theirs

    out = Path(sys.argv[3])
    torch.manual_seed(0)
    net = TransformerNet()
    x = 255 * torch.from_numpy(np.load(sys.argv[2]).transpose(2, 0, 1)[None].copy())
    small = x[:, :, :96, :128]
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(STEPS):  # towards other colours, so that it paints something
        loss = (net(small) - (0.7 * small.flip(1) + 0.3 * small)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()
    state = net.state_dict()
    old = dict(state)
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.InstanceNorm2d):
            size = module.num_features
            old |= {f"{name}.running_mean": torch.zeros(size), f"{name}.running_var": torch.ones(size)}
    torch.save(state, out / "state.pth")
    torch.save(state, out / "legacy.model", _use_new_zipfile_serialization=False)
    torch.save(old, out / "old.pth", _use_new_zipfile_serialization=False)
    torch.save(net, out / "whole.pt")
    torch.save(net, out / "whole_legacy.pkl", _use_new_zipfile_serialization=False)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        for opset in (9, 11):
            torch.onnx.export(net, torch.zeros(1, 3, 224, 224), str(out / f"zoo{opset}.onnx"), opset_version=opset,
                              input_names=["input1"], output_names=["output1"], dynamo=False)  # fmt: skip
        np.save(out / "painting.npy", (net(x)[0].permute(1, 2, 0) / 255).clamp(0, 1).numpy())


if __name__ == "__main__":
    main()
