"""Beam, looked at less often: what it finds out about classes again for every transform of every pipeline is kept.

A tenth of a small job's time goes into asking, 800 times, for the signatures of the same 27,000 methods of DoFn classes, and for
argparse parsers of the same option classes (Beam 2.77). Neither depends on the job. Only a process of our own does without: the
command, and tests. In anybody else's, Beam stays as it is.
"""

from __future__ import annotations

import copy
import sys
from functools import cache
from types import MethodType
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms import userstate


@cache
def remember() -> None:
    """Has this process remember both from now on."""
    _remember_dofn_specs()
    _remember_views()


def _remember_dofn_specs() -> None:
    """Keeps which classes of DoFns have neither state nor timers: all of ours and of tf.Transform's."""
    ask, stateless = userstate.get_dofn_specs, set()

    def remembered(dofn: Any) -> Any:
        """Returns the specs of state and timers of a DoFn, as Beam finds them."""
        if any(isinstance(held, MethodType) for held in vars(dofn).values()):  # its own, and not of its class
            return ask(dofn)
        if type(dofn) in stateless:
            return set(), set()
        found = ask(dofn)
        if not any(found):
            stateless.add(type(dofn))
        return found

    for module in list(sys.modules.values()):
        if getattr(module, "get_dofn_specs", None) is ask:
            vars(module)["get_dofn_specs"] = remembered


def _remember_views() -> None:
    """Keeps what a class of options makes of a command line; values that were set since come from the shared ones, as ever."""
    parsed: dict[Any, Any] = {}

    def view_as(self: Any, cls: Any) -> Any:
        """Returns the options as those of a class, as Beam's own method does."""
        known = (cls, tuple(sys.argv if self._flags is None else self._flags))
        if known not in parsed:
            parsed[known] = cls(self._flags)._visible_options
        view = cls.__new__(cls)
        state = {"_flags": self._flags, "_visible_options": copy.deepcopy(parsed[known])}
        view.__dict__.update(state, _all_options=self._all_options)
        for name in view._visible_option_list():
            self._all_options.setdefault(name, getattr(view._visible_options, name))
        return view

    PipelineOptions.view_as = view_as
