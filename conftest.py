"""Policy cases are tests wherever they stand: see tests/policy_cases.py."""

pytest_plugins = ["tests.policy_cases"]
