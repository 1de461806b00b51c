"""Running dbt: one parse a process, one invocation per stage of the night."""

import gc
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quorum.errors import QuorumError
from quorum.settings import formats, project_directory
from quorum.workspace import Workspace

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

LOG_BYTES = 10 * 2**20

# A project does not change while a process lives, and a workspace does not change its manifest.
_parsed: dict[Path, "Manifest"] = {}


class Dbt:
    """dbt over one workspace.

    What dbt writes of its own (compiled SQL, logs, run results) goes below ``restricted/``: error texts of a
    database may echo a value, so they are for the operator only.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._home = workspace.restricted / "dbt"
        self._root = str(workspace.root)
        os.environ["QUORUM_WORKSPACE"] = self._root

    def manifest(self) -> "Manifest":
        """Return dbt's manifest, parsed on first use."""
        project = project_directory()
        if project not in _parsed:
            # from the path of a database dbt concludes that all has to be parsed anew, and a parse opens none
            os.environ["QUORUM_WORKSPACE"] = "workspace"
            try:
                with _out_of_the_collectors_way():
                    _parsed[project] = self._invoke("parse", [])
            finally:
                os.environ["QUORUM_WORKSPACE"] = self._root
        return _parsed[project]

    def build(self, stage: str, target: str) -> None:
        """Build one selector of ``selectors.yml`` with its data tests.

        Raises QuorumError that names the models or tests that failed, without a word of what they read.
        """
        self.manifest()
        self._invoke("build", ["--selector", stage, "--target", target, "--exclude-resource-type", "unit_test"])

    def compiled(self, sql: str) -> str:
        """Return SQL with its macros and refs filled in, as dbt would run it. Nothing is run."""
        self.manifest()
        outcome = self._invoke("compile", ["--inline", sql, "--no-introspect", "--no-populate-cache"])
        return str(outcome.results[0].node.compiled_code)

    def _invoke(self, command: str, arguments: list[str]) -> Any:
        from dbt.cli.main import dbtRunner

        from quorum.dbt_events import silence_debugging

        silence_debugging()
        project = project_directory()
        # fmt: off
        shared = [
            "--project-dir", str(project), "--profiles-dir", str(project / "profiles"),
            "--vars", json.dumps({"formats": formats()}),
            "--target-path", str(self._home / "target"), "--log-path", str(self._home / "logs"),
            "--log-level", "none", "--log-level-file", "none", "--no-use-colors", "--no-write-json",
        ]
        # fmt: on
        manifest = _parsed.get(project)
        if manifest:
            _forget_what_was_compiled(manifest)
        try:
            with self._log() as log:
                outcome = dbtRunner(manifest, [log]).invoke([command, *arguments, *shared])
        finally:
            _close_database()
        if outcome.success:
            return outcome.result
        failed = [
            result.node.name
            for result in getattr(outcome.result, "results", [])
            if str(result.status) in ("error", "fail")
        ]
        where = f"details are in {self._home / 'logs' / 'dbt.log'}"
        refusal = next(filter(None, map(own_words, getattr(outcome.result, "results", []))), None)
        if refusal:
            raise QuorumError(f"dbt {command} failed in {', '.join(failed)}: {refusal}")
        if failed:
            raise QuorumError(f"dbt {command} failed in {', '.join(failed)}: {where}")
        raise QuorumError(f"dbt {command} failed: {where}")

    @contextmanager
    def _log(self) -> Iterator[Callable[[Any], None]]:
        """Write what dbt tells, down to which model was built; its own log makes a line of each statement too."""
        folder = self._home / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        file = _Log(folder / "dbt.log", maxBytes=LOG_BYTES, backupCount=5, encoding="utf-8")

        def write(event: Any) -> None:
            if event.info.level in ("info", "warn", "error"):
                line = f"{event.info.ts.ToJsonString()} [{event.info.level:<5}] {event.info.msg}"
                file.handle(logging.makeLogRecord({"msg": line}))

        with closing(file):
            yield write


class _Log(RotatingFileHandler):
    """A log that keeps quiet where its disk is full: by default it would print each line and a traceback instead."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the library's name
        pass


@contextmanager
def _out_of_the_collectors_way() -> Iterator[None]:
    """Make what lasts as long as the process without looking for garbage in it, then or later.

    A parse makes hundreds of thousands of objects that stay: each full collection, then and in every build after it,
    would walk them all, a fifth of the time of a parse and a twentieth of that of a small night.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.collect()
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


def _forget_what_was_compiled(manifest: "Manifest") -> None:
    """Let dbt put ephemeral models into those that refer to them once more: it does so once in a manifest's life."""
    for node in manifest.nodes.values():
        if getattr(node, "extra_ctes_injected", False):
            node.extra_ctes_injected, node.extra_ctes = False, []


def _close_database() -> None:
    """Let go of the planes: dbt keeps them open for its next thread, and Python reads them between two invocations."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    try:
        environment = DuckDBConnectionManager.env()
    except Exception:  # dbt-duckdb has no other word for: nothing was opened
        return
    environment.close()


def own_words(result: Any) -> str | None:
    """Return why a macro of ours refused to compile a model: our own words, where a database's may echo a value."""
    head, _, rest = str(result.message or "").partition("\n")
    return rest.strip().partition("\n")[0] if head.startswith("Compilation Error") else None
