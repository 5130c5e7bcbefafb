"""Everything that danqing raises on purpose.

    DanqingError                 exit code
    ├── RunFailed                1    failed while running: disk full, NaN, the machine
    ├── UsageError               2    an option, a recipe or a call that cannot be meant
    ├── SomeFailed               3    some inputs of many failed, the others are done
    ├── BadInput                 4    an input file that cannot be used
    │   ├── BadPicture                it is no picture, is damaged, or is of a kind that is not read
    │   └── BadRecipe                 a recipe that cannot be read
    ├── ModelError               5
    │   ├── ModelMissing              not here, and not to be had
    │   └── ModelDamaged              here, but not what it should be
    ├── DoesNotFit               6    larger than the limits allow
    └── Interrupted              130  stopped by the user; what was done is kept

Each carries one line, made by `messages.text`: what, why, cure. Exit codes are applied by the command line alone.
"""

from __future__ import annotations

from typing import ClassVar


class DanqingError(Exception):
    """The root: one line for the user, and the exit code that goes with it."""

    exit_code: ClassVar[int] = 1


class RunFailed(DanqingError):
    """Failed while running.

    Attributes:
        kept: the Pastiche as it was when an engine failed half-way, for whoever can still save it.
    """

    kept: object | None = None


class UsageError(DanqingError):
    """An option, a recipe or a call that cannot be meant."""

    exit_code = 2


class SomeFailed(DanqingError):
    """Some inputs of many failed."""

    exit_code = 3


class BadInput(DanqingError):
    """An input file that cannot be used."""

    exit_code = 4


class BadPicture(BadInput):
    """No picture, a damaged one, or one of a kind that is not read."""


class BadRecipe(BadInput):
    """A recipe that cannot be read."""


class ModelError(DanqingError):
    """A model that cannot be used."""

    exit_code = 5


class ModelMissing(ModelError):
    """Not here, and not to be had."""


class ModelDamaged(ModelError):
    """Here, but not what it should be."""


class DoesNotFit(DanqingError):
    """Larger than the limits allow."""

    exit_code = 6


class Interrupted(DanqingError):
    """Stopped by the user; what was done is kept."""

    exit_code = 130
