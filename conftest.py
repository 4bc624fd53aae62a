"""Policy cases are tests wherever they stand (tests/policy_cases.py), and Hypothesis waits for a busy machine."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.policy_cases"]

# a busy machine is no fault of what is tested
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")
