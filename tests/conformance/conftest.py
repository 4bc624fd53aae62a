"""The application that the suite calls, once for all tests that leave nothing behind in it."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.conformance.calls import application


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    return application(tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="session")
def service_20(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    """The same as it is set up for clients of CRD 2.0, who cannot say which version they want."""
    return application(tmp_path_factory.mktemp("service"), CDS_DEFAULT_CRD_VERSION="2.0")
