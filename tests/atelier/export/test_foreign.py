"""Files of other tools become graphs that paint what torch, or the tree of modules, paints."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: there is nothing to compare with")
pytest.importorskip("onnx", reason="onnx is not installed: nothing can be exported")

from danqing.atelier.export import foreign  # noqa: E402
from danqing.atelier.nets.johnson import Johnson  # noqa: E402
from danqing.engines import feed, onnx  # noqa: E402
from danqing.errors import ModelDamaged  # noqa: E402
from tests.atelier.export.test_torch7 import eccv16, instance_norm  # noqa: E402
from tests.weights.t7_writer import Writer  # noqa: E402

WIDTHS = (4, 8, 12)
PIXELS = np.random.default_rng(3).random((50, 61, 3), dtype=np.float32)


def drawn() -> Johnson:
    torch.manual_seed(1)
    return Johnson(WIDTHS).half().float().eval()


def written(value: Any, path: Path, *, new: bool = True) -> Path:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=new)
    path.write_bytes(stream.getvalue())
    return path


def old(net: Johnson) -> dict[str, Any]:
    """As PyTorch before 0.4 saved it: with running statistics that nothing reads."""
    state = dict(net.state_dict())
    for name, module in net.named_modules():
        if isinstance(module, torch.nn.InstanceNorm2d):
            size = module.num_features
            state |= {f"{name}.running_mean": torch.randn(size), f"{name}.running_var": torch.rand(size)}
    return state


FORMS = {
    "state dict": lambda net: net.state_dict(),
    "old state dict": old,
    "on several devices": lambda net: {f"module.{key}": value for key, value in net.state_dict().items()},
    "whole": lambda net: net,
    "checkpoint": lambda net: {"epoch": 2, "state_dict": net.state_dict(), "optimizer": {"lr": 0.1}},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
def test_weights_of_pytorch_examples_paint_what_torch_paints(form: str, new: bool, tmp_path: Path) -> None:
    net = drawn()
    network = foreign.network(written(FORMS[form](net), tmp_path / "糖果.pth", new=new))
    assert network.card.kind == "network" and network.card.license == "unknown"
    assert network.card.parity["painting"] <= 2e-3
    session = onnx.Session(network.graph, name="x")
    x = torch.from_numpy(np.pad(PIXELS, ((0, 2), (0, 3), (0, 0)), mode="edge").transpose(2, 0, 1)[None].copy())
    with torch.no_grad():
        expected = (net(x * 255) / 255).clamp(0, 1)[0, :, :50, :61].numpy().transpose(1, 2, 0)
    found = feed.run(network.card, PIXELS, lambda seen: session({"picture": seen})["painting"])
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_safetensors_hold_the_same(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    net = drawn()
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, tmp_path / "a.safetensors")
    written(net.state_dict(), tmp_path / "a.pth")
    one, two = (foreign.network(tmp_path / f"a.{ending}") for ending in ("safetensors", "pth"))
    assert one.graph == two.graph


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state.pop("res3.in2.bias"), "res3.in2.bias is missing"),
        (lambda state: state.update(extra=torch.ones(2)), "extra is unknown"),
        (lambda state: state.update({"deconv3.conv2d.bias": torch.ones(4)}), r"deconv3.conv2d.bias is \[4\]"),
        (lambda state: state.pop("conv1.conv2d.weight"), "holds no network that paints"),
    ],
)
def test_weights_that_do_not_fit_are_listed(change: Any, says: str, tmp_path: Path) -> None:
    state = dict(drawn().state_dict())
    change(state)
    with pytest.raises(ModelDamaged, match=says):
        foreign.network(written(state, tmp_path / "a.pth"))


@pytest.mark.parametrize("family", [instance_norm, eccv16])
def test_a_torch7_file_has_its_figure(family: Any, tmp_path: Path) -> None:
    (tmp_path / "a.t7").write_bytes(Writer().bytes(family()[0]))
    network = foreign.network(tmp_path / "a.t7")
    assert 0 <= network.card.parity["painting"] <= 2e-3
    assert "jcjohnson" in network.card.origin


def test_modules_that_do_not_fit_together_are_one_line(tmp_path: Path) -> None:
    tree = eccv16()[0]
    first = tree.modules[0].fields
    first.update(nInputPlane=5, weight=np.zeros((4, 5, 9, 9), np.float32))
    (tmp_path / "a.t7").write_bytes(Writer().bytes(tree))
    with pytest.raises(ModelDamaged) as caught:
        foreign.network(tmp_path / "a.t7")
    assert "\n" not in str(caught.value)
