"""What a probe sees."""

from __future__ import annotations

from flask import Flask

from cds_service.web.health import health


def test_a_living_process_says_so_and_a_ready_one_counts_its_policies() -> None:
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(health(policies=3, store_trouble=lambda: None))
    client = app.test_client()
    assert client.get("/healthz").get_json() == {"status": "ok"}
    assert client.get("/readyz").get_json() == {"status": "ready", "policies": 3, "store": "ready"}


def test_a_store_that_is_away_is_told_by_a_service_that_is_ready_all_the_same() -> None:
    app = Flask(__name__, static_folder=None)
    app.register_blueprint(health(policies=3, store_trouble=lambda: "the disk is full"))
    told = app.test_client().get("/readyz")
    assert told.status_code == 200
    assert told.get_json() == {
        "status": "ready",
        "policies": 3,
        "store": "the disk is full: no memory of earlier answers, feedback is refused",
    }
