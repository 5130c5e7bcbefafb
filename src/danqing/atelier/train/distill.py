"""Distillation of `compact`: a small encoder learns to see what the VGG-19 teachers see.

In go photographs, paintings and the teachers' weights; out comes a trained encoder with a log of how far each layer is
from its teacher. Every taught layer of the student has a linear 1x1 head into its teacher's feature space (as in Wang
et al. 2020, "Collaborative Distillation"); the heads only exist while training. Departures from that paper: the teachers
are asked once, for a fixed set of crops, and their answers are kept in memory, because they cost more than the student;
the covariances that style losses are made of are taught too; convolutions are trained by Muon (Jordan et al. 2024); and
at the end each channel is scaled to the weight that it has in the teacher's space, which a ReLU network allows without
changing what it computes, so that distances between our covariances resemble distances between the teacher's.

The crops are a pure function of (seed, number) and their order one of (seed, epoch): a run that is killed and started
again with the same command goes on from its last checkpoint and ends with the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import math
import time
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tomli_w
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from danqing.atelier.export.onnx import encoder_to_onnx
from danqing.atelier.encoders import CAFFE_BIAS, CAFFE_MATRIX, VGG, VGG_WIDTHS, compact
from danqing.card import Card
from danqing.files import sha256

log = logging.getLogger(__name__)

TAUGHT = ("relu1_1", "relu2_1", "relu3_1", "relu3_3", "relu4_1", "relu4_2", "relu5_1")
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
ONNX_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu3_3", "relu4_1", "relu5_1")
VGG19_PLACES = {0: "conv1_1", 2: "conv1_2", 5: "conv2_1", 7: "conv2_2", 10: "conv3_1", 12: "conv3_2", 14: "conv3_3",
                16: "conv3_4"}  # torchvision's features.N  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The recipe of a distillation; see recipes/compact.toml."""

    seed: int
    steps: int
    batch: int
    crops: int
    crop: int
    muon_rate: float
    adam_rate: float
    covariance_weight: float
    ema: float
    paintings_share: float
    holdout: str

    @classmethod
    def read(cls, path: Path) -> Plan:
        """The recipe in a TOML file.

        Raises:
            TypeError: a key is missing or unknown.
        """
        return cls(**tomllib.loads(path.read_text(encoding="utf-8")))


