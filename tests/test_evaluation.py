"""Evaluation: what is judged, against what, and how much of it is in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from danqing import catalog, evaluation, inputs, ownstyle
from danqing.card import LearntStyle
from danqing.errors import BadInput
from danqing.picture import Picture
from tests.fake_engine import picture


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A tree of photographs, one of them broken."""
    for seed in range(3):
        (tmp_path / "photos" / str(seed)).mkdir(parents=True)
        picture(tmp_path / "photos" / str(seed) / "x.png", (120, 90), seed=seed)
    (tmp_path / "photos" / "1" / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    return tmp_path / "photos"


def test_photographs_come_one_by_one_and_the_broken_are_named(
    photos: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read, asked = inputs.read, []

    def counted(path: Path) -> inputs.Input:
        asked.append(path)
        return read(path)

    monkeypatch.setattr(inputs, "read", counted)
    found = evaluation.photographs(photos, 40)
    next(found)
    assert len(asked) == 1
    assert len(list(found)) == 2
    assert "passed over" in caplog.text and "a.jpg" in caplog.text
    assert len(list(evaluation.photographs(photos, 2))) == 2
    with pytest.raises(BadInput, match="no picture"):
        next(evaluation.photographs(photos / "nowhere", 2))


@pytest.mark.usefixtures("bundled")
def test_a_style_of_the_users_own_is_judged_by_the_work_inside(photos: Path, tmp_path: Path) -> None:
    work = Picture.load(picture(tmp_path / "painting.png", (90, 90), seed=7))
    card = catalog.card("pastiche")
    papers = ownstyle.Papers(
        network=card.name, network_sha256=card.sha256, style=LearntStyle(name="mine", title="Mine")
    )
    vectors = np.asarray(catalog.vectors("reeds")[1], dtype=np.float32)
    ownstyle_file(papers, vectors, work)
    own, *_ = evaluation.evaluate(["mine"], photos, size=96)
    assert (own.style, len(own.scores)) == ("mine", 3)
    assert evaluation.found(["mine"], None)["mine"].size == (90, 90)


def ownstyle_file(papers: ownstyle.Papers, vectors: np.ndarray, work: Picture) -> None:
    """The style in the user's gallery."""
    from safetensors.numpy import save

    arrays, header = ownstyle.parts(ownstyle.OwnStyle(papers=papers, vectors=vectors, picture=work))
    catalog.add_style(bytes(save(arrays, metadata=header)), papers.style.name)
