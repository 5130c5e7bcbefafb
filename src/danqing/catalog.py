"""Catalog: a name becomes a card and its weights; what is not here is fetched, what is here is checked.

Models that come with danqing lie in `danqing/models`, each a card `<name>.toml` with its files beside it; what is
fetched, and what the user has trained, lies under the user's cache folder (`DANQING_HOME` names another), a folder for
each model. Nothing is handed out whose hash is not its card's. The gallery is listed here too: what the pastiche
networks here paint in, the user's own styles, and the bundled studies. This module knows no network and no engine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import logging
import os
import re
import shutil
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import platformdirs
from numpy.typing import NDArray

from danqing import files, ownstyle
from danqing.card import Card, LearntStyle, Network
from danqing.errors import ModelDamaged, ModelError, ModelMissing, UsageError
from danqing.messages import text
from danqing.picture import Picture
from danqing.weights import feeding, layouts, mat, pth, safetensors
from danqing.weights.download import TIMEOUT, OnProgress, Wanted, download
from danqing.weights.safetensors import Arrays
from danqing.weights.source import listed, told

log = logging.getLogger(__name__)

MODELS = Path(__file__).with_name("models")

Stamps = tuple[tuple[str, int, int, int], ...]
"""Of files: their paths, numbers on the disk, sizes and times of change."""

Form = Literal["weights", "onnx"]
"""A model's weights as arrays, or its graph for runtimes without torch."""

CHECKPOINTS = (".pth", ".pt")
WEIGHTS = (".safetensors", *CHECKPOINTS, ".mat")
"""How the names of weight files end that are read."""

NETWORKS = (".onnx", ".t7", *CHECKPOINTS, ".model", ".pkl", ".safetensors")
"""How the names of files end that a network of another tool may come in."""


# ── models ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def home() -> Path:
    """The folder for what danqing keeps between runs: `DANQING_HOME`, else the system's cache folder for it."""
    if given := os.environ.get("DANQING_HOME"):
        return Path(given).expanduser().absolute()
    return platformdirs.user_cache_path("danqing", appauthor=False)


def cards() -> list[Card]:
    """The papers of every model that can be named, by name: those that ship, and the user's own.

    Raises:
        ModelDamaged: a card cannot be read.
    """
    return list(_cards(_papers()))


@lru_cache(4)
def _cards(_state: Stamps) -> tuple[Card, ...]:
    """The cards of folders whose files are as they were."""
    found = {made.name: made for made in (Card.load(path) for path in MODELS.glob("*.toml"))}
    for path in sorted((home() / "models").glob("*/*.toml")):
        if path.stem == path.parent.name and path.stem not in found:
            found[path.stem] = Card.load(path)
    return tuple(sorted(found.values(), key=lambda card: card.name))


def _papers() -> Stamps:
    return _stamps(MODELS, ".toml") + _stamps(home() / "models", ".toml", below=True)


def _stamps(folder: Path, ending: str, *, below: bool = False) -> Stamps:
    """What changes when a file is put there, written anew or taken away: of files that end so, in it or one deeper."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return ()
    if below:
        return tuple(stamp for entry in found if entry.is_dir() for stamp in _stamps(Path(entry.path), ending))
    states = [(entry.path, entry.stat()) for entry in found if entry.name.endswith(ending)]
    return tuple((path, state.st_ino, state.st_size, state.st_mtime_ns) for path, state in states)


def bundled(found: Card) -> bool:
    """Whether a model comes with danqing, weights included."""
    return not found.urls and (MODELS / f"{found.name}.toml").is_file()


def card(name: str) -> Card:
    """A model's papers, whether its weights are here or not.

    Raises:
        ModelMissing: no such model; the line lists those that there are.
    """
    known = {c.name: c for c in cards()}
    if name not in known:
        raise ModelMissing(text("catalog.unknown", name=told(name), known=", ".join(known), near=_near(name, known)))
    return known[name]


def location(found: Card) -> Path:
    """Where a model's weights lie, or would lie once fetched."""
    return (MODELS if bundled(found) else home() / "models" / found.name) / found.file


def find(name: str, *, form: Form = "weights") -> tuple[Card, Path]:
    """A model that is here: its card, with the whole hash of its weights, and the path of its file.

    Raises:
        ModelMissing: no such model, or it is to be fetched first.
        ModelDamaged: it is not what its card says.
    """
    found = card(name)
    path = location(found)
    if form == "onnx":
        if found.onnx is None:
            raise ModelMissing(text("catalog.no_onnx", name=name))
        path = path.with_name(found.onnx)
    if found.urls and not path.exists():
        raise ModelMissing(text("catalog.not_here", name=name, megabytes=_megabytes(found)))
    whole = verify(found, path)
    return found.model_copy(update={"sha256": whole} if form == "weights" else {}), path


