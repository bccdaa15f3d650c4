"""What Beam is told of DoFns and options without being asked again is what it finds out by itself."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.options.pipeline_options import PipelineOptions, SetupOptions, StandardOptions
from apache_beam.transforms import userstate
from apache_beam.transforms.core import CallableWrapperDoFn

from pipeline.command import quick_beam

STATE = userstate.CombiningValueStateSpec("sum", VarIntCoder(), sum)
PARAMETER = beam.DoFn.StateParam(STATE)
quick_beam.remember()


class Summing(beam.DoFn):
    def process(self, element: Any, total: Any = PARAMETER) -> Any:
        total.add(element[1])
        yield total.read()


class Plain(beam.DoFn):
    def process(self, element: Any) -> Any:
        yield element


class Elsewhere:
    def with_state(self, element: Any, total: Any = PARAMETER) -> Any:
        return total


@pytest.mark.parametrize("times", [1, 2])
def test_state_is_seen_however_often_it_is_asked_for(times):
    for _ in range(times):
        assert userstate.get_dofn_specs(Plain()) == (set(), set())
        assert userstate.get_dofn_specs(Summing()) == ({STATE}, set())
        assert userstate.get_dofn_specs(CallableWrapperDoFn(len)) == (set(), set())
        assert userstate.get_dofn_specs(CallableWrapperDoFn(lambda x: x)) == (set(), set())
        assert userstate.get_dofn_specs(CallableWrapperDoFn(Elsewhere().with_state)) == ({STATE}, set())
        assert not userstate.is_stateful_dofn(Plain()) and userstate.is_stateful_dofn(Summing())


def test_views_of_options_share_what_was_set_and_nothing_else():
    one, other = PipelineOptions(["--streaming", "--runner=X"]), PipelineOptions(["--runner=Y"])
    assert one.view_as(StandardOptions).streaming and not other.view_as(StandardOptions).streaming
    assert (one.view_as(StandardOptions).runner, other.view_as(StandardOptions).runner) == ("X", "Y")
    one.view_as(StandardOptions).runner = "Z"
    one.view_as(SetupOptions).save_main_session = True
    assert one.view_as(StandardOptions).runner == "Z" and one.view_as(SetupOptions).save_main_session
    assert other.view_as(StandardOptions).runner == "Y" and not other.view_as(SetupOptions).save_main_session
    assert PipelineOptions(["--runner=X"]).view_as(StandardOptions).runner == "X"
    assert one.get_all_options()["runner"] == "Z"
