"""The docs against the code: examples run, links resolve, and nothing that users can name is left out."""

from __future__ import annotations

import doctest
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from pipeline.columns_file.reader import loads
from pipeline.command.commands import cli
from pipeline.command.demo import make_sample
from tests.faults.run import LOOPS, MARKS, Result, written
from tests.jobs import call
from tests.marks import slow_but
from transforms.columns import TYPES
from transforms.groups import SequenceGroup
from transforms.normalizers import TYPES as NORMALIZERS
from transforms.rows.reasons import EXPLANATIONS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
PAGES += sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
TEXTS = dict(zip(NAMES, (page.read_text(encoding="utf-8") for page in PAGES), strict=True))

FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def snippets(name: str, info: str) -> list[tuple[int, str]]:
    """Returns the fenced code of one kind on a page, each with the line it begins in."""
    text = TEXTS[name]
    found = [match for match in FENCE.finditer(text) if match["info"] == info]
    return [(text.count("\n", 0, match.start("code")) + 1, match["code"]) for match in found]


def prose(name: str) -> str:
    """Returns a page without fenced code."""
    return FENCE.sub("", TEXTS[name])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory in which `make demo` was run, as the current one."""
    from pipeline import Request, load, run

    folder, before = tmp_path_factory.mktemp("docs"), Path.cwd()
    os.chdir(folder)
    try:
        columns, inputs, output = make_sample("build/demo")
        assert run(Request(load(columns), [inputs], output)).status == "done"
        yield folder
    finally:
        os.chdir(before)


RUN = [name for name in NAMES if snippets(name, "python run") or snippets(name, "sh run")]


@pytest.mark.parametrize("name", slow_but(RUN))
@pytest.mark.usefixtures("command_line")
def test_python_and_commands_run(name: str, demo: Path):
    """All of a page, from above."""
    namespace: dict[str, object] = {"__name__": "docs"}
    python, commands = (snippets(name, info) for info in ("python run", "sh run"))
    for line, code in sorted([*python, *commands]):
        if (line, code) in commands:
            run_commands(code)
        else:
            exec(compile("\n" * (line - 1) + code, name, "exec"), namespace)


def run_commands(code: str) -> None:
    """Runs lines of a shell: `seqcols` and its arguments, each of which must end well."""
    for line in code.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "seqcols", line
        done = call(*arguments)
        assert done.exit_code == 0, (line, done.output)


@pytest.mark.parametrize("name", [name for name in NAMES if snippets(name, "pycon run")])
def test_examples_give_what_they_show(name: str, demo: Path, capsys: pytest.CaptureFixture[str]):
    namespace: dict[str, object] = {}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    for line, code in snippets(name, "pycon run"):
        test = doctest.DocTestParser().get_doctest(code, namespace, name, name, line - 1)
        runner.run(test, clear_globs=False)
        namespace = test.globs  # a DocTest copies what it is given
    assert runner.summarize(verbose=False).failed == 0, capsys.readouterr().out


@pytest.mark.usefixtures("command_line")
def test_the_client_gets_what_the_job_wrote(demo: Path):
    """The client of docs/serving.md, from a server on this machine that goes by the rules of TensorFlow Serving."""
    import numpy as np
    import tensorflow as tf

    from pipeline.dataset.manifest import read
    from tests import rest
    from tests.jobs import arrays_of

    assert call("export", "build/demo/output", "build/demo/client/1", "--without", "subscribed").exit_code == 0
    ((_, code),) = snippets("docs/serving.md", "python client")
    namespace: dict[str, Any] = {}
    rows, viewers = [], []
    for record in tf.data.TFRecordDataset("build/demo/input/viewers-00000-of-00002.tfrecord").take(40):
        found = tf.train.Example.FromString(record.numpy()).features.feature
        watched = list(found["watched"].float_list.value)
        rows.append(
            {
                "videos": list(found["videos"].int64_list.value),
                "watched": [watched[k : k + 2] for k in range(0, len(watched), 2)],
                "temperature": list(found["temperature"].float_list.value),
            }
        )
        viewers.append(found["viewer"].bytes_list.value[0])
    with rest.serving(watch=rest.Model("build/demo/client/1")) as address:
        exec(code.replace("http://models:8501/v1/models", address), namespace)
        together = namespace["ask"](rows)
        alone = [namespace["ask"]([row])[0] for row in rows[:3]]
    assert alone == together[:3]
    written = arrays_of(read("build/demo/output"))
    place = {viewer: k for k, viewer in enumerate(written["viewer"])}
    assert sum(viewer in place for viewer in viewers) > 30
    for made, viewer in zip(together, viewers, strict=True):
        assert made["__valid__"] == (viewer in place)
        for name, array in written.items():
            if viewer in place and name not in ("viewer", "subscribed"):
                assert np.array_equal(np.array(made[name], array.dtype), array[place[viewer]], equal_nan=True), name


def test_no_snippet_is_marked_by_mistake():
    known = {"", "yaml", "yaml pipeline", "python run", "python client", "pycon run", "sh run", "sh paste", "mermaid"}
    infos = {match["info"] for text in TEXTS.values() for match in FENCE.finditer(text)}
    assert {
        re.sub(r"^(python file|text line) .*", "", info) for info in infos
    } <= known  # those are of tests/test_contributing.py; what can be pasted, of tests/test_deploy.py
    assert sum(text.count("```") for text in TEXTS.values()) == 2 * sum(
        len(FENCE.findall(text)) for text in TEXTS.values()
    )


@pytest.mark.parametrize("name", [name for name in NAMES if snippets(name, "yaml")])
def test_columns_files_load(name: str):
    for _, code in snippets(name, "yaml"):
        assert loads(code).columns


def anchors(text: str) -> set[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", NAMES)
def test_links_resolve(name: str):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(name)):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        path = (ROOT / name).parent / target if target else ROOT / name
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), link


def section(name: str, heading: str) -> str:
    """Returns what stands under a heading, as far as the next of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    after = TEXTS[name].split(f"\n{heading}\n")[1]
    return re.split(rf"^#{{1,{level}}} ", after, flags=re.MULTILINE)[0]


