"""What every test shares: a quiet TensorFlow, seeded Hypothesis, and the real data where a machine has it."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pipeline.stopping import SIGNALS
from tests import marks, touched

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def pytest_configure(config: pytest.Config) -> None:
    """Notes what the tests touch, and says how many examples property tests try: all of them only beside the slow tests."""
    config.pluginmanager.register(touched.Recorder(), "touched")
    if "not slow" in config.option.markexpr:
        marks.EXAMPLES["share"] = 0.15
    # derandomize: the same examples in every run, so that a red test is red for everyone. No deadline: the first call of a
    # TensorFlow kernel takes as long as a hundred later ones.
    settings.register_profile(
        "seqcols",
        derandomize=True,
        deadline=None,
        max_examples=marks.tried(60),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    settings.load_profile("seqcols")


def pytest_collection_finish() -> None:
    """Makes the hundreds of jobs in a process cheaper, once the test modules have imported all that they need."""
    if "apache_beam" in sys.modules:  # not in the first process of several
        from pipeline.command import quick_beam

        quick_beam.remember()
        # TensorFlow and Beam are a million objects that stay: a full collection, which looks at them all, takes a second.
        gc.collect()
        gc.freeze()


DATA_VARIABLE = "SEQCOLS_TEST_DATA"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The directory of real data sets, or a skip that says what is missing."""
    named = os.environ.get(DATA_VARIABLE)
    if not named:
        pytest.skip(f"{DATA_VARIABLE} is not set: it names the directory of real data sets (commits/, vowels/)")
    directory = Path(named)
    if not directory.is_dir():
        pytest.skip(f"{DATA_VARIABLE}={named} is no directory")
    return directory


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Puts back what the command changes in its process, which is this one where a test calls it."""
    monkeypatch.setattr("pipeline.command.temporary.begin", lambda: None)  # its folder goes when the process ends
    path, handlers = list(sys.path), {number: signal.getsignal(number) for number in SIGNALS}
    environment = dict(os.environ)
    yield
    sys.path[:] = path
    for number, handler in handlers.items():
        signal.signal(number, handler)
    os.environ.clear()
    os.environ.update(environment)