@lru_cache(64)
def _sha256(path: Path, _changed: int, _size: int) -> str:
    """Of a file as it was last written; a process that paints a hundred pictures looks at it once."""
    return files.sha256(path)


@lru_cache(4)
def _arrays(path: Path, _digest: str, name: str) -> Arrays:
    """Those of a file of vectors, likewise."""
    return safetensors.read(path, name=name)


def verify(found: Card, path: Path) -> str:
    """The sha256 of a model's file, weights or graph, if it is what the card says.

    Raises:
        ModelMissing: no such file, or it cannot be read.
        ModelDamaged: another file, an interrupted one, or an altered one.
    """
    expected = found.files().get(path.name, found.sha256)
    if not path.is_file():
        raise ModelMissing(text("catalog.file_missing", name=found.name, path=files.shown(path)))
    state = path.stat()
    actual = _sha256(path, state.st_mtime_ns, state.st_size)
    if not actual.startswith(expected):
        key = "catalog.damaged_fetched" if found.urls else "catalog.damaged_bundled"
        raise ModelDamaged(text(key, name=found.name, path=files.shown(path)))
    return actual


def pull(
    name: str,
    *,
    on_progress: OnProgress | None = None,
    offline: bool = False,
    timeout: float = TIMEOUT,
    schemes: tuple[str, ...] = ("https",),
) -> Path:
    """The path of a model's weights, fetched from its publisher if they are not here yet.

    What is here and sound is left alone, without the network; what is here and damaged is replaced. Two processes that
    ask at once fetch it once.

    Args:
        name: of the model.
        on_progress: called with the bytes that have come and that there are.
        offline: never ask the network; so does a `DANQING_OFFLINE` in the environment that is not 0.
        timeout: seconds without a byte after which the connection counts as dead.
        schemes: what may be spoken; anything but https is for tests.

    Raises:
        ModelMissing: no such model, or it cannot be had, or may not be fetched.
        ModelDamaged: the publisher's file is not what the card says.
        RunFailed: the cache cannot be written.
    """
    found = card(name)
    path = location(found)
    if not found.urls:
        return find(name)[1]
    if _sound(found, path):
        return path
    if offline or os.environ.get("DANQING_OFFLINE", "0") not in ("", "0"):
        raise ModelMissing(text("catalog.offline", name=name, megabytes=_megabytes(found)))
    files.make_folder(path.parent)
    with files.lock(path):
        if not _sound(found, path):  # another process may have fetched it meanwhile
            _sweep(path.parent)
            wanted = Wanted(name=name, size=found.bytes or 0, sha256=found.sha256)
            download(found.urls, path, wanted, on_progress=on_progress, timeout=timeout, schemes=schemes)
    return path


def check_model_name(name: str) -> None:
    """Refuse a name that a new model of one style cannot have.

    Raises:
        UsageError: it is taken by a model or a style, or cannot be a style's.
    """
    if any(known.name == name for known in cards()):
        raise UsageError(text("catalog.model_taken", name=told(name)))
    check_style_name(name)


def add_network(network: Network, name: str, *, license: str = "unknown") -> Card:
    """Put a network into the user's catalog, with one style of the same name; its card.

    Raises:
        UsageError: the name is taken, or cannot be a style's.
        RunFailed: it cannot be written.
    """
    check_model_name(name)
    styles = (LearntStyle(name=name, title=name),)
    papers = {"name": name, "file": f"{name}.onnx", "styles": styles, "license": license.strip() or "unknown"}
    made = network.card.model_copy(update=papers)
    models = home() / "models"
    files.make_folder(models)
    with files.atomic_folder(models / name) as folder:
        (folder / made.file).write_bytes(network.graph)
        (folder / f"{name}.toml").write_text(made.to_toml(), encoding="utf-8")
    return made


def remove_model(name: str) -> None:
    """Delete a model of the user's own, or the fetched weights of one that can be fetched again.

    Raises:
        ModelMissing: no such model.
        UsageError: it comes with danqing.
        RunFailed: it cannot be deleted.
    """
    found = card(name)
    folder = location(found).parent
    if bundled(found):
        raise UsageError(text("catalog.not_removed", name=name))
    if not folder.is_dir():
        raise ModelMissing(text("catalog.file_missing", name=name, path=files.shown(location(found))))
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise files.write_failure(folder, error) from error


