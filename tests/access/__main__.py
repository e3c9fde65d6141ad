"""`python -m tests.access`: try every way to a sealed caller on a real PostgreSQL of its own, and print what each one gave."""

import sys
import tempfile
from datetime import datetime
from pathlib import Path

from fastapi.testclient import TestClient

from api.main import create_app
from api.wiring import Runtime
from hotline.settings import Settings
from hotline.storage import embedded
from hotline.storage.store import make_engine, migrate
from tests import world as w
from tests.access.attacks import ATTACKS, leaks, set_the_scene
from tests.api.conftest import Api


def main() -> int:
    """Run the list; 0 where every way failed."""
    with tempfile.TemporaryDirectory(prefix="hotline-attacks-") as folder:
        Path(folder).chmod(0o755)
        url = embedded.find_or_start(Path(folder) / "data")
        migrate(url)
        engine = make_engine(url)
        try:
            world = w.build(engine, Path(folder))
            return _try_all(world, Path(folder))
        finally:
            engine.dispose()
            embedded.stop(Path(folder) / "data")


def _try_all(world: w.World, folder: Path) -> int:
    holder: list[Api] = []

    def clock() -> datetime:
        return holder[0].now

    settings = Settings(data_dir=folder, requests_per_minute=10**6)
    with TestClient(
        create_app(Runtime(settings, world.engine, world.office, clock)), raise_server_exceptions=False
    ) as client:
        holder.append(Api(client, world))
        scene = set_the_scene(holder[0])
        succeeded = 0
        for number, attack in enumerate(ATTACKS, start=1):
            found = leaks(attack.attempt(scene))
            succeeded += bool(found)
            sys.stdout.write(f"{number:3}  {'LEAKS' if found else 'fails'}  {attack.name}\n")
            sys.stdout.writelines(f"           {one}\n" for one in found[:3])
        sys.stdout.write(f"{len(ATTACKS)} ways tried, {succeeded} succeeded\n")
    return 1 if succeeded else 0


if __name__ == "__main__":
    sys.exit(main())
