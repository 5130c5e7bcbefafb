"""Training: a network that is ordered, before it learns anything.

Paintings, folders of pictures and knobs go in; `prepare` reads and checks them, finds the folder of the run, and
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
from danqing.collection import Collection, alike, paired, survey
from danqing.errors import BadInput, ModelMissing, UsageError
from danqing.files import atomic_write, shown
from danqing.image import mask
from danqing.image.fit import fit
from danqing.messages import text
from danqing.picture import Picture
from danqing.picture.formats import by_suffix
from danqing.picture.load import PictureSource
from danqing.recipe import Source, TrainRecipe

RECIPE, FACTS, PAINTINGS = "train.toml", "run.json", "paintings"
"""What lies in a run's folder besides what the training writes."""

BUDGETS = frozenset({"steps", "epochs", "hours"})
"""Knobs that each say how long."""

TRANSLATIONS = frozenset({"cyclegan", "pairs"})
"""Methods that learn from collections of pictures what turns one kind into another."""

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
        kinds: for a translation, the pictures of each kind.
        notes: what had to be decided, a line each.
    """

    recipe: TrainRecipe
    paintings: Sequence[tuple[Picture, LearntStyle]]
    photos: Path | None
    folder: Path
    device: str
    kinds: tuple[Collection, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def makes(self) -> tuple[str, ...]:
        """The names of the styles that it makes."""
        if self.recipe.method == "cyclegan":
            return f"{self.recipe.name}-a2b", f"{self.recipe.name}-b2a"
        return tuple(style.name for _, style in self.paintings) or (self.recipe.name,)

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
            kinds=self.kinds,
            names=self.makes,
            device=self.device,
            on_report=on_report,
        )
        return card


def prepare(
    paintings: Sequence[PictureSource] = (),
    *,
    photos: str | Path | None = None,
    domains: Sequence[str | Path] = (),
    pairs: Sequence[str | Path] = (),
    collection: str | Path | None = None,
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
            For `pairs` without pairs, photographs that are aged to learn the way back.
        domains: for `cyclegan`, the folders of both kinds.
        pairs: for `pairs`, the folders of what is and what is to be; pictures of one name belong together.
        collection: for `gan`, a folder of paintings.
        name: what the style will be called; by default as the painting's file, or the folders.
        folder: for the run; by default `runs/NAME` in danqing's own folder.
        resume: the folder of a run to go on with, instead of paintings.
        preset: `pytorch-examples`, `jcjohnson` or `light`.
        device: `auto`, `cpu`, `cuda` or `mps`.
        knobs: fields of `TrainRecipe`.

    Raises:
        DanqingError: one line that says what is wrong.
    """
    given = {key: value for key, value in knobs.items() if value is not None}
    if device not in DEVICES:
        raise UsageError(text("train.no_device", name=shown(device), known=", ".join(DEVICES)))
    if resume is not None:
        if paintings or photos or domains or pairs or collection or name or folder or preset:
            raise UsageError(text("train.resume_alone"))
        return _resumed(Path(resume), given, device=device)
    chosen = PRESETS[_known(preset)] if preset else {}
    method = str((chosen | given).get("method", "pastiche"))
    recipe = TrainRecipe().turned(_later(METHODS.get(method, {}), chosen, given))
    _belong(method, paintings=paintings, photos=photos, domains=domains, pairs=pairs, collection=collection)
    if method in TRANSLATIONS:
        folders = domains or pairs or [str(photos)]
        return _translating(recipe, folders, name=name, folder=folder, device=device)
    if collection is not None:
        paintings = survey(collection, least=LEAST_PAINTING).files
    if not paintings:
        raise UsageError(text("train.no_painting"))
    read = [_small(source) for source in paintings]
    stems = [catalog.clean(Path(source.name).stem) for source, _, _ in read]
    called = name or (catalog.clean(Path(collection).name) if collection is not None else stems[0])
    names = [called] if len(read) == 1 else [f"{called}-{stem}" for stem in stems]
    if len(set(names)) < len(names):
        raise UsageError(text("train.same_names", names=", ".join(sorted(names))))
    _free({called, *names})
    recipe = recipe.turned({"name": called, "styles": tuple(source for source, _, _ in read)})
    if recipe.method != "johnson" and not recipe.from_scratch and "pastiche" not in _models():
        raise ModelMissing(text("train.no_network"))
    notes = () if photos is not None else (text("train.note_no_photos"),)
    run = Path(folder) if folder is not None else catalog.home() / "runs" / called
    if (run / RECIPE).exists():
        raise UsageError(text("train.begun", folder=shown(run)))
    if photos is not None:
        _pictures_below(Path(photos))
    training = Training(
        recipe=recipe,
        paintings=[
            (picture, LearntStyle(name=named, title=named, sha256=digest))
            for named, (_, picture, digest) in zip(names, read, strict=True)
        ],
        photos=Path(photos).absolute() if photos is not None else None,
        folder=run,
        device=device,
        notes=notes,
    )
    _begin(training)
    return training


