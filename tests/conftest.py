"""What every test shares: a quiet TensorFlow, seeded Hypothesis, and the real data where a machine has it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pipeline.stopping import SIGNALS

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

# derandomize: the same examples in every run, so that a red test is red for everyone. No deadline: the first call of a
# TensorFlow kernel takes as long as a hundred later ones.
settings.register_profile(
    "seqcols",
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("seqcols")

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
    monkeypatch.setattr("pipeline.temporary.begin", lambda: None)  # its folder goes when the process ends
    path, handlers = list(sys.path), {number: signal.getsignal(number) for number in SIGNALS}
    environment = dict(os.environ)
    yield
    sys.path[:] = path
    for number, handler in handlers.items():
        signal.signal(number, handler)
    os.environ.clear()
    os.environ.update(environment)
