"""Distillation of `compact`: a small encoder learns to see what the VGG-19 teachers see.

In go photographs, paintings and the teachers' weights; out comes a trained encoder with a log of how far each layer is
from its teacher. Every taught layer of the student has a linear 1x1 head into its teacher's feature space (as in Wang
et al. 2020, "Collaborative Distillation"); the heads only exist while training. Departures from that paper:
- the teachers are asked once, for a fixed set of crops, because they cost more than the student;
- the covariances that style losses are made of are taught too;
- at the end pictures that the student itself painted are among the lessons;
- every layer is taught, not five, the early ones by both teachers, and most crops carry noise;
- at the end each channel is scaled to the weight that it has in the teacher's space, which a ReLU network allows
  without changing what it computes, so that distances between our covariances resemble the teacher's.

The crops are a pure function of (seed, number) and their order one of (seed, epoch): a run that is killed and started
again with the same command goes on from its last checkpoint and ends with the same weights.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn

from danqing.atelier.encoders import VGG, compact
from danqing.atelier.export.onnx import encoder_to_onnx
from danqing.atelier.gatys import GatysStylizer
from danqing.atelier.train.lessons import Lessons, Pictures, Plan, plain_crop, still_crops
from danqing.atelier.train.teachers import TAUGHT, Teachers, layer_of, lesson_of, thin
from danqing.card import Card
from danqing.files import atomic_write, sha256
from danqing.picture import Picture
from danqing.quality import CONTENT_LAYERS, STYLE_LAYERS
from danqing.recipe import Recipe
from danqing.style import Style
from danqing.stylizer import Step

log = logging.getLogger(__name__)

ONNX_LAYERS = sorted({*CONTENT_LAYERS, *STYLE_LAYERS})  # what `danqing score` looks at


# ── objective ───────────────────────────────────────────────────────────────────────────────────────────────────────


def covariance(features: Tensor) -> Tensor:
    """Covariance over positions, (N, C, h, w) -> float32 (N, C, C)."""
    flat = features.flatten(2).float()
    flat = flat - flat.mean(2, keepdim=True)
    return flat @ flat.mT / flat.shape[2]


def errors(student: dict[str, Tensor], heads: nn.ModuleDict, teacher: dict[str, Tensor]) -> dict[str, Tensor]:
    """Relative squared error of every lesson: 0 = the teacher's features exactly, 1 = no better than their mean."""
    result = {}
    for lesson, target in teacher.items():
        mean = target.float().mean((0, 2, 3), keepdim=True)
        spread = (target.float() - mean).square().mean()
        result[lesson] = (heads[lesson](student[layer_of(lesson)]) - target).float().square().mean() / spread
    return result


