"""Picture: pixels with what belongs to them, and the way in from files and out to them.

`load` and `save` hold one written rule for every odd format. A Picture knows no style, no network and no terminal.
"""

from __future__ import annotations

from danqing.picture.picture import Picture

__all__ = ["Picture"]
