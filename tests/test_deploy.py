"""Clusters: options in commands to paste exist, images hold compiled kernels, manifests fit together."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from ruamel.yaml import YAML

from deploy.flink import cluster
from pipeline.command.beam_options import Parser, split
from pipeline.command.template import metadata
from tests.test_contributing import ROOT
from tests.test_docs import TEXTS, snippets

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
TERRAFORM = (DEPLOY / "dataflow" / "main.tf").read_text(encoding="utf-8")
DATAFLOW = "deploy/dataflow/README.md"
PAGES = ["deploy/README.md", DATAFLOW, "deploy/flink/README.md"]

GCLOUD = {
    ("auth", "configure-docker"): set(),
    ("dataflow", "flex-template", "build"): {"--project", "--image", "--sdk-language", "--metadata-file"},
    ("dataflow", "flex-template", "run"): {
        *("--project", "--region", "--template-file-gcs-location", "--service-account-email", "--temp-location"),
        *("--staging-location", "--worker-machine-type", "--num-workers", "--max-workers", "--parameters"),
    },
}
"""Those flags of https://cloud.google.com/sdk/gcloud/reference that have been looked up there."""


# Commands to paste


def blocks(page: str) -> list[str]:
    """Returns the commands of a page that can be pasted, from above."""
    found = [code for _, code in snippets(page, "sh paste")]
    assert found, page
    return found


def commands(page: str) -> Iterator[list[str]]:
    """Yields the words of each command of a page, variables as they are written; what a pipe connects are several."""
    for code in blocks(page):
        for line in code.replace("\\\n", " ").splitlines():
            for part in re.split(r"(?<=\s)\|(?=\s)", line):
                if words := shlex.split(part, comments=True):
                    yield words


def options_of(words: list[str]) -> dict[str, list[str]]:
    """Returns the options that are given as `--name=value`, or alone."""
    made: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            name, _, value = word.partition("=")
            made.setdefault(name, []).append(value)
    return made


def unknown_to_beam(arguments: list[str]) -> list[str]:
    """Returns arguments that are no options of Beam's; a value that is not allowed is a UsageError."""
    parser = Parser()
    for kind in PipelineOptions.__subclasses__():
        if kind.__module__.startswith("apache_beam."):
            kind._add_argparse_args(parser)  # type: ignore[arg-type]
    return parser.parse_known_args(arguments)[1]


def unknown_of_a_run(words: list[str]) -> list[str]:
    """Returns the options of a `seqcols run` that neither it nor Beam knows."""
    assert words[:2] == ["seqcols", "run"]
    asked, beam_args = split(words[3:])
    assert words[2].startswith("gs://") and asked["inputs"] and asked["output"]
    return unknown_to_beam(beam_args)


@pytest.mark.parametrize("page", PAGES)
def test_the_shell_can_read_what_is_pasted(page):
    for code in blocks(page):
        done = subprocess.run(["bash", "-n"], input=code, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_a_variable_is_set_before_it_is_used(page):
    known: set[str] = set()
    for line in "".join(blocks(page)).splitlines():
        used = re.findall(r"(?<!\\)\$\{?([A-Z_]+)", line)
        assert set(used) <= known, line
        known |= set(re.findall(r"^export ([A-Z_]+)=", line))


@pytest.mark.parametrize("page", PAGES)
def test_runs_have_options_that_exist(page):
    runs = [words for words in commands(page) if words[0] == "seqcols"]
    assert runs or page == "deploy/flink/README.md"  # its run is in job.yaml
    for words in runs:
        assert unknown_of_a_run(words) == []


def test_an_option_that_does_not_exist_is_found():
    words = ["seqcols", "run", "gs://b/c", "--input", "gs://b/i", "--output", "gs://b/o", "--max_num_worker=3"]
    assert unknown_of_a_run(words) == ["--max_num_worker=3"]


def test_gcloud_has_options_that_exist_and_parameters_of_the_template():
    parameters = {parameter["name"] for parameter in metadata()["parameters"]}
    seen = set()
    for words in commands(DATAFLOW):
        if words[0] != "gcloud":
            continue
        (verb,) = (verb for verb in GCLOUD if tuple(words[1 : 1 + len(verb)]) == verb)
        seen.add(verb)
        given = options_of(words)
        assert given.keys() <= GCLOUD[verb], verb
        for pair in ",".join(given.get("--parameters", [])).split(","):
            name, _, value = pair.partition("=")
            assert not name or name in parameters or unknown_to_beam([f"--{name}={value}"]) == [], name
    assert seen == GCLOUD.keys()


@pytest.mark.parametrize("page", [DATAFLOW, "deploy/flink/README.md"])
def test_docker_builds_a_stage_that_the_dockerfile_has(page):
    stages = set(re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.MULTILINE))
    (build,) = (words for words in commands(page) if words[:2] == ["docker", "build"])
    assert build[build.index("--target") + 1] in stages
    assert (ROOT / build[build.index("-f") + 1]).is_file() and build[-1] == "."


