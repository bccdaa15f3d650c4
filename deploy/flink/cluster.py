"""A Flink session cluster on this machine: a job manager, two task managers, Beam's job server, and Python workers.

    python -m deploy.flink.cluster        starts it and says how to use it; Ctrl-C stops all of it

Every part is a process of its own, as on a real cluster, and task managers can be killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from deploy.flink import parts

TASK_MANAGERS: Final = 2
SLOTS: Final = 2
"""In each, so that one task manager can do the work of both."""

PATIENCE_SECONDS: Final = 90.0

ENVIRONMENT_CACHE_MILLIS: Final = 600_000

# The name under which every task manager finds the workers of its own machine.
_WORKERS: Final = "workers"

# Flink's own list for Java 17 (its standard config.yaml), for Kryo and the like.
_OPENED: Final = (
    "java.lang",
    "java.net",
    "java.io",
    "java.nio",
    "sun.nio.ch",
    "java.lang.reflect",
    "java.text",
    "java.time",
)
_OPENED_TOO: Final = ("java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks")
_EXPORTED: Final = ("java.base/sun.net.util", "java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5")
JAVA_OPTIONS: Final = [
    *(f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTED),
    *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in (*_OPENED, *_OPENED_TOO)),
]

_CONFIG: Final = """\
jobmanager.rpc.address: localhost
jobmanager.rpc.port: {rpc}
jobmanager.bind-host: localhost
jobmanager.memory.process.size: 1024m
taskmanager.host: localhost
taskmanager.bind-host: localhost
taskmanager.memory.process.size: 2560m
# A batch job shuffles over many edges at once, each with up to 512 buffers of 32 KiB in a task manager.
taskmanager.memory.network.min: 768m
taskmanager.memory.network.max: 768m
taskmanager.load-balance.mode: SLOTS
taskmanager.numberOfTaskSlots: {slots}
rest.address: localhost
rest.bind-address: localhost
rest.port: {rest}
parallelism.default: {parallelism}
# Flink's default is to fail with the first task manager that is lost.
restart-strategy.type: fixed-delay
restart-strategy.fixed-delay.attempts: 100
restart-strategy.fixed-delay.delay: 2 s
heartbeat.interval: 1000
heartbeat.timeout: 8000
# Beam stands in the cluster's class path, so that no job has to bring it.
classloader.resolve-order: parent-first
blob.storage.directory: {folder}/blobs
io.tmp.dirs: {folder}/tmp
"""


class Cluster:
    """The processes of a cluster.

    Args:
      folder: for configuration, logs and temporary files.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.rest, self._rpc, self.jobs, self._artifacts, self.workers = _free_ports(5)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._started = 0

    @property
    def options(self) -> list[str]:
        """Beam's options for a job on the cluster."""
        return [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{self.jobs}",
            f"--artifact_endpoint=localhost:{self._artifacts}",
            "--environment_type=EXTERNAL",
            f"--environment_config={_WORKERS}:{self.workers}",
            # Without it every stage starts a worker of its own, which imports TensorFlow anew.
            f"--environment_cache_millis={ENVIRONMENT_CACHE_MILLIS}",
            f"--parallelism={TASK_MANAGERS}",
        ]

    def start(self) -> None:
        """Starts everything and waits until it is ready.

        Raises:
          Missing: a part is missing, or a process has ended.
        """
        parts.fetch()
        for name in ("conf", "tmp", "blobs", "logs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        text = _CONFIG.format(rpc=self._rpc, rest=self.rest, slots=SLOTS, parallelism=TASK_MANAGERS, folder=self.folder)
        (self.folder / "conf" / "config.yaml").write_text(text)
        main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        self._java("job-manager", [*JAVA_OPTIONS, "-Xmx512m", main, "--configDir", str(self.folder / "conf")])
        self._wait("the job manager", lambda: self.get("/overview") is not None)
        for _ in range(TASK_MANAGERS):
            self.add_task_manager()
        self._start_job_server()
        self._wait("the task managers", lambda: self.get("/overview")["taskmanagers"] == TASK_MANAGERS)
        self._wait("the job server", lambda: _listens("localhost", self.jobs))

    def add_task_manager(self) -> str:
        """Starts a task manager with a pool of workers, and returns its name."""
        self._started += 1
        name, host = f"task-manager-{self._started}", f"127.0.0.{self._started + 1}"
        hosts = self.folder / "conf" / f"{name}.hosts"
        hosts.write_text(f"127.0.0.1 localhost {socket.gethostname()}\n{host} {_WORKERS}\n")
        pool = ["-m", "deploy.flink.workers", host, str(self.workers)]
        # The pool calls bare `python`.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        self._spawn(f"{name}-workers", [sys.executable, *pool], {"PATH": path})
        self._wait("the workers", lambda: _listens(host, self.workers))
        jvm, dynamic = self._resources()
        main = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        options = [f"-Djdk.net.hosts.file={hosts}", *jvm, *JAVA_OPTIONS]
        self._java(name, [*options, main, "--configDir", str(self.folder / "conf"), *dynamic])
        return name

    def kill_task_manager(self) -> str:
        """Kills the oldest task manager and its workers, as a lost machine would end, and returns its name."""
        name = next(name for name in self._processes if name.startswith("task-manager") and "workers" not in name)
        for part in (name, f"{name}-workers"):
            _kill(self._processes.pop(part))
        return name

    def stop(self) -> None:
        """Stops every process and those that they have started."""
        for process in reversed(self._processes.values()):
            _kill(process)
        self._processes.clear()

    def get(self, path: str) -> Any:
        """Returns what the job manager answers to a request of its REST interface; None for no answer."""
        try:
            with urllib.request.urlopen(f"http://localhost:{self.rest}{path}", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return None

    def _resources(self) -> tuple[list[str], list[str]]:
        """Returns the JVM's options and Flink's for a task manager, as Flink works them out of its configuration."""
        tool = [str(parts.libraries() / "bin" / "bash-java-utils.jar"), *self._jars()]
        main = "org.apache.flink.runtime.util.bash.BashJavaUtils"
        command = [
            "java",
            "-cp",
            ":".join(tool),
            main,
            "GET_TM_RESOURCE_PARAMS",
            "--configDir",
            str(self.folder / "conf"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        mark = "BASH_JAVA_UTILS_EXEC_RESULT:"
        lines = [line.removeprefix(mark) for line in done.stdout.splitlines() if line.startswith(mark)]
        return lines[0].split(), lines[1].split()

    def _start_job_server(self) -> None:
        server = [
            *(option for option in JAVA_OPTIONS if option.startswith("--add-opens")),
            "-cp",
            ":".join(self._jars()),
            "org.apache.beam.runners.flink.FlinkJobServerDriver",
            f"--flink-master=localhost:{self.rest}",
            "--job-host=localhost",
            f"--job-port={self.jobs}",
            f"--artifact-port={self._artifacts}",
            "--expansion-port=0",
            f"--artifacts-dir={self.folder / 'artifacts'}",
        ]
        self._spawn("job-server", ["java", *server])

    def _java(self, name: str, arguments: list[str]) -> None:
        log = [f"-Dlog.file={self.folder / 'logs' / (name + '.flink')}", "-Dlog4j2.level=INFO"]
        self._spawn(name, ["java", *log, "-cp", ":".join(self._jars()), *arguments])

    def _jars(self) -> list[str]:
        folders = (parts.libraries() / "lib", parts.job_server())
        return [str(path) for folder in folders for path in sorted(folder.glob("*.jar"))]

    def _spawn(self, name: str, command: list[str], more: dict[str, str] | None = None) -> None:
        with (self.folder / "logs" / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "FLINK_CONF_DIR": str(self.folder / "conf"), **(more or {})},
                start_new_session=True,
            )

    def _wait(self, what: str, ready: Any) -> None:
        ends = time.monotonic() + PATIENCE_SECONDS
        while not ready():
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise parts.Missing(f"{name} has ended with code {process.returncode}: {self._last_line(name)}")
            if time.monotonic() > ends:
                raise parts.Missing(
                    f"{what} did not start within {PATIENCE_SECONDS:.0f} s; logs are in {self.folder / 'logs'}"
                )
            time.sleep(0.2)

    def _last_line(self, name: str) -> str:
        lines = (self.folder / "logs" / f"{name}.log").read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Runs a cluster while the block runs."""
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _listens(host: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def _free_ports(count: int) -> list[int]:
    """Returns ports that nobody uses, just now."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]


def main() -> None:
    """Runs a cluster until it is interrupted."""
    with tempfile.TemporaryDirectory(prefix="seqcols-flink-") as folder, running(Path(folder)) as cluster:
        print(f"Flink {parts.FLINK}: http://localhost:{cluster.rest}", "a job runs there with", sep="\n")
        print("  seqcols run ...", *cluster.options, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    try:
        main()
    except parts.Missing as error:
        sys.exit(f"flink: {error}")
