"""What every test may ask for. The PostgreSQL fixtures stand in `tests/postgres.py`."""

pytest_plugins = ["tests.postgres"]