def _later(*layers: dict[str, Any]) -> dict[str, Any]:
    """Knobs of which later ones count; how long is said in one way only."""
    found: dict[str, Any] = {}
    for layer in layers:
        found = found | (dict.fromkeys(BUDGETS) if layer.keys() & BUDGETS else {}) | layer
    return found


def _belong(method: str, **given: Any) -> None:
    """Refuse pictures that a method does not learn from, and their lack."""
    takes = TAKES.get(method, frozenset({"paintings", "photos"}))
    if wrong := [name for name, value in given.items() if value and name not in takes]:
        raise UsageError(text("train.not_taken", method=method, options=", ".join(OPTIONS[name] for name in wrong)))
    if method in TAKES and not any(given[name] for name in takes - ({"photos"} if method == "gan" else set())):
        raise UsageError(text(f"train.needs_{method}"))


TAKES = {
    "cyclegan": frozenset({"domains"}),
    "pairs": frozenset({"pairs", "photos"}),
    "gan": frozenset({"paintings", "photos", "collection"}),
}
"""What methods learn from, where it is not paintings and photographs."""

OPTIONS = {
    "paintings": "PAINTING",
    "photos": "--photos",
    "domains": "--domain-a, --domain-b",
    "pairs": "--pairs",
    "collection": "--paintings",
}
"""What the command line calls them."""


def _translating(
    recipe: TrainRecipe, folders: Sequence[str | Path], *, name: str | None, folder: str | Path | None, device: str
) -> Training:
    """A translation that is ordered."""
    kinds = _surveyed(recipe, folders)
    called = name or "-".join(catalog.clean(kind.folder.name) for kind in kinds)
    run = Path(folder) if folder is not None else catalog.home() / "runs" / called
    small = sum(kind.left_out for kind in kinds)
    training = Training(
        recipe=recipe.turned({"name": called}),
        paintings=(),
        photos=None,
        folder=run,
        device=device,
        kinds=kinds,
        notes=(text("train.note_left_out", count=small, least=recipe.crop),) if small else (),
    )
    _free(set(training.makes))
    if (run / RECIPE).exists():
        raise UsageError(text("train.begun", folder=shown(run)))
    _begin(training)
    return training


def _surveyed(recipe: TrainRecipe, folders: Sequence[str | Path]) -> tuple[Collection, ...]:
    """The pictures of each kind."""
    kinds = tuple(survey(one, least=recipe.crop) for one in folders)
    if len(kinds) > 1:
        alike(*kinds)
    if recipe.method == "pairs" and len(kinds) > 1:
        kinds = paired(*kinds)
    return tuple(kind.spread(recipe.subset) for kind in kinds)


LEAST_PAINTING = 64
"""px: shorter side of a painting that is learnt from."""

METHODS: dict[str, dict[str, Any]] = {
    "cyclegan": {"batch": 1, "epochs": 200.0},
    "pairs": {"batch": 1, "epochs": 200.0, "skips": True},
    "gan": {"width": 32, "adversary_weight": 0.3, "crop": 192},
}
"""Knobs that are another's by default: of the papers, where there is one."""