def test_every_reason_is_explained():
    table = [row for row in section("docs/rejections.md", "## Reasons").splitlines() if row.startswith("| `")]
    told = EXPLANATIONS.items()
    assert table == [f"| `{code}` | {one.meaning} | {one.example} | {one.remedy} |" for code, one in told]


@pytest.mark.parametrize("kind", TYPES)
def test_every_argument_of_a_column_is_explained(kind: str):
    own = section("docs/columns.md", f"## {kind}")
    common = section("docs/columns.md", "## Arguments of every column")
    for argument in TYPES[kind].model_fields:
        assert f"`{argument}`" in (common if argument == "type" else own + common), argument


def test_every_argument_of_groups_and_normalizers_is_explained():
    groups = section("docs/columns.md", "## Sequence groups")
    assert all(f"| `{argument}` |" in groups for argument in SequenceGroup.model_fields)
    normalizers = section("docs/columns.md", "### normalizer_fn")
    assert all(name in normalizers for name in NORMALIZERS)


def test_every_column_and_argument_of_tensorflow_is_explained():
    import inspect

    import tensorflow as tf

    table = section("docs/migrating.md", "## TensorFlow's columns")
    for name in dir(tf.feature_column):
        if name.startswith("_"):
            continue
        row = re.sub(r"^categorical_column_with_.*", "categorical_column_with_*", name)
        assert f"| `{row}` |" in table, name
        for argument in inspect.signature(getattr(tf.feature_column, name)).parameters:
            assert f"`{argument}`" in table or name == "crossed_column", (name, argument)


def options(command: click.Command) -> set[str]:
    """Returns the names of a command's options."""
    return {name for param in command.params if isinstance(param, click.Option) for name in param.opts}


