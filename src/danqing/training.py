"""Training: a network that is ordered, before it learns anything.

Paintings, a folder of photographs and knobs go in; `prepare` reads and checks them, finds the folder of the run, and
says what will happen; `Training.run` trains. A run that was begun is gone on with from its folder alone. This module
knows no network and no terminal: progress is a report handed to `on_report`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from danqing import catalog, engines, inputs
from danqing.card import Card, LearntStyle
from danqing.errors import ModelMissing, UsageError
from danqing.files import atomic_write, shown
from danqing.image import mask
from danqing.image.fit import fit
from danqing.messages import text
from danqing.picture import Picture
from danqing.picture.load import PictureSource
from danqing.recipe import TrainRecipe

RECIPE, FACTS, PAINTINGS = "train.toml", "run.json", "paintings"
"""What lies in a run's folder besides what the training writes."""

BUDGETS = frozenset({"steps", "epochs", "hours"})
"""Knobs that each say how long."""

DEVICES = ("auto", "cpu", "cuda", "mps")

LARGEST = 1024
"""px: long side at which a painting is kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Training:
    """A training that is ordered.

    Attributes:
        recipe: with a name and references to the paintings.
        paintings: with what is known of them.
        photos: the folder of photographs; None = those that danqing draws itself.
        folder: of the run.
        device: where it learns.
        notes: what had to be decided, a line each.
    """

    recipe: TrainRecipe
    paintings: Sequence[tuple[Picture, LearntStyle]]
    photos: Path | None
    folder: Path
    device: str
    notes: tuple[str, ...] = ()

    def run(self, on_report: Callable[[Any], bool | None] | None = None) -> Card | None:
        """Train; the model's card, or None when `on_report` stopped it before the end.

        Raises:
            RunFailed, ModelMissing: one line.
        """
        card: Card | None = engines.verb("train")(
            self.recipe,
            self.paintings,
            photos=self.photos,
            folder=self.folder,
            device=self.device,
            on_report=on_report,
        )
        return card


def prepare(
    paintings: Sequence[PictureSource] = (),
    *,
    photos: str | Path | None = None,
    name: str | None = None,
    folder: str | Path | None = None,
    resume: str | Path | None = None,
    preset: str | None = None,
    device: str = "auto",
    **knobs: Any,
) -> Training:
    """Read and check everything that a training needs, without beginning it.

    Args:
        paintings: paths or pictures, one network for all.
        photos: a folder of photographs, searched with its sub-folders; None = pictures that danqing draws itself.
        name: what the style will be called; by default as the painting's file.
        folder: for the run; by default `runs/NAME` in danqing's own folder.
        resume: the folder of a run to go on with, instead of paintings.
        preset: `pytorch-examples` or `jcjohnson`.
        device: `auto`, `cpu`, `cuda` or `mps`.
        knobs: fields of `TrainRecipe`.

    Raises:
        DanqingError: one line that says what is wrong.
    """
    given = {key: value for key, value in knobs.items() if value is not None}
    if given.keys() & BUDGETS:  # instead of the preset's, or of what the run began with
        given = dict.fromkeys(BUDGETS) | given
    if device not in DEVICES:
        raise UsageError(text("train.no_device", name=shown(device), known=", ".join(DEVICES)))
    if resume is not None:
        if paintings or photos or name or folder or preset:
            raise UsageError(text("train.resume_alone"))
        return _resumed(Path(resume), given, device=device)
    if not paintings:
        raise UsageError(text("train.no_painting"))
    recipe = TrainRecipe(**PRESETS[_known(preset)]) if preset else TrainRecipe()
    read = [inputs.read(source) for source in paintings]
    stems = [catalog.clean(Path(one.source.name).stem) for one in read]
    called = name or stems[0]
    known = {card.name for card in catalog.cards()}
    if called in known | {entry.name for entry in catalog.styles()}:
        raise UsageError(text("train.name_taken", name=called))
    recipe = recipe.turned({"name": called, "styles": tuple(one.source for one in read)} | given)
    if recipe.method == "pastiche" and not recipe.from_scratch and "pastiche" not in known:
        raise ModelMissing(text("train.no_network"))
    names = [called] if len(read) == 1 else [f"{called}-{stem}" for stem in stems]
    if len(set(names)) < len(names):
        raise UsageError(text("train.same_names", names=", ".join(sorted(names))))
    kept = [
        (fit(Picture(pixels=mask.flatten(one.picture)), size=LARGEST), LearntStyle(name=n, title=n, sha256=_hash(one)))
        for n, one in zip(names, read, strict=True)
    ]
    notes = () if photos is not None else (text("train.note_no_photos"),)
    run = Path(folder) if folder is not None else catalog.home() / "runs" / called
    if (run / RECIPE).exists():
        raise UsageError(text("train.begun", folder=shown(run)))
    if photos is not None and not Path(photos).is_dir():
        raise UsageError(text("train.no_folder", path=shown(photos)))
    training = Training(
        recipe=recipe,
        paintings=kept,
        photos=Path(photos).absolute() if photos is not None else None,
        folder=run,
        device=device,
        notes=notes,
    )
    _begin(training)
    return training


PRESETS: dict[str, dict[str, Any]] = {
    "pytorch-examples": {"method": "johnson", "losses": "pytorch-examples", "epochs": 2.0, "learning_rate": 1e-3},
    "jcjohnson": {
        "method": "johnson",
        "losses": "jcjohnson",
        "steps": 40_000,
        "learning_rate": 1e-3,
        "style_size": 256,
    },
}
"""The knobs of older tools, as their scripts have them."""


def _known(preset: str) -> str:
    if preset not in PRESETS:
        raise UsageError(text("train.no_preset", name=shown(preset), known=", ".join(PRESETS)))
    return preset


def _hash(one: inputs.Input) -> str:
    return one.source.sha256 or hashlib.sha256(one.picture.pixels.tobytes()).hexdigest()


def _begin(training: Training) -> None:
    """Write down what a run needs to be gone on with: the paintings first, the recipe last."""
    folder = training.folder / PAINTINGS
    folder.mkdir(parents=True, exist_ok=True)
    for picture, style in training.paintings:
        picture.save(folder / f"{style.name}.png", overwrite=True)
    photos = str(training.photos) if training.photos else None
    facts = {"photos": photos, "styles": [style.model_dump() for _, style in training.paintings]}
    for name, data in ((FACTS, json.dumps(facts, indent=1)), (RECIPE, training.recipe.to_toml(complete=True))):
        with atomic_write(training.folder / name, overwrite=True) as stream:
            stream.write(data.encode())


def _resumed(folder: Path, given: dict[str, Any], *, device: str) -> Training:
    """The training of a folder."""
    if not (folder / RECIPE).exists():
        raise UsageError(text("train.no_run", folder=shown(folder)))
    recipe = TrainRecipe.load(folder / RECIPE)
    fixed = set(given) - BUDGETS - {"learning_rate", "save_every", "sample_every"}
    if fixed:
        raise UsageError(text("train.fixed", knobs=", ".join(sorted(fixed))))
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    styles = [LearntStyle.model_validate(values) for values in facts["styles"]]
    return Training(
        recipe=recipe.turned(given),
        paintings=[(Picture.load(folder / PAINTINGS / f"{style.name}.png"), style) for style in styles],
        photos=Path(facts["photos"]) if facts["photos"] else None,
        folder=folder,
        device=device,
    )
