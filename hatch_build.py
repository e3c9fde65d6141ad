"""The hatchling hook that puts the web console into wheels and into a checkout's `api/console`.

HOTLINE_CONSOLE=skip leaves it out; the server's /console then says so. In a checkout (an editable install) a failed build is
told loudly and the engine is installed without it; a wheel without its console is not made.
"""

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent / "console"))
import build_console  # type: ignore[import-not-found]


class ConsoleHook(BuildHookInterface):  # type: ignore[misc,type-arg]
    """Builds `console/` before the files are gathered."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node as a build requirement, only where a build is due and the machine has none new enough."""
        needed = self._wanted() and not build_console.is_current() and build_console.node_of_machine() is None
        return [build_console.NODE_WHEEL] if needed else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build, or say why not."""
        if not self._wanted():
            return
        try:
            build_console.build()
        except build_console.BuildFailed as failure:
            if version != "editable":
                raise
            build_console.BUNDLE.mkdir(parents=True, exist_ok=True)
            (build_console.BUNDLE / build_console.WHY).write_text(str(failure), "utf-8")
            self.app.display_warning(
                f"网页工作台没有建成，服务将不带它运行（the console was not built）：{failure}"
            )

    def _wanted(self) -> bool:
        return os.environ.get("HOTLINE_CONSOLE") != "skip" and (build_console.HERE / "package.json").is_file()
