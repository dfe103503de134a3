"""Where the daemon is started must not matter."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import aiohttp
import yaml

from tests.support.daemon import complete
from tests.support.processes import ROOT, spawned
from tests.support.waiting import wait_until


async def test_a_package_of_the_same_name_beside_the_configuration_is_not_run(
    tmp_path: Path,
) -> None:
    decoy = tmp_path / "router"
    decoy.mkdir()
    (decoy / "__init__.py").touch()
    (decoy / "worker.py").write_text("raise SystemExit('a decoy was run')\n")
    config = tmp_path / "headrace.yaml"
    config.write_text(yaml.safe_dump(complete({})))
    command = (sys.executable, "-P", "-m", "headrace", "run", config)
    async with (
        spawned(*command, env={"PYTHONPATH": str(ROOT)}, cwd=tmp_path) as process,
        aiohttp.ClientSession() as session,
    ):
        line = await process.line(r'"message": ?"running"', timeout=20)
        url = f"http://{json.loads(line.string)['admin']}/readyz"

        async def ready() -> bool:
            async with session.get(url) as reply:
                return reply.status == 200

        await wait_until(ready, "the worker serves")
        process.terminate()
        assert await process.exit_code(timeout=20) == 0