def read(found: Card, path: Path) -> Arrays:
    """The arrays of a model's weights file, without what no encoder needs.

    Raises:
        ModelMissing, ModelDamaged, UsageError: as the readers of `danqing.weights`, or a kind that is not read.
    """
    return _read(path, name=found.name)


def _read(path: Path, *, name: str | None = None) -> Arrays:
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return safetensors.read(path, name=name)
    if suffix in CHECKPOINTS:
        return pth.read(path, name=name, keep=lambda tensor: not tensor.startswith(layouts.IGNORED))
    if suffix == ".mat":
        return _read_mat(path, name=name).arrays
    raise UsageError(text("catalog.kind", name=files.shown(path), kinds=", ".join(WEIGHTS)))


def _read_mat(path: Path, *, name: str | None = None) -> mat.Network:
    return mat.read(path, name=name, cache=home() / "mat")


def _sound(found: Card, path: Path) -> bool:
    with contextlib.suppress(ModelMissing, ModelDamaged):
        return bool(verify(found, path))
    return False


def _sweep(folder: Path) -> None:
    """Remove what a killed download left; the caller holds the folder's lock."""
    for left in folder.glob(f"{files.TEMPORARY_PREFIX}*{files.TEMPORARY_SUFFIX}"):
        left.unlink(missing_ok=True)


def _megabytes(found: Card) -> str:
    return f"{(found.bytes or 0) / 1e6:.0f}"


def _near(name: str, known: Collection[str]) -> str:
    return next(iter(difflib.get_close_matches(name, known, n=1)), next(iter(known), ""))


# ── the user's own weights ──────────────────────────────────────────────────────────────────────────────────────────


def from_file(path: str | Path, *, like: str | None = None) -> tuple[Card, Arrays]:
    """A user's own file of an encoder: its card, read beside it or made from what it is, and its arrays.

    A card beside the file (`<stem>.toml`) counts. Without one, the file must be a VGG-16 or VGG-19, or the beginning
    of one, in torchvision's names or the literature's, and it must be known how pictures are prepared for it; the
    card's `note` says how that was found out. What counts, in this order: that it is MatConvNet's, what a safetensors
    file states, that its first layer is a published one, and a word in the file's name (`feeding`).

    Args:
        path: `.safetensors`, a PyTorch checkpoint, or MatConvNet's `.mat`.
        like: `vgg16` or `vgg19`, where the file ends before the two differ; other names do not count.

    Raises:
        ModelMissing: no such file, or it cannot be read.
        ModelDamaged: damaged, no such encoder, or one of unknown preparation; every problem is listed.
        UsageError: of a kind that is not read, or the other VGG than asked for.
    """
    path = Path(path)
    papers = path.with_suffix(".toml")
    if papers.is_file():
        own = Card.load(papers)
        return own.model_copy(update={"sha256": verify(own, path), "file": path.name}), _read(path)
    network = _read_mat(path) if path.suffix.lower() == ".mat" else mat.Network(arrays=_read(path), mean=None)
    arrays = network.arrays
    name, layout = _recognised(path, arrays, like if like in layouts.DEPTHS else None)
    about = safetensors.metadata(path) if path.suffix.lower() == ".safetensors" else {}
    first = arrays[layout.names["conv1_1.weight"]], arrays[layout.names["conv1_1.bias"]]
    feed, note = feeding.decide(path, first, words=about.get("input", ""), mean=network.mean)
    made = Card(
        name=name,
        kind="encoder",
        file=path.name,
        sha256=files.sha256(path),
        license="unknown",
        origin=told(about.get("origin", "")) or files.shown(path.name),
        note=note,
        min_size=16,
        layers=tuple(f"relu{layer[4:]}" for layer in layout.layers),
        **dataclasses.asdict(feed),
    )
    return made, arrays


def _recognised(path: Path, arrays: Arrays, like: str | None) -> tuple[str, layouts.Layout]:
    """Which VGG a file without a card holds, and under which names."""
    name = files.shown(path.name)
    layout = layouts.recognise(arrays.keys(), like=like)
    if wrong := layouts.problems(arrays, layout):
        raise ModelDamaged(text("weights.misfit", name=name, problems=listed(wrong)))
    found = layouts.true_vgg(arrays, layout, like=like)
    if found is None:
        card = files.shown(path.with_suffix(".toml").name)
        raise ModelDamaged(text("catalog.no_papers", name=name, card=card))
    if like and like != found:
        raise UsageError(text("catalog.other", name=name, found=found, like=like))
    return found, layout