def test_every_command_and_option_is_explained():
    line = TEXTS["docs/command-line.md"]
    for name, command in cli.commands.items():
        assert f"seqcols {name}" in line, name
        for option in options(command):
            assert f"`{option}`" in line, option


def test_exit_codes_are_those_of_the_command():
    from pipeline.command import exits as module
    from pipeline.stopping import INTERRUPTED

    codes = re.search(r"Exit codes: (.*?)\.\n", TEXTS["docs/command-line.md"], re.DOTALL)
    assert codes is not None
    stated = [int(code) for code in re.findall(r"(?:^|, )(\d+) ", " ".join(codes[1].split()))]
    wanted = [module.OK, module.FAILED, module.WRONG_USE, module.TOO_MANY_REJECTED, module.DRIFTED, INTERRUPTED]
    assert stated == wanted


@pytest.mark.parametrize("path", [*PAGES, *sorted((ROOT / "docs/examples").glob("*.py"))], ids=lambda path: path.name)
def test_users_import_from_seqcols(path: Path):
    """In all that is shown: other modules only for what is not public in seqcols."""
    assert not re.search(r"^(>>> )?from (pipeline|pipeline\.loaders|transforms) import", path.read_text(), re.MULTILINE)


def test_the_readme_is_read_in_ten_minutes():
    assert TEXTS["README.md"].count("\n") <= 200


def test_the_demo_is_the_one_shown():
    """The figures of the README's demo are those that the sample has."""
    from pipeline.command.demo import BAD_EVERY, ROWS

    text = TEXTS["README.md"]
    assert f"{ROWS:,} watch histories" in text
    assert f"one row in {BAD_EVERY} spoilt" in " ".join(text.split())


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_this_machine(name: str):
    text = TEXTS[name].replace("localhost:50000", "")  # a pool of workers, beside each task manager
    assert not re.search(r"(?<![\w.])/(?:home|work|root|tmp|Users|var|opt)/", text)
    assert not re.search(r"pypi\.org|index-url|files\.pythonhosted|localhost|\b\d{1,3}(?:\.\d{1,3}){3}\b", text)
    assert "shared/" not in text


def test_the_demo_prints_what_the_readme_shows(demo: Path):
    import json

    from pipeline.command import summary

    ledger = json.loads(Path("build/demo/output/ledger.json").read_text())
    assert "\n".join(summary._columns(ledger)) in TEXTS["README.md"]


def test_the_plan_is_the_one_shown(demo: Path):
    from pipeline import Request, load, plan
    from pipeline.planning.summary import lines

    made = lines(plan(Request(load("build/demo/columns.yaml"), ["build/demo/input/*.tfrecord"])))
    shown = "\n".join(made).split("\n\nsequence group 'room'")[0]
    assert f"\n{shown}\n```" in TEXTS["docs/lengths.md"]


def test_every_loop_of_faults_has_its_row():
    """`make faults ARGS=--write` writes them; a loop that was added since has a row that says that it was not run."""
    written = TEXTS["docs/faults.md"].split(MARKS[0])[1].split(MARKS[1])[0].strip().splitlines()[2:]
    rows = [row.strip("| ").split(" | ") for row in written]
    assert [row[:2] for row in rows] == [[loop.fault, loop.happens] for loop in LOOPS]
    assert [row for row in rows if not re.search(r" [\d,]+\b|not run at full figures", row[2])] == []


def test_figures_of_a_loop_take_the_place_of_its_own_alone():
    page = TEXTS["docs/faults.md"]
    assert written(page, {}) == page
    result = Result()
    result.add([{"fault": "x", "trials": 12345, "lost": 0}])
    before, after = page.splitlines(), written(page, {2: result}).splitlines()
    (changed,) = [new for old, new in zip(before, after, strict=True) if old != new]
    assert changed == f"| {LOOPS[2].fault} | {LOOPS[2].happens} | trials 12,345, lost 0 |"