def covariance_errors(
    student: dict[str, Tensor], heads: nn.ModuleDict, teacher: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Relative squared error of the covariances of the style layers, seen through the heads, averaged over pictures."""
    result = {}
    for layer in STYLE_LAYERS:
        head = heads[lesson_of(layer)].get_parameter("weight")[:, :, 0, 0].float()
        ours, theirs = head @ covariance(student[layer]) @ head.T, covariance(teacher[lesson_of(layer)])
        scale = theirs.square().sum((1, 2))
        # A flat picture has no covariance to be relative to.
        result[layer] = ((ours - theirs).square().sum((1, 2)) / (scale + 0.01 * scale.mean())).mean()
    return result


# ── the run ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class Apprentice(nn.Module):
    """The student and its heads, {lesson: 1x1 convolution into the teacher's features}."""

    def __init__(self, widths: dict[str, int]) -> None:
        super().__init__()
        self.student = compact()
        self.heads = nn.ModuleDict(
            {
                lesson: nn.Conv2d(self.student.convolution(layer_of(lesson)).out_channels, width, 1)
                for lesson, width in widths.items()
            }
        )


class Run:
    """A distillation on its way: student, heads, moving average, optimiser, step; saved and found again in a folder."""

    def __init__(self, plan: Plan, teachers: Teachers, folder: Path) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.folder, self.step = plan, folder, 0
        self.model = Apprentice(teachers.widths)
        for module in self.model.student.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(require(module.bias))
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = {name: value.detach().clone() for name, value in self.model.named_parameters()}
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=plan.learning_rate, betas=(0.9, 0.99), weight_decay=plan.weight_decay
        )

    def schedule(self) -> float:
        """The learning rate: warmed up over 100 steps, then a cosine to zero; and once more while refining."""
        plan = self.plan
        if self.step < plan.steps:
            rate, step, steps = plan.learning_rate, self.step, plan.steps
        else:
            rate, step, steps = plan.refine_learning_rate, self.step - plan.steps, plan.refine_steps
        return rate * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))

    def train_on(self, batch: Tensor, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step; returns the relative error of every lesson before it."""
        with torch.autocast("cpu", torch.bfloat16):
            features = thin(self.model.student(batch, TAUGHT))
            of_features = errors(features, self.model.heads, targets)
        of_covariances = covariance_errors(features, self.model.heads, targets)
        loss = torch.stack(list(of_features.values())).mean()
        loss = loss + self.plan.covariance_weight * torch.stack(list(of_covariances.values())).mean()
        self.model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.param_groups[0]["lr"] = self.schedule()
        self.optimizer.step()
        decay = min(self.plan.ema, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in self.model.named_parameters():
                self.average[name].lerp_(value, 1 - decay)
        self.step += 1
        return {layer: error.detach() for layer, error in of_features.items()}

    def save(self) -> None:
        """Write the checkpoint, durably: the one before stays until this one is whole."""
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for name, value in self.model.named_parameters():
            tensors |= {f"adam.{part}.{name}": kept for part, kept in self.optimizer.state[value].items()}
        tensors = {name: value.detach().contiguous() for name, value in tensors.items()}
        with atomic_write(self.folder / "checkpoint.safetensors", overwrite=True) as file:
            file.write(save(tensors, metadata={"step": str(self.step)}))

    def load(self) -> None:
        """Go on from the folder's checkpoint, if there is one."""
        path = self.folder / "checkpoint.safetensors"
        if not path.exists():
            return
        tensors = load_file(path)
        self.model.load_state_dict({n.removeprefix("model."): v for n, v in tensors.items() if n.startswith("model.")})
        for name, value in self.model.named_parameters():
            self.average[name].copy_(tensors[f"average.{name}"])
            # Moments are copied into the parameter's own memory layout, in which they were computed.
            self.optimizer.state[value] = {
                "step": tensors[f"adam.step.{name}"].clone(),
                "exp_avg": torch.empty_like(value).copy_(tensors[f"adam.exp_avg.{name}"]),
                "exp_avg_sq": torch.empty_like(value).copy_(tensors[f"adam.exp_avg_sq.{name}"]),
            }
        with safe_open(path, "pt") as file:
            self.step = int(file.metadata()["step"])

    def averaged(self) -> Apprentice:
        """The model with its averaged weights, for judging and shipping."""
        model = Apprentice({lesson: head.out_channels for lesson, head in self.model.heads.items()})  # type: ignore[misc]
        model.load_state_dict(self.average)
        return model.requires_grad_(requires_grad=False)


def require(bias: Tensor | None) -> Tensor:
    """The bias of a convolution, which all of ours have.

    Raises:
        ValueError: this one has none.
    """
    if bias is None:
        raise ValueError("a convolution without bias")
    return bias


def judge(run: Run, teachers: Teachers, x: Tensor) -> dict[str, dict[str, float]]:
    """Relative errors of the averaged weights on pictures (N, 3, H, W)."""
    model = run.averaged()
    with torch.no_grad():
        student, teacher = model.student(x, TAUGHT), teachers(x)
        of_features = errors(student, model.heads, teacher)
        of_covariances = covariance_errors(student, model.heads, teacher)
    return {
        "features": {lesson: round(float(e), 5) for lesson, e in of_features.items()},
        "covariances": {layer: round(float(e), 5) for layer, e in of_covariances.items()},
    }


def ship(run: Run, x: Tensor) -> VGG:
    """The trained encoder with every channel of a taught layer scaled to its weight in the teacher's space, and every
    layer to a mean square of 1 on the pictures x (N, 3, H, W).

    ReLU and max pooling commute with positive factors, so the scaled network computes the same, factor by factor.
    """
    model = run.averaged()
    student, heads = model.student, model.heads
    for place, name in enumerate(student.names):
        layer = f"relu{name[4:]}"
        convolution = student.convolution(layer)
        weights = torch.ones(convolution.out_channels)
        if layer in TAUGHT:
            weights = heads[lesson_of(layer)].get_parameter("weight")[:, :, 0, 0].norm(dim=0)
        features = student(x, [layer])[layer]
        scale = weights / (features * weights[:, None, None]).square().mean().sqrt()
        convolution.weight.mul_(scale[:, None, None, None])
        require(convolution.bias).mul_(scale)
        if place + 1 < len(student.names):
            student.convolution(student.names[place + 1]).weight.div_(scale[:, None, None])
    return student


def refined(run: Run, pictures: Pictures) -> Tensor:
    """What the student is taught by in the end, uint8 (N, 3, crop, crop): its own paintings, and as many crops."""
    own = own_paintings(run, pictures)
    return torch.cat([Lessons.cut(pictures, run.plan, len(own)), own])


def own_paintings(run: Run, pictures: Pictures) -> Tensor:
    """Pictures that the student itself painted of crops, at three moments of each: uint8 (N, 3, crop, crop).

    No camera takes such pictures, and where the student errs in them it draws its errors into every painting; here the
    teachers correct them. Painted once, with what the student has learnt when refining begins, and kept in the folder.
    """
    path = run.folder / "own_paintings.safetensors"
    if path.exists():
        return load_file(path)["crops"]
    card = Card(name="student", kind="encoder", file="-", sha256="0" * 64, license="Apache-2.0", origin="in training")
    engine = GatysStylizer(ship(run, still_crops(pictures, run.plan.seed)), card, device="cpu")
    plan, kept = run.plan, []
    for number in range(plan.refine_paintings):
        rng = np.random.default_rng((plan.seed, plan.crops + number))
        photo = Picture(pixels=plain_crop(pictures.photos, plan.crop, rng))
        style = Picture(pixels=plain_crop(pictures.paintings, plan.crop, rng))
        moments: list[Picture] = []

        def look(step: Step, moments: list[Picture] = moments) -> None:
            if step.number in (4, 14, 45):
                moments.append(step.preview())

        recipe = Recipe(steps=45, levels=1, style_weight=float(rng.uniform(1, 6)), seed=number)
        engine(photo, (Style(source=style, name="style"),), recipe, on_step=look)
        kept += [(picture.pixels * 255).round().astype(np.uint8).transpose(2, 0, 1) for picture in moments]
        if number % 50 == 0:
            log.info("the student has painted %d of %d crops", number, plan.refine_paintings)
    crops = torch.from_numpy(np.ascontiguousarray(np.stack(kept)))
    with atomic_write(path, overwrite=True) as file:
        file.write(save({"crops": crops}))
    return crops


def publish(run: Run, pictures: Pictures, verdict: dict[str, dict[str, float]], folder: Path) -> None:
    """Write what ships into `folder`: compact.safetensors and compact.onnx in float16, and their card compact.toml."""
    encoder = ship(run, still_crops(pictures, run.plan.seed)).half()
    save_file(
        {name: value.contiguous() for name, value in encoder.state_dict().items()}, folder / "compact.safetensors"
    )
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
        teacher="VGG-19 (Simonyan & Zisserman 2014, CC BY 4.0) to relu3_3, and the same compressed 16x (Wang et al. "
        "2020, MIT) to relu5_1",
        data=f"{run.plan.crops} crops of {len(pictures.photos)} photographs (BSDS500 and one a class of ImageNet) and "
        f"{len(pictures.paintings)} public-domain paintings",
        quality={f"relative squared error, {layer}": verdict["features"][lesson_of(layer)] for layer in TAUGHT},
        mean=(0.45, 0.45, 0.45),
        std=(0.225, 0.225, 0.225),
        multiple_of=1,
        padding="reflect",
        min_size=32,
        layers=layers,
    )
    (folder / "compact.toml").write_text(card.to_toml(), encoding="utf-8")


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
    last = plan.steps + plan.refine_steps
    if run.step < plan.steps:
        lessons = Lessons.prepare(training, teachers, plan)
    elif run.step < last:
        lessons = Lessons.asked(refined(run, training), teachers)
    start, began = run.step, time.monotonic()
    while run.step < last:
        if run.step == plan.steps > start:
            lessons = Lessons.asked(refined(run, training), teachers)
            start, began = run.step, time.monotonic()
        seen = run.train_on(*lessons.batch(plan, run.step))
        if run.step % 100 == 0:
            rate = (run.step - start) / (time.monotonic() - began)
            mean = float(torch.stack(list(seen.values())).mean())
            left = (last - run.step) / rate / 60
            log.info("step %d/%d error %.4f, %.2f steps/s, %.0f min left", run.step, last, mean, rate, left)
        if run.step % 1000 == 0 or run.step in (plan.steps, last):
            verdict = {"step": run.step, **judge(run, judges, exam)}
            with (folder / "log.jsonl").open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(verdict) + "\n")
            log.info("%s", verdict)
            run.save()
    publish(run, training, judge(run, judges, exam), folder)
    return run


def main() -> None:
    """The command line: see recipes/compact.toml."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="a folder with photos/ and paintings/")
    parser.add_argument("--teachers", type=Path, required=True, help="the folder of the teachers' safetensors")
    parser.add_argument("--out", type=Path, required=True, help="checkpoint, log and the trained encoder")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    distill(Plan.read(args.recipe), recipe=args.recipe, data=args.data, teachers_folder=args.teachers, folder=args.out)


if __name__ == "__main__":
    main()
