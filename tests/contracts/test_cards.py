"""Every model and every study that ships has its papers, and is what its papers say."""

from __future__ import annotations

import hashlib

import pytest
from PIL import Image

from danqing import catalog
from danqing.card import Card
from tests.contracts.source import PACKAGE, ROOT

BUNDLED = [card for card in catalog.cards() if not card.urls]
STUDIES = catalog.studies()
MAX_MODELS, MAX_GALLERY = 15_000_000, 6_000_000
"""Bytes of all bundled models, and of the network and its styles."""

MAX_STUDY = 90_000
"""Bytes."""


def test_models_and_the_studies_ship() -> None:
    assert {"compact", "pastiche"} <= {card.name for card in BUNDLED}
    assert 1 <= len(STUDIES) <= 6


def test_the_gallery_ships() -> None:
    card = catalog.card("pastiche")
    names = [style.name for style in card.styles]
    assert len(names) == len(set(names)) >= 24
    wanted = {"starry-night", "great-wave", "the-scream", "composition-vii", "udnie", "minotaur", "grande-jatte"}
    assert wanted | {"ink-cliffs", "ink-pine", "blue-green-islands"} <= set(names)
    for style in card.styles:
        assert style.title and style.title_zh and style.artist and style.date and style.source and style.sha256
    classics = {style.classic for style in card.styles if style.classic}
    assert {"starry_night", "the_wave", "the_scream", "composition_vii", "udnie"} <= classics
    sizes = [(PACKAGE / "models" / name).stat().st_size for name in (card.file, card.vectors)]
    assert sum(sizes) <= MAX_GALLERY


@pytest.mark.parametrize("card", catalog.cards(), ids=lambda c: c.name)
def test_every_card_says_whose_it_is(card: Card) -> None:
    assert card.origin
    assert card.license


@pytest.mark.parametrize("card", BUNDLED, ids=lambda c: c.name)
def test_every_bundled_model_is_what_its_card_says(card: Card) -> None:
    assert card.license != "unknown"
    assert {name: digest(name) for name in card.files()} == card.files()


def test_every_bundled_file_belongs_to_a_card() -> None:
    papers = {f"{card.name}.toml" for card in catalog.cards()}
    weights = {name for card in BUNDLED for name in card.files()}
    files = [path for path in (PACKAGE / "models").iterdir() if path.is_file()]
    assert {path.name for path in files} == papers | weights
    assert sum(path.stat().st_size for path in files) <= MAX_MODELS


@pytest.mark.parametrize("study", STUDIES, ids=lambda s: s.name)
def test_every_study_is_small_credited_and_a_picture(study: catalog.StyleEntry) -> None:
    assert study.title and study.title_zh and study.artist and study.date and study.source
    assert study.url.startswith("https://") or not study.url
    assert study.path.stat().st_size <= MAX_STUDY
    with Image.open(study.path) as picture:
        picture.load()
        assert picture.mode == "RGB"


def test_every_study_in_the_folder_is_listed() -> None:
    listed = {study.path.name for study in STUDIES}
    assert {path.name for path in (ROOT / "samples").glob("*.jpg")} == listed


def digest(name: str) -> str:
    """The sha256 of a bundled file, computed here and not by what is tested."""
    return hashlib.sha256((PACKAGE / "models" / name).read_bytes()).hexdigest()
