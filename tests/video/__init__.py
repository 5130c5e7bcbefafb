"""Tests of the room `video`: skipped as a whole where its extra is not installed."""

import pytest

pytest.importorskip("av", reason="the extra video is not installed")
pytest.importorskip("cv2", reason="the extra video is not installed")
