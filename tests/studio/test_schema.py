"""The OpenAPI document and the service agree, whatever is sent: tried by Schemathesis."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

from schemathesis import checks  # noqa: E402
from schemathesis.specs.openapi import checks as openapi  # noqa: E402

from danqing.studio.app import application  # noqa: E402
from danqing.studio.settings import Settings  # noqa: E402
from tests.studio.conftest import Served, picture  # noqa: E402

# A picture of random bytes is refused, and rightly so: that everything which fits the schema is accepted is not tried.
CHECKS = [
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_headers_conformance,
    openapi.response_schema_conformance,
    openapi.unsupported_method,
]
HEADERS = {"X-Danqing": "schema"}


def sayings(count: int) -> settings:
    """So many examples of each operation, the same every time."""
    return settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


guarded: Any = application(Settings())
document = schemathesis.openapi.from_dict(guarded.app.openapi())


@document.parametrize()
@sayings(6)
def test_whatever_is_sent_the_answer_is_as_it_is_documented(case: Any, served: Served) -> None:
    case.call_and_validate(base_url=served.address, checks=CHECKS, headers=HEADERS)


@pytest.mark.slow
@document.parametrize()
@sayings(60)
def test_whatever_is_sent_with_a_true_photo(case: Any, served: Served) -> None:
    if isinstance(case.body, dict) and "photo" in case.body:
        case.body |= {"photo": picture(), "style": ["reeds"], "size": 64}
    case.call_and_validate(base_url=served.address, checks=CHECKS, headers=HEADERS)