# ── the gallery ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class StyleEntry:
    """A style of the gallery.

    Attributes:
        name: what the command line calls it.
        title, title_zh, artist, date: of the original.
        source, url: who keeps the original or its reproduction, and where it can be seen.
        classic: the model of older tools that it comes nearest to, if any.
        network: the model that paints in it at once; None where none has learnt it.
        path: of a study after the original, to learn from; None where there is none.
        file: of a style of the user's own.
    """

    name: str
    title: str
    title_zh: str
    artist: str
    date: str
    source: str
    url: str
    classic: str = ""
    network: str | None = None
    path: Path | None = None
    file: Path | None = None


def samples() -> Path:
    """The folder of the studies: inside the package where it was installed, else beside the sources."""
    inside = Path(__file__).with_name("samples")
    return inside if inside.is_dir() else Path(__file__).parents[2] / "samples"


def studies(folder: Path | None = None) -> list[StyleEntry]:
    """Every bundled study, in the order of `samples.toml`.

    Args:
        folder: another folder of studies than the bundled one.

    Raises:
        ModelDamaged: the list is there and cannot be read.
    """
    folder = samples() if folder is None else folder
    file = folder / "samples.toml"
    if not file.is_file():
        return []
    try:
        tables = _tables(file.read_bytes())
        return [_entry(name, table, folder) for name, table in tables.items()]
    except (OSError, ValueError, TypeError, AttributeError, LookupError) as error:
        raise ModelDamaged(text("catalog.samples", name=files.shown(file), reason=told(error))) from error


def styles() -> list[StyleEntry]:
    """Every style of the gallery: what the networks here paint in, ours first, the user's own, and untaught studies.

    A damaged file of the user's own is passed over; the log says so, and whoever asks for it by name is told why.

    Raises:
        ModelDamaged: a card or the list of studies cannot be read.
    """
    return list(_styles(_papers() + _stamps(samples(), ".toml") + _stamps(home() / "styles", ownstyle.SUFFIX)))


@lru_cache(4)
def _styles(_state: Stamps) -> tuple[StyleEntry, ...]:
    """The styles of folders whose files are as they were."""
    paths = {study.name: study for study in studies()}
    found: dict[str, StyleEntry] = {}
    for model in sorted(cards(), key=lambda card: not bundled(card)):
        for learnt in model.styles:
            if learnt.name not in found:
                about = learnt.model_dump(exclude={"sha256", "box"})
                study = paths.get(learnt.name)
                found[learnt.name] = StyleEntry(**about, network=model.name, path=study.path if study else None)
    found |= {entry.name: entry for entry in own_styles() if entry.name not in found}
    return tuple((found | {name: study for name, study in paths.items() if name not in found}).values())


def own_styles() -> list[StyleEntry]:
    """The styles of the user's own; `network` is None where the vectors are of another network than the one here."""
    paths = _own_paths()
    networks = {model.sha256: model.name for model in cards() if model.vectors is not None} if paths else {}
    entries = []
    for name, path in paths.items():
        try:
            papers = ownstyle.papers(path)
        except ModelError as error:
            log.warning(text("catalog.style_passed_over", name=told(name), problem=str(error)))
            continue
        about: dict[str, Any] = papers.style.model_dump(exclude={"sha256", "name", "box"})
        network = networks.get(papers.network_sha256)
        entries.append(StyleEntry(name=name, network=network, file=path, **about))
    return entries


def _own_paths() -> dict[str, Path]:
    """The files of the user's own styles by the styles' names, damaged ones too."""
    return {path.stem: path for path in sorted((home() / "styles").glob(f"*{ownstyle.SUFFIX}"))}


def own_file(name: str) -> Path:
    """The file of a style of the user's own.

    Raises:
        UsageError: no such style, or it is not the user's own.
    """
    found = style(name)
    if found.file is None:
        raise UsageError(text("catalog.not_own", name=name))
    return found.file


def remove_style(name: str) -> None:
    """Delete a style of the user's own, a damaged one too.

    Raises:
        UsageError: no such style, or it is not the user's own.
        RunFailed: it cannot be deleted.
    """
    path = _own_paths().get(name) or own_file(name)  # raises where there is no file
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise files.write_failure(path, error) from error


