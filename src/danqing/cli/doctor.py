"""`danqing doctor`: what this machine and this installation have, and what that means for painting."""

from __future__ import annotations

from importlib import metadata

from danqing import __version__, catalog, engines, limits, machine
from danqing.cli import console
from danqing.cli.models import _state
from danqing.cli.options import Json, single
from danqing.messages import language, text

PACKAGES = ("numpy", "pillow", "onnxruntime", "torch", "pillow-heif", "av")
"""What decides what danqing can do, by the names under which it is installed."""

ADVICE = {"torch": "cli.advice_torch", "pillow-heif": "cli.advice_heif", "av": "cli.advice_video"}
"""What to say where a package is missing."""


def doctor(json: Json = False) -> None:
    """Print what is here."""
    found = examined()
    if json:
        console.put_json(found)
        return
    rows = [("danqing", str(found["danqing"]))]
    described = found["machine"]
    assert isinstance(described, dict)  # noqa: S101 - made below
    rows += [(text(f"machine.{key}"), _told(key, value)) for key, value in described.items()]
    rows.append((text("cli.doctor_largest"), f"{limits.max_pixels() / 1e6:.0f} Mpx"))
    rows += [(package, version or text("cli.doctor_missing")) for package, version in _packages().items()]
    rows.append((text("cli.doctor_engines"), ", ".join(engines.names())))
    rows += [(card.name, text(f"cli.state_{_state(card)}")) for card in catalog.cards()]
    rows.append((text("cli.doctor_styles"), str(len(catalog.styles()))))
    rows.append((text("cli.doctor_cache"), str(catalog.home())))
    rows.append((text("cli.doctor_language"), language()))
    console.table(rows)
    for package, version in _packages().items():
        if version is None and package in ADVICE:
            console.say(text(ADVICE[package]))


def examined() -> dict[str, object]:
    """Everything that `doctor` finds out, by name."""
    return {
        "danqing": __version__,
        "machine": machine.describe(),
        "max_pixels": limits.max_pixels(),
        "packages": _packages(),
        "engines": list(engines.names()),
        "models": {card.name: _state(card) for card in catalog.cards()},
        "styles": [entry.name for entry in catalog.styles()],
        "cache": str(catalog.home()),
        "language": language(),
    }


def _packages() -> dict[str, str | None]:
    """The versions of packages, without importing them; None for those that are not installed."""
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return versions


def _told(key: str, value: object) -> str:
    if key.startswith("memory"):
        return f"{int(str(value)) / 1e9:.1f} GB"
    if isinstance(value, bool):
        return text("cli.yes" if value else "cli.no")
    if isinstance(value, list):
        return ", ".join(str(entry) for entry in value) or text("cli.none")
    return str(value)


app = single(doctor)