# ── teachers ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Teachers(nn.Module):
    """The true VGG-19 to relu3_4 and the compressed VGG-19 from relu4_1 to relu5_1, as one frozen encoder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        true = load_file(folder / "vgg19-caffe-conv1_1-conv3_4.safetensors")
        self.true = VGG(VGG_WIDTHS, last="conv3_3", matrix=CAFFE_MATRIX, bias=CAFFE_BIAS)
        self.true.load_state_dict({
            f"{name}.{part}": true[f"features.{place}.{part}"]
            for place, name in VGG19_PLACES.items()
            if name in self.true.names
            for part in ("weight", "bias")
        })
        small = load_file(folder / "vgg19-compressed16x-relu5_1.safetensors")
        self.small = VGG(
            (16, 32, 64, 128, 128),
            matrix=small["conv0.weight"][:, :, 0, 0].tolist(),
            bias=small["conv0.bias"].tolist(),
            padding="reflect",
        )
        self.small.load_state_dict({
            f"{name}.{part}": small[f"{name.replace('_', '')}.{part}"]
            for name in self.small.names
            for part in ("weight", "bias")
        })
        self.scales = dict.fromkeys(self.widths, 1.0)
        self.requires_grad_(requires_grad=False)

    def normalize(self, x: Tensor) -> None:
        """Bring every layer to a mean square of 1 on these pictures: the true VGG's are some hundreds."""
        with torch.no_grad():
            self.scales = {layer: 1 / float(f.float().square().mean().sqrt()) for layer, f in self(x).items()}

    @property
    def widths(self) -> dict[str, int]:
        """{taught layer: channels of the teacher responsible for it}."""
        return {
            layer: (self.true if layer < "relu4" else self.small).get_submodule(f"conv{layer[4:]}").weight.shape[0]
            for layer in TAUGHT
        }

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Features of every taught layer, (N, 3, H, W) in 0..1 -> {layer: (N, C, h, w)}."""
        low = [layer for layer in TAUGHT if layer < "relu4"]
        high = [layer for layer in TAUGHT if layer >= "relu4"]
        features = {**self.true(x, low), **self.small(x, high)}
        return {layer: value * self.scales[layer] for layer, value in features.items()}


def thin(features: dict[str, Tensor]) -> dict[str, Tensor]:
    """Every eighth row and column of the first block, every fourth of the second, every second of the third.

    Neighbours there say nearly the same, and keeping and comparing all of them would cost more than the networks.
    """
    strides = {"1": 8, "2": 4, "3": 2}
    offset = {"1": 3, "2": 1, "3": 1}
    return {
        layer: value[:, :, offset.get(layer[4], 0) :: strides.get(layer[4], 1), offset.get(layer[4], 0) :: strides.get(layer[4], 1)]
        for layer, value in features.items()
    }


# ── data: a pure function of the seed ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Pictures:
    """Photographs and paintings in memory, each uint8 (H, W, 3)."""

    photos: list[NDArray[np.uint8]]
    paintings: list[NDArray[np.uint8]]

    @classmethod
    def read(cls, data: Path, holdout: Path, *, held_out: bool) -> Pictures:
        """All pictures under `data/photos` and `data/paintings`, without the held-out ones, or only those."""
        rule = tomllib.loads(holdout.read_text(encoding="utf-8"))

        def photo_held(path: Path) -> bool:
            return int(hashlib.sha256(path.name.encode()).hexdigest(), 16) % int(rule["photos_modulus"]) == 0

        photos = [p for p in sorted((data / "photos").glob("*.jpg")) if photo_held(p) == held_out]
        paintings = [p for p in sorted((data / "paintings").glob("*.jpg")) if (p.name in rule["paintings"]) == held_out]
        return cls(*([np.asarray(Image.open(p).convert("RGB")) for p in group] for group in (photos, paintings)))


def crop_at(pictures: Pictures, plan: Plan, number: int) -> NDArray[np.float32]:
    """One training crop, float32 (3, crop, crop) in 0..1: cut, scaled, recoloured, and sometimes drowned in noise.

    Noise belongs here because optimisation starts from it and passes through pictures that no camera would take.
    """
    rng = np.random.default_rng((plan.seed, number))
    group = pictures.paintings if rng.random() < plan.paintings_share else pictures.photos
    source = group[rng.integers(len(group))]
    height, width = source.shape[:2]
    side = min(plan.crop * rng.uniform(0.6, 1.8), height, width)
    left, top = rng.uniform(0, width - side), rng.uniform(0, height - side)
    box = (left, top, left + side, top + side)
    image = Image.fromarray(source).resize((plan.crop, plan.crop), Image.Resampling.BICUBIC, box=box)
    x = np.asarray(image, dtype=np.float32) / 255
    if rng.random() < 0.5:
        x = x[:, ::-1]
    if rng.random() < 0.35:
        x = (x - 0.5) * rng.uniform(0.5, 1.5, 3).astype(np.float32) + 0.5 + rng.normal(0, 0.1, 3).astype(np.float32)
    if rng.random() < 0.1:
        x = x[:, :, rng.permutation(3)]
    if rng.random() < 0.12:
        x = x + rng.uniform(0, 1) * (_noise(rng, plan.crop) - x)
    return np.ascontiguousarray(np.clip(x, 0, 1).transpose(2, 0, 1))


def _noise(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Noise of a random grain, float32 (size, size, 3) around 0.5."""
    grain = int(rng.choice([1, 1, 2, 4, 8]))
    small = rng.normal(0.5, rng.uniform(0.05, 0.3), (size // grain, size // grain, 3)).clip(0, 1)
    image = Image.fromarray((small * 255).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32) / 255


@dataclass(frozen=True)
class Lessons:
    """Crops and what the teachers see in them, kept in memory: about 0.9 MB a crop.

    Attributes:
        crops: uint8 (N, 3, crop, crop).
        answers: {taught layer: bfloat16 (N, C, h, w)}, thinned.
    """

    crops: Tensor
    answers: dict[str, Tensor]

    @classmethod
    def prepare(cls, pictures: Pictures, teachers: Teachers, plan: Plan) -> Lessons:
        """Cut all crops and ask the teachers, eight at a time."""
        crops, answers = [], []
        for first in range(0, plan.crops, 8):
            chunk = np.stack([crop_at(pictures, plan, n) for n in range(first, min(first + 8, plan.crops))])
            crops.append(torch.from_numpy((chunk * 255).round().astype(np.uint8)))
            x = (crops[-1].float() / 255).contiguous(memory_format=torch.channels_last)
            with torch.no_grad():
                answers.append({layer: value.contiguous() for layer, value in thin(teachers(x)).items()})
            if first % 800 == 0:
                log.info("teachers asked for %d of %d crops", first, plan.crops)
        return cls(torch.cat(crops), {layer: torch.cat([a[layer] for a in answers]) for layer in TAUGHT})

    def batch(self, plan: Plan, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The batch of a step: crops (batch, 3, crop, crop) in 0..1 and the teachers' features."""
        a_pass = plan.crops // plan.batch
        order = np.random.default_rng((plan.seed, step // a_pass)).permutation(plan.crops)
        chosen = torch.from_numpy(order[step % a_pass * plan.batch :][: plan.batch])
        x = (self.crops[chosen].float() / 255).contiguous(memory_format=torch.channels_last)
        return x, {layer: answers[chosen] for layer, answers in self.answers.items()}


# ── objective ───────────────────────────────────────────────────────────────────────────────────────────────────────


def covariance(features: Tensor) -> Tensor:
    """Covariance over positions, (N, C, h, w) -> float32 (N, C, C)."""
    flat = features.flatten(2).float()
    flat = flat - flat.mean(2, keepdim=True)
    return flat @ flat.mT / flat.shape[2]


def errors(student: dict[str, Tensor], heads: nn.ModuleDict, teacher: dict[str, Tensor]) -> dict[str, Tensor]:
    """Relative squared error of every layer: 0 = the teacher's features exactly, 1 = no better than their mean."""
    result = {}
    for layer, target in teacher.items():
        mean = target.float().mean((0, 2, 3), keepdim=True)
        spread = (target.float() - mean).square().mean()
        result[layer] = (heads[layer](student[layer]) - target).float().square().mean() / spread
    return result


def covariance_errors(student: dict[str, Tensor], heads: nn.ModuleDict, teacher: dict[str, Tensor]) -> dict[str, Tensor]:
    """Relative squared error of the covariances of the style layers, seen through the heads, averaged over pictures."""
    result = {}
    for layer in STYLE_LAYERS:
        head = heads[layer].weight[:, :, 0, 0].float()
        ours, theirs = head @ covariance(student[layer]) @ head.T, covariance(teacher[layer])
        scale = theirs.square().sum((1, 2))
        # A flat picture has no covariance to be relative to.
        result[layer] = ((ours - theirs).square().sum((1, 2)) / (scale + 0.01 * scale.mean())).mean()
    return result


# ── the run ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal (Jordan et al. 2024): for convolutions, flattened to matrices.

    torch.optim.Muon takes matrices only. Newton-Schulz coefficients and scale are the authors'.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One step from the gradients as they are."""
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                average = state["momentum"].mul_(group["momentum"]).add_(parameter.grad)
                update = (parameter.grad + group["momentum"] * average).reshape(parameter.shape[0], -1)
                scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
                parameter.add_(self.orthogonal(update).view_as(parameter), alpha=-group["lr"] * scale)

    @staticmethod
    def orthogonal(matrix: Tensor) -> Tensor:
        """The nearest orthogonal matrix, roughly: five Newton-Schulz iterations."""
        x = matrix / (matrix.norm() + 1e-7)
        if tall := x.shape[0] > x.shape[1]:
            x = x.T
        for _ in range(5):
            square = x @ x.T
            x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
        return x.T if tall else x


class Run:
    """A distillation on its way: student, heads, moving average, optimiser, step; saved and found again in a folder."""

    def __init__(self, plan: Plan, teachers: Teachers, folder: Path) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.folder, self.step = plan, folder, 0
        student = compact()
        heads = {
            layer: nn.Conv2d(student.get_submodule(f"conv{layer[4:]}").weight.shape[0], width, 1)
            for layer, width in teachers.widths.items()
        }
        for module in student.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.model = nn.ModuleDict({"student": student, "heads": nn.ModuleDict(heads)})
        self.model.to(memory_format=torch.channels_last)
        self.average = {name: value.detach().clone() for name, value in self.model.named_parameters()}
        inner = [v for n, v in student.named_parameters() if v.dim() == 4 and not n.startswith("conv1_1")]
        outer = [v for v in self.model.parameters() if not any(v is other for other in inner)]
        self.optimizers = (
            Muon(inner, lr=plan.muon_rate),
            torch.optim.Adam(outer, lr=plan.adam_rate, betas=(0.9, 0.99)),
        )
        self.rates = (plan.muon_rate, plan.adam_rate)

    def schedule(self) -> float:
        """The share of the full learning rate: warmed up over 100 steps, then a cosine to zero."""
        warm = min(1.0, (self.step + 1) / 100)
        return warm * 0.5 * (1 + math.cos(math.pi * self.step / self.plan.steps))

    def train_on(self, batch: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step; returns the relative error of every taught layer before it."""
        with torch.autocast("cpu", torch.bfloat16):
            features = thin(self.model["student"](batch, TAUGHT))
            of_features = errors(features, self.model["heads"], targets)
        of_covariances = covariance_errors(features, self.model["heads"], targets)
        loss = torch.stack(list(of_features.values())).mean()
        loss = loss + self.plan.covariance_weight * torch.stack(list(of_covariances.values())).mean()
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * self.schedule()
            optimizer.step()
        decay = min(self.plan.ema, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in self.model.named_parameters():
                self.average[name].lerp_(value, 1 - decay)
        self.step += 1
        return {layer: error.detach() for layer, error in of_features.items()}

    def state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """What the optimiser responsible for a parameter remembers of it."""
        return next((o.state[parameter] for o in self.optimizers if parameter in o.state), {})

    def save(self) -> None:
        """Write the checkpoint: safetensors under a temporary name, then renamed."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for name, value in self.model.named_parameters():
            tensors |= {f"optimizer.{part}.{name}": kept for part, kept in self.state_of(value).items()}
        tensors = {name: value.detach().contiguous() for name, value in tensors.items()}
        temporary = self.folder / "checkpoint.tmp"
        save_file(tensors, temporary, metadata={"step": str(self.step)})
        temporary.replace(self.folder / "checkpoint.safetensors")

    def load(self) -> None:
        """Go on from the folder's checkpoint, if there is one."""
        path = self.folder / "checkpoint.safetensors"
        if not path.exists():
            return
        tensors = load_file(path)
        self.model.load_state_dict({n.removeprefix("model."): v for n, v in tensors.items() if n.startswith("model.")})
        inner = {id(value) for value in self.optimizers[0].param_groups[0]["params"]}
        for name, value in self.model.named_parameters():
            self.average[name].copy_(tensors[f"average.{name}"])
            state = {
                part: tensors[key].clone() if part == "step" else torch.empty_like(value).copy_(tensors[key])
                for part in ("momentum", "step", "exp_avg", "exp_avg_sq")
                if (key := f"optimizer.{part}.{name}") in tensors
            }
            self.optimizers[0 if id(value) in inner else 1].state[value] = state
        with safe_open(path, "pt") as file:
            self.step = int(file.metadata()["step"])

    def averaged(self) -> nn.ModuleDict:
        """The model with its averaged weights, for judging and shipping."""
        student = compact()
        heads = {layer: nn.Conv2d(m.in_channels, m.out_channels, 1) for layer, m in self.model["heads"].items()}
        model = nn.ModuleDict({"student": student, "heads": nn.ModuleDict(heads)})
        model.load_state_dict(self.average)
        return model.requires_grad_(requires_grad=False)


def still_crops(pictures: Pictures, seed: int) -> Tensor:
    """32 crops of at most 256 px, half of them paintings, without noise or recolouring: (32, 3, 256, 256) in 0..1."""
    crops = []
    for place in range(32):
        rng = np.random.default_rng((seed, place))
        group = (pictures.photos, pictures.paintings)[place % 2]
        source = group[place // 2 % len(group)]
        top, left = (rng.integers(0, max(1, side - 255)) for side in source.shape[:2])
        crops.append(source[top : top + 256, left : left + 256].transpose(2, 0, 1) / np.float32(255))
    return torch.from_numpy(np.stack(crops))


def judge(run: Run, teachers: Teachers, x: Tensor) -> dict[str, dict[str, float]]:
    """Relative errors of the averaged weights on pictures (N, 3, H, W)."""
    model = run.averaged()
    with torch.no_grad():
        student, teacher = model["student"](x, TAUGHT), teachers(x)
        of_features = errors(student, model["heads"], teacher)
        of_covariances = covariance_errors(student, model["heads"], teacher)
    return {
        "features": {layer: round(float(e), 5) for layer, e in of_features.items()},
        "covariances": {layer: round(float(e), 5) for layer, e in of_covariances.items()},
    }


def ship(run: Run, x: Tensor) -> VGG:
    """The trained encoder with every channel of a taught layer scaled to its weight in the teacher's space, and every
    layer to a mean square of 1 on the pictures x (N, 3, H, W).

    ReLU and max pooling commute with positive factors, so the scaled network computes the same, factor by factor.
    """
    model = run.averaged()
    student, heads = model["student"], model["heads"]
    for place, name in enumerate(student.names):
        layer = f"relu{name[4:]}"
        convolution = student.get_submodule(name)
        weights = heads[layer].weight[:, :, 0, 0].norm(dim=0) if layer in TAUGHT else torch.ones(len(convolution.bias))
        features = student(x, [layer])[layer]
        scale = weights / (features * weights[:, None, None]).square().mean().sqrt()
        convolution.weight.mul_(scale[:, None, None, None])
        convolution.bias.mul_(scale)
        if place + 1 < len(student.names):
            student.get_submodule(student.names[place + 1]).weight.div_(scale[:, None, None])
    return student


def publish(run: Run, pictures: Pictures, verdict: dict[str, dict[str, float]], folder: Path) -> None:
    """Write what ships into `folder`: compact.safetensors and compact.onnx in float16, and their card compact.toml."""
    encoder = ship(run, still_crops(pictures, run.plan.seed)).half()
    save_file({name: value.contiguous() for name, value in encoder.state_dict().items()}, folder / "compact.safetensors")
    (folder / "compact.onnx").write_bytes(encoder_to_onnx(encoder, ONNX_LAYERS))
    layers = tuple(f"relu{name[4:]}" for name in encoder.names)
    card = Card(
        name="compact",
        kind="encoder",
        file="compact.safetensors",
        sha256=sha256(folder / "compact.safetensors"),
        onnx="compact.onnx",
        onnx_sha256=sha256(folder / "compact.onnx"),
        license="Apache-2.0",
        origin=f"danqing's own, distilled from a random start by recipes/compact.toml, {run.step} steps",
        teacher="VGG-19 (Simonyan & Zisserman 2014, CC BY 4.0) to relu3_4; VGG-19 compressed 16x (Wang et al. 2020, MIT) beyond",
        data=f"{len(pictures.photos)} photographs (BSDS500 and one a class of ImageNet) and {len(pictures.paintings)} public-domain paintings",
        quality={f"relative squared error, {layer}": error for layer, error in verdict["features"].items()},
        mean=(0.45, 0.45, 0.45),
        std=(0.225, 0.225, 0.225),
        multiple_of=1,
        padding="reflect",
        min_size=32,
        layers=layers,
    )
    values = card.model_dump(mode="json", exclude_defaults=True)
    (folder / "compact.toml").write_text(tomli_w.dumps(values), encoding="utf-8")


def distill(plan: Plan, *, recipe: Path, data: Path, teachers_folder: Path, folder: Path) -> Run:
    """Train to the end, from the checkpoint in `folder` if there is one; the log is `folder/log.jsonl`."""
    folder.mkdir(parents=True, exist_ok=True)
    holdout = recipe.parent / plan.holdout
    training = Pictures.read(data, holdout, held_out=False)
    held_out = Pictures.read(data, holdout, held_out=True)
    log.info("training on %d photographs and %d paintings", len(training.photos), len(training.paintings))
    exam = still_crops(held_out, plan.seed)
    judges = Teachers(teachers_folder)
    judges.normalize(still_crops(training, plan.seed))
    teachers = Teachers(teachers_folder).to(torch.bfloat16).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    teachers.scales = judges.scales
    run = Run(plan, judges, folder)
    run.load()
    if run.step < plan.steps:
        lessons = Lessons.prepare(training, teachers, plan)
    start, began = run.step, time.monotonic()
    while run.step < plan.steps:
        seen = run.train_on(*lessons.batch(plan, run.step))
        if run.step % 100 == 0:
            rate = (run.step - start) / (time.monotonic() - began)
            mean = float(torch.stack(list(seen.values())).mean())
            left = (plan.steps - run.step) / rate / 60
            log.info("step %d/%d error %.4f, %.2f steps/s, %.0f min left", run.step, plan.steps, mean, rate, left)
        if run.step % 1000 == 0 or run.step == plan.steps:
            verdict = {"step": run.step, **judge(run, judges, exam)}
            with (folder / "log.jsonl").open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(verdict) + "\n")
            log.info("%s", verdict)
            run.save()
    publish(run, training, judge(run, judges, exam), folder)
    return run


def main() -> None:
    """The command line: see recipes/compact.toml."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="a folder with photos/ and paintings/")
    parser.add_argument("--teachers", type=Path, required=True, help="the folder of the teachers' safetensors")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint, log and the trained encoder")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    distill(Plan.read(args.recipe), recipe=args.recipe, data=args.data, teachers_folder=args.teachers, folder=args.out)


if __name__ == "__main__":
    main()