def clean(name: str) -> str:
    """A name that can be a style's: letters, digits, dots, dashes."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:60] or "style"


def check_style_name(name: str) -> None:
    """Refuse a name that a new style cannot have.

    Raises:
        UsageError: it is taken, or cannot be a style's.
    """
    if not re.fullmatch(r"[\w-][\w.-]{0,99}", name):
        raise UsageError(text("catalog.style_name", name=told(name)))
    if name in _own_paths() or any(entry.name == name for entry in styles()):
        raise UsageError(text("catalog.style_taken", name=told(name)))


def new_style(name: str) -> Path:
    """The file of a style of the user's own that is to be made, if it can be; its folder is there then.

    Raises:
        UsageError: the name is taken, or cannot be a style's.
        RunFailed: it cannot be written.
    """
    check_style_name(name)
    path = home() / "styles" / f"{name}{ownstyle.SUFFIX}"
    files.make_folder(path.parent)
    files.check_target(path)
    return path


def add_style(data: bytes, name: str) -> Path:
    """Put a style of the user's own into the gallery, under a name that is free; its file.

    Raises:
        UsageError, RunFailed: as `new_style`.
    """
    path = new_style(name)
    with files.atomic_write(path) as stream:
        stream.write(data)
    return path


def import_style(path: Path, name: str | None = None) -> str:
    """Take a style file into the gallery; its name there.

    Raises:
        ModelMissing, ModelDamaged: it cannot be read, or is no style file, or does not fit the network that it names.
        UsageError: its name is taken.
    """
    found = ownstyle.read(path)
    network = next((model for model in cards() if model.vectors and model.sha256 == found.papers.network_sha256), None)
    if network is not None:
        _check_length(found, network, path)
    called = name or found.papers.style.name
    add_style(path.read_bytes(), called)
    return called


def picture(name: str) -> Picture:
    """The picture that a style of the gallery can be learnt from.

    Raises:
        UsageError: no such style, or there is no picture, only what a network has learnt.
    """
    entry = style(name)
    if entry.file is not None:
        return ownstyle.read(entry.file).picture
    if entry.path is None:
        raise UsageError(text("catalog.no_picture", name=name))
    return Picture.load(entry.path)


def style(name: str) -> StyleEntry:
    """A style of the gallery by its name.

    Raises:
        UsageError: no such style; the line lists those that there are.
        ModelMissing, ModelDamaged: its file, one of the user's own, cannot be read, or is no style file.
    """
    known = {entry.name: entry for entry in styles()}
    if name not in known:
        if (own := _own_paths().get(name)) is not None:
            ownstyle.papers(own)  # raises what is wrong with it
        raise UsageError(text("catalog.no_style", name=told(name), known=", ".join(known), near=_near(name, known)))
    return known[name]


def vectors(name: str) -> tuple[Card, NDArray[np.float32] | None]:
    """The network that paints in a style of the gallery, and the style's vectors (3, P): fine, middling, broad brush.

    A network that knows one style only has no vectors.

    Raises:
        UsageError: no such style, or no network has learnt it.
        ModelDamaged: the file is not what the card says, or does not fit the network.
    """
    entry = style(name)
    if entry.network is None:
        raise UsageError(text("catalog.no_vector", name=name))
    found = card(entry.network)
    if entry.file is not None:
        own = ownstyle.read(entry.file)
        _check_length(own, found, entry.file)
        return found, own.vectors
    if found.vectors is None:
        return found, None
    path = location(found).with_name(found.vectors)
    learnt = _arrays(path, verify(found, path), found.name).get(name)
    if learnt is None or learnt.ndim != 2 or len(learnt) != 3:
        raise ModelDamaged(text("catalog.damaged_bundled", name=found.name, path=files.shown(path)))
    return found, np.array(learnt, dtype=np.float32)  # a copy: the file's own are kept


def _check_length(own: ownstyle.OwnStyle, network: Card, path: Path) -> None:
    """Refuse a style of the user's own whose vectors are not as long as the network's."""
    table = location(network).with_name(str(network.vectors))
    lengths = {learnt.shape[-1:] for learnt in _arrays(table, verify(network, table), network.name).values()}
    if own.vectors.shape[-1:] not in lengths:
        raise ModelDamaged(text("catalog.no_style_file", path=files.shown(path)))


@lru_cache(4)
def _tables(data: bytes) -> dict[str, dict[str, str]]:
    """The list of studies from its TOML."""
    return tomllib.loads(data.decode("utf-8"))


def _entry(name: str, table: dict[str, str], folder: Path) -> StyleEntry:
    values: dict[str, Any] = {key: str(value) for key, value in table.items()}
    file = values.pop("file")
    if Path(file).name != file:
        raise ValueError(f"{name}.file = {file!r}")
    return StyleEntry(name=name, path=folder / file, **values)
