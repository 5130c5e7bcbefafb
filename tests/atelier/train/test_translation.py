"""CycleGAN, pairs and the collection as an adversary, end to end with small pictures, and against a known truth."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="torch is not installed: nothing can be trained")
pytest.importorskip("onnx", reason="onnx is not installed: nothing can be published")

import torch

from danqing import api, evaluation, training
from danqing.atelier import degrade
from danqing.atelier.nets.patch import PatchDiscriminator
from danqing.atelier.nets.resnet import ResnetGenerator
from danqing.atelier.train import checkpoints
from danqing.atelier.train.cyclegan import CycleGAN, Rules
from danqing.atelier.train.domains import Domain, Pairs, cut
from danqing.atelier.train.loop import Loop, Plan
from danqing.collection import paired, survey
from danqing.errors import BadInput, UsageError
from danqing.files import sha256
from danqing.picture import Picture
from tests.fake_engine import picture
from tests.kinds import folder_of, phantom, phantoms

TINY = {"width": 8, "blocks": 1, "layers": 2, "crop": 64, "pool": 3}
SMALL = {**TINY, "steps": 4, "save_every": 2, "sample_every": 4}


@pytest.fixture(autouse=True)
def one_thread(bundled: None) -> None:
    torch.set_num_threads(1)


@pytest.fixture
def kinds(tmp_path: Path) -> tuple[Path, Path]:
    return folder_of(tmp_path / "照片", 3), folder_of(tmp_path / "水墨", 4, seed=20)


def test_both_ways_are_learnt_and_paint(kinds: tuple[Path, Path]) -> None:
    order = training.prepare(domains=kinds, method="cyclegan", **SMALL)
    assert order.makes == ("照片-水墨-a2b", "照片-水墨-b2a")
    assert order.recipe.batch == 1
    card = order.run()
    assert card is not None and card.name == order.makes[0]
    assert "3 pictures of the folder 照片 and 4 pictures of the folder 水墨" in card.data
    photo = Image.open(kinds[0] / "图0.png").convert("RGB").resize((70, 50))
    one, other = (api.paint(photo, name).picture.pixels for name in order.makes)
    assert one.shape == (50, 70, 3) and np.abs(one - other).max() > 0.01
    terms = json.loads((order.folder / "log.jsonl").read_text().splitlines()[-1])
    assert {"G_A", "G_B", "cycle_A", "cycle_B", "idt_A", "idt_B", "D_A", "D_B"} <= terms.keys()
    assert Image.open(order.folder / "sheet-00000004.png").size == (64 * 4, 64 * 6)
    assert "cycle_A" in (order.folder / "loss.svg").read_text()
    with pytest.raises(UsageError, match="照片-水墨-a2b"):
        training.prepare(domains=kinds, method="cyclegan", **SMALL)


@pytest.mark.parametrize("method", ["cyclegan", "pairs", "gan"])
def test_a_run_that_was_stopped_ends_the_same(kinds: tuple[Path, Path], tmp_path: Path, method: str) -> None:
    given = {
        "cyclegan": {"domains": kinds},
        "pairs": {"photos": kinds[0]},
        "gan": {"collection": kinds[1], "photos": kinds[0]},
    }[method]
    whole = training.prepare(**given, name="whole", method=method, **SMALL)
    assert whole.run() is not None
    order = training.prepare(**given, name="parts", method=method, **SMALL)
    assert order.run(lambda report: report.step < 3) is None
    again = training.prepare(resume=order.folder)
    assert (again.recipe, again.makes) == (order.recipe, order.makes)
    assert again.run() is not None
    last = "step-00000004/state.safetensors"
    assert sha256(whole.folder / last) == sha256(order.folder / last)


def test_a_collection_becomes_styles_and_is_judged_beside_itself(kinds: tuple[Path, Path]) -> None:
    order = training.prepare(collection=kinds[1], photos=kinds[0], method="gan", batch=2, augment=True, **SMALL)
    assert order.makes[:2] == ("水墨-图0", "水墨-图1")
    assert order.run() is not None
    terms = [json.loads(line) for line in (order.folder / "log.jsonl").read_text().splitlines()]
    assert {"content", "style", "adversary", "D"} <= terms[0].keys()
    assert ["steepness" in line for line in terms] == [True, False, False, False]
    (found,) = evaluation.likeness(["水墨"], kinds[0], kinds[1], count=3, size=96)
    assert len(found.content) == 3 and found.frechet > 0 and found.before > 0
    (itself,) = evaluation.likeness(["水墨-图1"], kinds[0], kinds[0], count=3, size=96)
    assert itself.before == pytest.approx(0, abs=1e-4)


def test_grey_of_16_bits_stays_what_it_is(tmp_path: Path) -> None:
    a = phantoms(tmp_path / "ct", range(3), contrast=0)
    b = phantoms(tmp_path / "mri", range(3), contrast=1)
    read = Domain(survey(a, least=64), channels=1, side=64)
    assert read.picture(0).shape[2] == 1
    assert len(np.unique(read.picture(0))) > 1000
    card = training.prepare(domains=(a, b), method="cyclegan", **SMALL).run()
    assert card is not None
    painted = api.paint(a / "体0000.png", card.name).picture
    np.testing.assert_array_equal(painted.pixels[..., 0], painted.pixels[..., 1])
    painted.save(tmp_path / "深.png", depth=16)
    assert len(np.unique(Picture.load(tmp_path / "深.png").pixels)) > 256


def test_pairs_are_cut_alike(tmp_path: Path) -> None:
    a = folder_of(tmp_path / "a", 3)
    (tmp_path / "b").mkdir()
    for path in a.iterdir():
        pixels = Picture.load(path).pixels
        Picture(pixels=1 - pixels).save(tmp_path / "b" / path.name)
    domains = [
        Domain(kind, channels=3, side=64) for kind in paired(survey(a, least=64), survey(tmp_path / "b", least=64))
    ]
    rng = np.random.default_rng(0)
    one, other = cut(Pairs(domains[0], domains[1]).pair(1, rng), 64, rng)
    np.testing.assert_allclose(one, 1 - other, atol=0.02)
    order = training.prepare(pairs=(a, tmp_path / "b"), method="pairs", **SMALL)
    assert order.makes == ("a-b",)
    assert order.run() is not None
    picture(tmp_path / "b" / "图0.png", (90, 100))
    with pytest.raises(BadInput, match=r"图0\.png, 图0\.png"):
        training.prepare(pairs=(a, tmp_path / "b"), method="pairs", name="odd", **{**SMALL, "steps": 9}).run()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"method": "cyclegan"}, "--domain-a DIR --domain-b DIR"),
        ({"method": "cyclegan", "photos": "."}, "does not learn from --photos"),
        ({"method": "pairs"}, "--pairs DIR_A DIR_B"),
        ({"method": "gan", "photos": "."}, "--paintings DIR"),
        ({"method": "pastiche", "domains": (".", ".")}, "does not learn from --domain-a"),
        ({"method": "johnson", "collection": "."}, "does not learn from --paintings"),
        ({"method": "cyclegan", "domains": (".", "."), "losses": "jcjohnson"}, "--method johnson"),
    ],
)
def test_what_does_not_belong_is_one_line(given: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        training.prepare(**given)


# ── exact resume, among processes and through kills ─────────────────────────────────────────────────────────────────

PLAN = Plan(seed=1, steps=12, learning_rate=2e-3, warmup=1, schedule="linear", betas=(0.5, 0.999), clip=None, ema=0.9,
            save_every=3)  # fmt: skip


def contest(folder: Path, data: Path, plan: Plan = PLAN) -> Loop:
    """A CycleGAN of the smallest kind, on the folders A and B of `data`."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    a, b = (Domain(survey(data / name, least=32), channels=3, side=32) for name in "ab")
    generators = ResnetGenerator(width=4, blocks=1), ResnetGenerator(width=4, blocks=1)
    judges = PatchDiscriminator(width=4, layers=1), PatchDiscriminator(width=4, layers=1)
    rules = Rules(seed=1, batch=2, pool=3, augment=True)
    loop = Loop(CycleGAN(generators, judges, a=a, b=b, rules=rules), plan, folder)
    loop.precision = torch.float32
    loop.resume()
    loop.run()
    return loop


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder_of(tmp_path / "a", 3, size=(48, 40))
    folder_of(tmp_path / "b", 3, size=(48, 40), seed=9)
    return tmp_path


