"""The networks of a continuously-indexed posterior, and the steps they make."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.auxiliary.indexed_scan import IndexedScan
from tfp_flows.auxiliary.indexed_step import IndexedStep, Member, check_order
from tfp_flows.layers import FlowLayer
from tfp_flows.layers.flow_layer import last_axis
from tfp_flows.posteriors.index_networks import GivenNetworks, StackedNetworks

__all__ = ["CIFNetworks"]

tfb = tfp.bijectors

# By kind of network: the weights of one flow layer's stacks, `[K, ...]`, or
# their slices for one index.
Weights = Mapping[str, Mapping[str, tf.Tensor]]
Steps = list[IndexedStep | IndexedScan]


class CIFNetworks:
    """Three networks for every index: of s and t, of q(u | w), of r(u | z).

    Each kind is either given by the user or a stack of multilayer perceptrons
    for each flow layer. It is no Keras layer: the posterior tracks `stacks` and
    `given_layers` as its own.
    """

    def __init__(
        self,
        latent_size: int,
        auxiliary_size: int,
        flows: Sequence[FlowLayer],
        order: str,
        index_every: str,
        given: Mapping[str, Any],
        **kwargs: Any,
    ) -> None:
        """Makes the networks that are not given, and checks those that are.

        Args:
          latent_size: D.
          auxiliary_size: m.
          flows: the flow layers.
          order: of the steps, see `IndexedStep`.
          index_every: "step" of a flow layer, or "layer".
          given: "scale_and_shift", "auxiliary" and "reverse": a network for all
            indices, a list of them, or None.
          **kwargs: those of `StackedNetworks`.

        Raises:
          TypeError: a given network is no Keras layer.
          ValueError: an argument breaks its rule.
        """
        check_order(order)
        if index_every not in ("step", "layer"):
            raise ValueError(
                f"`index_every` must be 'step' or 'layer'; got {index_every!r}."
            )
        self._auxiliary_size = auxiliary_size
        self._order = order
        self._sizes = {
            "scale_and_shift": (auxiliary_size, latent_size),
            "auxiliary": (latent_size, auxiliary_size),
            "reverse": (latent_size, auxiliary_size),
        }
        self._has_index_a_step = [
            index_every == "step" and flow.is_scan for flow in flows
        ]
        self._num_indices = [
            flow.num_flow_steps if has_index_a_step else 1
            for flow, has_index_a_step in zip(
                flows, self._has_index_a_step, strict=True
            )
        ]
        self.given = {
            name: GivenNetworks.of(
                f"{name}_network", given[name], sum(self._num_indices)
            )
            for name in self._sizes
            if given[name] is not None
        }
        self._stacks = [
            {
                name: StackedNetworks(
                    count, *sizes, name=f"{name}_{i}", **kwargs
                )
                for name, sizes in self._sizes.items()
                if name not in self.given
            }
            for i, count in enumerate(self._num_indices)
        ]

    @property
    def indices_size(self) -> int:
        """How many numbers u_1, ..., u_L have together."""
        return sum(self._num_indices) * self._auxiliary_size

    @property
    def stacks(self) -> list[StackedNetworks]:
        """All stacks, flow layer by flow layer."""
        return [stack for of_flow in self._stacks for stack in of_flow.values()]

    @property
    def given_layers(self) -> list[keras.layers.Layer]:
        """All layers of the user's."""
        return [layer for one in self.given.values() for layer in one.layers]

    def build(self, context_shape: tuple[int | None, ...] | None) -> None:
        """Makes the weights; r takes contexts of that shape, or none.

        Raises:
          ValueError: a given network does not fit.
        """
        for of_flow in self._stacks:
            for name, stack in of_flow.items():
                stack.build(context_shape if name == "reverse" else None)
        context_size = 0
        if context_shape is not None:
            context_size = last_axis("input_shape", context_shape)
        for name, given in self.given.items():
            inputs, outputs = self._sizes[name]
            inputs += context_size if name == "reverse" else 0
            given.build(f"{name}_network", inputs, 2 * outputs)

    def parameters(self, context: tf.Tensor | None) -> dict[str, Any]:
        """The weights of each flow layer's stacks, and what a given r needs."""
        parameters: dict[str, Any] = {
            "stacks": [
                {name: stack.parameters(context) for name, stack in of.items()}
                for of in self._stacks
            ]
        }
        if context is not None and "reverse" in self.given:
            parameters["context"] = tf.convert_to_tensor(context)
        return parameters

    def steps(
        self,
        bijectors: Sequence[tfb.Bijector],
        parameters: Mapping[str, Any],
    ) -> Steps:
        """All steps, the first one to apply first.

        Args:
          bijectors: of the flow layers.
          parameters: as `parameters(context)` returns them.
        """
        context = parameters.get("context")
        steps: Steps = []
        first = 0  # of a layer's indices among all
        for bijector, weights, has_index_a_step, count in zip(
            bijectors,
            parameters["stacks"],
            self._has_index_a_step,
            self._num_indices,
            strict=True,
        ):
            if has_index_a_step:
                steps += self._steps_of_scan(bijector, weights, first, context)
            else:
                slices = tf.nest.map_structure(lambda t: t[0], weights)
                steps.append(self._step(bijector, slices, first, context))
            first += count
        return steps

    def _steps_of_scan(
        self,
        bijector: tfb.Bijector,
        weights: Weights,
        first: int,
        context: tf.Tensor | None,
    ) -> Steps:
        """In one rolled loop, unless an index has a layer of its own."""
        unflatten = functools.partial(tf.nest.pack_sequence_as, weights)

        def make_step(
            member: Member, slices: Sequence[tf.Tensor]
        ) -> IndexedStep:
            return self._step(member, unflatten(slices))

        scan = IndexedScan.of(
            bijector, make_step, tf.nest.flatten(weights), self._auxiliary_size
        )
        if not self.given:
            return [scan]
        return [
            self._step(member, unflatten(slices), first + k, context)
            for k, member, slices in scan.unrolled()
        ]

    def _step(
        self,
        bijector: tfb.Bijector | Member,
        slices: Weights,
        number: int = 0,
        context: tf.Tensor | None = None,
    ) -> IndexedStep:
        """One step: its map, and its networks with their weights."""
        networks: dict[str, Callable[..., Any]] = {}
        for name in self._sizes:
            if name in self.given:
                networks[name] = functools.partial(
                    self.given[name].apply,
                    number,
                    context=context if name == "reverse" else None,
                )
            else:
                # Any layer's stack does: they differ in their weights alone.
                networks[name] = functools.partial(
                    self._stacks[0][name].apply, slices=slices[name]
                )
        return IndexedStep(
            bijector,
            **networks,
            auxiliary_size=self._auxiliary_size,
            order=self._order,
        )

    def get_config(self) -> dict[str, Any]:
        """The given networks, by the names of the posterior's arguments."""
        serialize = keras.saving.serialize_keras_object
        return {
            f"{name}_network": [serialize(layer) for layer in one.layers]
            for name, one in self.given.items()
        }
