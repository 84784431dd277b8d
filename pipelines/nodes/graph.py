"""The graph of nodes while it is made."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines import steps
from pipelines.conditions import Comparison
from pipelines.steps import Step

Steps = Mapping[type[Step], Step]


@dataclass
class Graph:
    """The nodes made so far, and the channels that later nodes read."""

    steps: Steps
    nodes: list[Any] = field(default_factory=list)
    channels: dict[str, Any] = field(default_factory=dict)
    """Output channel by our name: examples, statistics, schema, model, ..."""
    gate: Any = None
    """The node that has to succeed before models are trained."""
    sheet: Any = None
    """The node that shows the captions."""

    def add(self, node: Any, node_id: str, **outputs: str) -> None:
        """Keeps a node; `outputs` says which of its outputs goes under which of our names."""
        self.nodes.append(node.with_id(node_id))
        self.channels.update({ours: node.outputs[theirs] for ours, theirs in outputs.items()})

    def predicate(self, comparison: Comparison) -> Any:
        """TFX's predicate on what an earlier node has published.

        A property that is not there would be unequal to everything, without a word. The first half
        holds for every number, or text, and for nothing else: TFX cannot even compare it then. One
        predicate, because several are evaluated in any order, up to the first that is false.
        """
        from tfx.dsl.placeholder.placeholder import logical_and

        published = self.channels[comparison.output].future()[0]
        found = published.custom_property(comparison.property)
        least = "" if isinstance(comparison.value, str) else -sys.float_info.max
        return logical_and(found >= least, comparison.compare(found, comparison.value))

    @property
    def push_directory(self) -> str:
        """Where versions are pushed to; empty: nowhere."""
        push = self.steps.get(steps.PushTo)
        return push.directory if isinstance(push, steps.PushTo) else ""

    @property
    def compares_with_pushed(self) -> bool:
        """Whether captions have to be as good as those of the pushed version."""
        evaluate = self.steps.get(steps.EvaluateCaptions)
        if not isinstance(evaluate, steps.EvaluateCaptions) or not self.push_directory:
            return False
        return any("max_drop" in b for b in evaluate.options.get("thresholds", {}).values())