def test_terraform_gets_its_variables():
    declared = dict(re.findall(r'^variable "(\w+)" \{(.*?)^\}', TERRAFORM, re.M | re.S))
    (apply,) = (words for words in commands(DATAFLOW) if words[0] == "terraform" and "apply" in words)
    given = {word.partition("=")[0] for before, word in itertools.pairwise(apply) if before == "-var"}
    assert given <= declared.keys()
    assert {name for name, body in declared.items() if "default" not in body} <= given


def test_the_rights_on_the_page_are_those_that_are_granted():
    table = TEXTS[DATAFLOW].split("\n## Rights\n")[1].split("\n## ")[0]
    granted = re.findall(r'^  role += "(roles/[\w.]+)"$', TERRAFORM, re.MULTILINE)
    assert len(granted) == len(re.findall(r'^resource "\w+_iam_member"', TERRAFORM, re.MULTILINE))
    assert sorted(re.findall(r"^\|[^|]*\| `(roles/[\w.]+)` \|", table, re.MULTILINE)) == sorted(granted)


# Images


def pinned(package: str) -> str:
    """Returns the version of a package in the lock."""
    found = re.search(rf"^{re.escape(package)}==([\w.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert found, package
    return found[1]


def test_images_of_beam_are_those_of_the_lock():
    beam = pinned("apache-beam")
    (default,) = re.findall(r"^ARG SDK_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert default == f"apache/beam_python3.11_sdk:{beam}"
    (launcher,) = re.findall(r"^ARG LAUNCHER_IMAGE=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert f"`{default}`" in TEXTS[DATAFLOW] and f"`{launcher}`" in TEXTS[DATAFLOW]
    named = re.findall(
        r"apache/beam_[\w.]+:([\d.]+)", "".join(TEXTS.values()) + (DEPLOY / "flink/kubernetes.yaml").read_text()
    )
    assert len(named) >= 2 and set(named) == {beam}


def environment(stage: str) -> dict[str, str]:
    """Returns the variables that a stage of the Dockerfile sets."""
    own = DOCKERFILE.split(f" AS {stage}\n")[1].split("\nFROM ")[0]
    return dict(
        pair.split("=", 1) for line in re.findall(r"^ENV (.*)$", own, re.MULTILINE) for pair in shlex.split(line)
    )


ANOTHER_MACHINE = """
import runpy
import llvmlite.binding
import numba.core.codegen
llvmlite.binding.get_host_cpu_name = lambda: "znver4"
numba.core.codegen.get_host_cpu_features = lambda: "+sse4.2"
runpy.run_module("pipeline.compile_kernels", run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_kernels_of_an_image_serve_another_machine(tmp_path):
    """The Dockerfile's own steps, after the lock's packages: they are this environment's."""
    steps = DOCKERFILE.split(" AS seqcols\n")[1].split("\nFROM ")[0]
    (context := tmp_path / "context").mkdir()
    for names in re.findall(r"^COPY (.+) \S+$", steps, re.MULTILINE):
        for name in names.split():
            copy: Any = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, context / name)
    install, compile_them = re.findall(r"^RUN (?!pip install .* -r )(.+)$", steps, re.MULTILINE)
    assert install == "pip install --no-cache-dir --no-deps --no-build-isolation ."
    site, cache = tmp_path / "site", tmp_path / "cache"
    pip = [sys.executable, "-m", *shlex.split(install), "--quiet", "--no-index", "--target", str(site)]
    subprocess.run(pip, cwd=context, check=True, capture_output=True)

    own = environment("seqcols")
    assert compile_them.endswith(f"chmod -R a+rwX {own['NUMBA_CACHE_DIR']}")
    module = re.search(r"python -m (\S+)", compile_them)
    assert module
    image = {**os.environ, **own, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(site)}
    image.pop("NUMBA_DISABLE_JIT", None)
    run: Any = {"cwd": "/", "env": image, "capture_output": True}
    subprocess.run([sys.executable, "-m", module[1]], check=True, **run)
    compiled = {path: path.stat().st_mtime_ns for path in cache.rglob("*.nb?")}
    assert len(compiled) > 50
    subprocess.run([sys.executable, "-c", ANOTHER_MACHINE], check=True, **run)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.nb?")} == compiled


# Flink on Kubernetes


def manifests(name: str) -> list[dict[str, Any]]:
    """Returns the objects of a manifest."""
    return list(YAML(typ="safe", pure=True).load_all((DEPLOY / "flink" / name).read_text(encoding="utf-8")))


def containers(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns the containers of all pods, by name."""
    pods = [one["spec"]["template"]["spec"] for one in objects if "template" in one.get("spec", {})]
    return {one["name"]: one for pod in pods for one in pod["containers"]}


def test_flink_has_the_settings_that_the_tested_cluster_needs():
    (given,) = (one["data"]["properties"] for one in manifests("kubernetes.yaml") if one["kind"] == "ConfigMap")
    pairs = dict(line.split(": ", 1) for line in given.splitlines())
    filled = cluster._CONFIG.format(rpc=0, rest=0, slots=cluster.SLOTS, parallelism=cluster.TASK_MANAGERS, folder="")
    tested = dict(line.split(": ", 1) for line in filled.splitlines() if not line.startswith("#"))
    assert pairs.pop("jobmanager.rpc.address") == "flink-jobmanager"
    assert pairs == {key: tested[key] for key in pairs}
    assert {key for key in tested if key.startswith(("taskmanager.memory.", "restart-strategy."))} <= pairs.keys()


def test_services_reach_pods_at_ports_that_they_have():
    objects = manifests("kubernetes.yaml")
    pods = [one["spec"]["template"] for one in objects if one["kind"] == "Deployment"]
    for one in objects:
        if one["kind"] == "Deployment":
            assert one["spec"]["selector"]["matchLabels"] == one["spec"]["template"]["metadata"]["labels"]
        if one["kind"] == "Service":
            (pod,) = (pod for pod in pods if pod["metadata"]["labels"] == one["spec"]["selector"])
            open_there = {port["containerPort"] for own in pod["spec"]["containers"] for port in own["ports"]}
            assert {port["port"] for port in one["spec"]["ports"]} == open_there
    accounts = {one["metadata"]["name"] for one in objects if one["kind"] == "ServiceAccount"}
    assert {pod["spec"]["serviceAccountName"] for pod in pods} == accounts


def test_a_task_manager_has_the_pool_beside_it_that_the_job_asks_for():
    objects = manifests("kubernetes.yaml")
    pool = containers(objects)["workers"]
    (port,) = (one["containerPort"] for one in pool["ports"])
    command = json.loads(re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[0])
    assert command[-1] == f"--service_port={port}"
    (deployment,) = (one for one in objects if one["metadata"]["name"] == "flink-taskmanager")
    run = containers(manifests("job.yaml"))["run"]
    given = options_of(run["args"])
    assert given["--environment_config"] == [f"localhost:{port}"]
    assert int(given["--parallelism"][0]) <= deployment["spec"]["replicas"] * cluster.SLOTS
    assert pool["image"] == run["image"] == "${IMAGE}"
    services = {
        f"{one['metadata']['name']}:{port['port']}"
        for one in objects
        if one["kind"] == "Service"
        for port in one["spec"]["ports"]
    }
    assert {*given["--job_endpoint"], *given["--artifact_endpoint"]} <= services
    server = options_of(containers(objects)["jobserver"]["args"])
    assert set(server["--flink-master"]) <= services
    assert given["--job_endpoint"][0].endswith(f":{server['--job-port'][0]}")
    assert given["--artifact_endpoint"][0].endswith(f":{server['--artifact-port'][0]}")


def test_the_job_has_the_options_of_the_tested_cluster(tmp_path):
    args = containers(manifests("job.yaml"))["run"]["args"]
    assert unknown_of_a_run(args) == []
    tested = options_of(cluster.Cluster(tmp_path).options)
    assert tested.keys() <= options_of(args).keys()
    for name in ("--runner", "--environment_type", "--environment_cache_millis"):
        assert options_of(args)[name] == tested[name]


def test_all_that_a_manifest_leaves_open_is_put_in():
    text = "".join((DEPLOY / "flink" / name).read_text(encoding="utf-8") for name in ("kubernetes.yaml", "job.yaml"))
    put_in = "".join(code for code in blocks("deploy/flink/README.md"))
    left = {name for name in re.findall(r"^[^#\n]*?\$\{(\w+)\}", text, re.MULTILINE)}
    assert left == set(re.findall(r"\\\$\{(\w+)\}\|", put_in))