PRESETS: dict[str, dict[str, Any]] = {
    "light": {
        "width": 32,
        "blocks": 4,
        "layers": 2,
        "upsampling": "nearest",
        "crop": 128,
        "steps": 6000,
        "ema": 0.995,
    },
    "pytorch-examples": {"method": "johnson", "losses": "pytorch-examples", "epochs": 2.0, "learning_rate": 1e-3},
    "jcjohnson": {
        "method": "johnson",
        "losses": "jcjohnson",
        "steps": 40_000,
        "learning_rate": 1e-3,
        "style_size": 256,
    },
}
"""The knobs of older tools, as their scripts have them; and what a processor without a graphics card finishes."""


def _known(preset: str) -> str:
    if preset not in PRESETS:
        raise UsageError(text("train.no_preset", name=shown(preset), known=", ".join(PRESETS)))
    return preset


def _small(source: PictureSource) -> tuple[Source, Picture, str]:
    """A painting as it is kept, what it is referred to by, and its hash; of many, one at a time is held whole."""
    one = inputs.read(source)
    digest = one.source.sha256 or hashlib.sha256(one.picture.pixels.tobytes()).hexdigest()
    return one.source, fit(Picture(pixels=mask.flatten(one.picture)), size=LARGEST), digest


def _models() -> set[str]:
    return {card.name for card in catalog.cards()}


def _free(names: set[str]) -> None:
    """Refuse names that a style or a model has already."""
    if taken := sorted(names & (_models() | {entry.name for entry in catalog.styles()})):
        raise UsageError(text("train.name_taken", name=taken[0]))


def _pictures_below(folder: Path) -> None:
    """Refuse a folder that is none, or has no picture in it, before a run is begun that would keep it."""
    if not folder.is_dir():
        raise UsageError(text("train.no_folder", path=shown(folder)))
    if not any(by_suffix(path.name) for path in folder.rglob("*")):
        raise BadInput(text("train.no_pictures", path=shown(folder)))


def _begin(training: Training) -> None:
    """Write down what a run needs to be gone on with: the paintings first, the recipe last."""
    folder = training.folder / PAINTINGS
    folder.mkdir(parents=True, exist_ok=True)
    for picture, style in training.paintings:
        picture.save(folder / f"{style.name}.png", overwrite=True)
    photos = str(training.photos) if training.photos else None
    facts = {
        "photos": photos,
        "styles": [style.model_dump() for _, style in training.paintings],
        "kinds": [str(kind.folder) for kind in training.kinds],
    }
    with atomic_write(training.folder / FACTS, overwrite=True) as stream:
        stream.write(json.dumps(facts, indent=1).encode())
    _keep(training.recipe, training.folder)


def _keep(recipe: TrainRecipe, folder: Path) -> None:
    with atomic_write(folder / RECIPE, overwrite=True) as stream:
        stream.write(recipe.to_toml(complete=True).encode())


def _resumed(folder: Path, given: dict[str, Any], *, device: str) -> Training:
    """The training of a folder."""
    if not (folder / RECIPE).exists():
        raise UsageError(text("train.no_run", folder=shown(folder)))
    recipe = TrainRecipe.load(folder / RECIPE)
    fixed = set(given) - BUDGETS - {"learning_rate", "save_every", "sample_every"}
    if fixed:
        raise UsageError(text("train.fixed", knobs=", ".join(sorted(fixed))))
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    if given:
        recipe = recipe.turned(_later(given))
        _keep(recipe, folder)  # a run that is stopped again goes on as it was last told
    styles = [LearntStyle.model_validate(values) for values in facts["styles"]]
    return Training(
        recipe=recipe,
        paintings=[(Picture.load(folder / PAINTINGS / f"{style.name}.png"), style) for style in styles],
        photos=Path(facts["photos"]) if facts["photos"] else None,
        folder=folder,
        device=device,
        kinds=_surveyed(recipe, facts.get("kinds", [])),
    )