CHILD = """
import sys
from pathlib import Path
from tests.atelier.train.test_translation import contest
contest(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_pool_and_optimisers_survive_being_killed(data: Path) -> None:
    whole = contest(data / "whole", data)
    assert {"method.a.kept", "method.b.kept"} <= whole.state().keys()
    folder, root = data / "killed", Path(__file__).parents[3]
    for wait in (0.0, 0.02, 0.05):
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), str(data)], cwd=root, env=os.environ.copy()
        )
        before = {p.name for p in folder.glob("step-*")} if folder.exists() else set()
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if folder.exists() and {p.name for p in folder.glob("step-*")} - before:
                time.sleep(wait)
                break
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
    contest(folder, data)
    last = "step-00000012/state.safetensors"
    assert sha256(folder / last) == sha256(data / "whole" / last)


DISTRIBUTED = """
import sys
from dataclasses import replace
from pathlib import Path
import torch, torch.distributed as dist
dist.init_process_group("gloo", init_method="file://" + sys.argv[3], rank=int(sys.argv[4]), world_size=2)
from danqing.atelier.train.loop import parted
from tests.atelier.train.test_translation import PLAN, contest
contest(Path(sys.argv[1]), Path(sys.argv[2]), replace(PLAN, steps=2))
parted()
"""


def test_two_processes_learn_what_one_learns(data: Path) -> None:
    root = Path(__file__).parents[3]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", DISTRIBUTED, *map(str, (data / "two", data, data / "meeting", rank))], cwd=root
        )
        for rank in range(2)
    ]
    assert [process.wait(120) for process in processes] == [0, 0]
    found = checkpoints.latest(data / "two")
    assert found is not None
    for name, value in contest(data / "one", data, replace(PLAN, steps=2)).state().items():
        if name.startswith("method."):
            torch.testing.assert_close(found.tensors[name], value, atol=1e-3, rtol=0)
        elif name.startswith("adam.exp_avg.") and value.dim() == 4:  # what was learnt from, before Adam makes it equal
            assert float((found.tensors[name] - value).norm() / value.norm()) < 0.02


# ── against a truth that unpaired data never has ────────────────────────────────────────────────────────────────────


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean(np.square(one - other))))


def test_the_way_to_old_prints_is_found_without_pairs(tmp_path: Path) -> None:
    """The small, quick kin of benchmarks/translate.py: which colours belong to which is found in a minute."""
    for number in range(24):
        pixels = np.random.default_rng(number).random((6, 6, 3), dtype=np.float32) ** 2
        pixels = np.asarray(Image.fromarray((pixels * 255).astype(np.uint8)).resize((72, 72), Image.Resampling.BICUBIC))
        pixels = pixels.astype(np.float32) / 255
        kind = "b" if number % 2 else "a"
        (tmp_path / kind).mkdir(exist_ok=True)
        pixels = degrade.sepia(pixels, contrast=0.6) if kind == "b" else pixels
        Picture(pixels=pixels).save(tmp_path / kind / f"{number}.png")
    knobs = {**TINY, "steps": 120, "width": 16, "learning_rate": 1e-3, "ema": 0.9, "save_every": 120, "seed": 1}
    card = training.prepare(
        domains=(tmp_path / "a", tmp_path / "b"), method="cyclegan", name="old", sample_every=120, **knobs
    ).run()
    assert card is not None
    held_out = np.random.default_rng(99).random((9, 9, 3), dtype=np.float32).repeat(8, 0).repeat(8, 1) ** 2
    truth = degrade.sepia(held_out, contrast=0.6)
    painted = api.paint((held_out * 255).round().astype(np.uint8), card.name).picture.pixels
    assert psnr(painted, truth) > psnr(held_out, truth) + 2


def test_phantoms_are_one_body_in_two_contrasts() -> None:
    one, other = phantom(3)
    assert one.shape == other.shape == (96, 96)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] < 0.8
    np.testing.assert_array_equal(one, phantom(3)[0])


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("DANQING_TRAIN"), reason="trains for half an hour; DANQING_TRAIN=1 asks for it")
@pytest.mark.parametrize("kind", ["sepia", "blur", "phantoms", "restore"])
def test_the_light_preset_finds_the_truth(tmp_path: Path, shared: Path, kind: str) -> None:
    script = Path(__file__).parents[3] / "benchmarks" / "translate.py"
    words = [sys.executable, str(script), kind, "--folder", str(tmp_path), "--photos", str(shared / "data" / "photos")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    if kind == "phantoms":
        assert found["correlation"] >= 0.9 > found["correlation_before"]
    elif kind in ("sepia", "blur"):
        assert found["psnr"] >= max(20, found["psnr_before"] + 2)
    else:
        assert found["psnr"] >= found["psnr_before"] + 2
        assert found["content"] < 0.8 * found["content_before"]
