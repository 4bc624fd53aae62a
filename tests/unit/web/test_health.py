"""What a probe sees."""

from __future__ import annotations

from flask import Flask

from cds_service.web.health import health


def test_a_living_process_says_so_and_a_ready_one_counts_its_policies() -> None:
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(health(policies=3))
    client = app.test_client()
    assert client.get("/healthz").get_json() == {"status": "ok"}
    assert client.get("/readyz").get_json() == {"status": "ready", "policies": 3}
