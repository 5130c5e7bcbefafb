"""danqing 丹青: any photograph in the manner of any painting, offline.

    import danqing
    danqing.paint("photo.jpg", style="great-wave").save("painting.jpg")

Names only: what stands here is imported when it is first used, so that `import danqing` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from danqing.api import paint as paint
    from danqing.api import prepare as prepare
    from danqing.api import redo as redo
    from danqing.api import score as score
    from danqing.api import styles as styles
    from danqing.errors import DanqingError as DanqingError
    from danqing.picture import Picture as Picture
    from danqing.recipe import Recipe as Recipe
    from danqing.style import Style as Style
    from danqing.stylizer import Pastiche as Pastiche
    from danqing.stylizer import Step as Step

    __version__: str

_PLACES = {
    "paint": "danqing.api",
    "prepare": "danqing.api",
    "redo": "danqing.api",
    "score": "danqing.api",
    "styles": "danqing.api",
    "DanqingError": "danqing.errors",
    "Picture": "danqing.picture",
    "Recipe": "danqing.recipe",
    "Style": "danqing.style",
    "Pastiche": "danqing.stylizer",
    "Step": "danqing.stylizer",
}

__all__ = [
    "DanqingError",
    "Pastiche",
    "Picture",
    "Recipe",
    "Step",
    "Style",
    "__version__",
    "paint",
    "prepare",
    "redo",
    "score",
    "styles",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib import metadata

        try:
            found: object = metadata.version("danqing")
        except metadata.PackageNotFoundError:  # run from a checkout that was never installed
            found = "0+unknown"
    elif name in _PLACES:
        from importlib import import_module

        found = getattr(import_module(_PLACES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
