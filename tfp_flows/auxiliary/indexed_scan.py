"""K equal steps of a continuously-indexed flow in one rolled loop."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows._tfp import Invert, ps
from tfp_flows.auxiliary.indexed_step import IndexedStep, Member
from tfp_flows.bijectors._scan_members import Members, members
from tfp_flows.math import rolled_loop

__all__ = ["IndexedScan"]

tfb = tfp.bijectors


class IndexedScan(NamedTuple):
    """The K members of a `Scan`, each an `IndexedStep` with an index.

    It has the methods of one step, with all K indices, one behind the other,
    for its u, `[..., K m]`. The graph does not grow with K.

    Attributes:
      members: of the scan.
      make_step: from one member and the slices of the networks' tensors to the
        step; a function of these alone.
      network_tensors: of all networks, `[K, ...]` each.
      num_members: K.
      index_size: m.
      reverse: whether the last member is applied first.
    """

    members: Members
    make_step: Callable[[Member, Sequence[tf.Tensor]], IndexedStep]
    network_tensors: Sequence[tf.Tensor]
    num_members: int
    index_size: int
    reverse: bool = False

    @classmethod
    def of(
        cls,
        bijector: tfb.Bijector,
        make_step: Callable[[Member, Sequence[tf.Tensor]], IndexedStep],
        network_tensors: Sequence[tf.Tensor],
        index_size: int,
    ) -> "IndexedScan":
        """Of a `Scan` of vectors, or of the inverse of one."""
        inverted = isinstance(bijector, Invert)
        inner = members(
            tfb.Invert(bijector.bijector.bijector)
            if inverted
            else bijector.bijector,
            event_ndims=1,
        )
        return cls(
            inner,
            make_step,
            tuple(network_tensors),
            inner.tensors[0].shape[0],
            index_size,
            inverted,
        )

    def unrolled(self) -> list[tuple[int, Member, list[tf.Tensor]]]:
        """Number, map and slices of the networks of each, in order."""
        numbers = range(self.num_members)
        size = len(self.members.tensors)
        stacked = [tf.unstack(tensor) for tensor in self._stacked]
        found = []
        for k in reversed(numbers) if self.reverse else numbers:
            slices = [tensor[k] for tensor in stacked]
            member = Member(self.members, slices[:size])
            found.append((k, member, slices[size:-1]))
        return found

    @property
    def auxiliary_size(self) -> int:
        """K m."""
        return self.num_members * self.index_size

    def forward(
        self, w: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """See `IndexedStep.forward`."""
        return self._run(
            lambda step, w, noise: step.forward(w, noise),
            w,
            noise,
            self.reverse,
        )

    def draw_index(
        self, z: tf.Tensor, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """See `IndexedStep.draw_index`."""
        return self._run(
            lambda step, z, noise: step.draw_index(z, noise),
            z,
            noise,
            not self.reverse,
        )

    def inverse(
        self, z: tf.Tensor, u: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """See `IndexedStep.inverse`."""

        def inverse(step: IndexedStep, z: tf.Tensor, u: tf.Tensor) -> Any:
            w, log_q, log_r = step.inverse(z, u)
            return w, u, log_q, log_r

        w, _, log_q, log_r = self._run(inverse, z, u, not self.reverse)
        return w, log_q, log_r

    def push_gradient(
        self, w: tf.Tensor, u: tf.Tensor, gradient: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """See `IndexedStep.push_gradient`."""
        u = tf.stop_gradient(u)

        def push(
            w: tf.Tensor,
            gradient: tf.Tensor,
            of_u: tf.Tensor,
            slices: Sequence[tf.Tensor],
        ) -> tuple[tf.Tensor, ...]:
            step, place = self._step(slices)
            w, gradient, of_index = step.push_gradient(
                w, place.get(u), gradient
            )
            return w, gradient, place.put(of_u, of_index)

        return rolled_loop.iterate(
            push,
            (w, gradient, tf.zeros_like(u)),
            self._stacked,
            reverse=self.reverse,
        )

    @property
    def _stacked(self) -> tuple[tf.Tensor, ...]:
        places = tf.range(self.num_members)
        return (*self.members.tensors, *self.network_tensors, places)

    def _step(
        self, slices: Sequence[tf.Tensor]
    ) -> tuple[IndexedStep, "_Place"]:
        *slices, place = slices
        size = len(self.members.tensors)
        member = Member(self.members, slices[:size])
        step = self.make_step(member, slices[size:])
        return step, _Place(place, self.num_members, self.index_size)

    def _run(
        self,
        apply: Callable[..., tuple[tf.Tensor, ...]],
        x: tf.Tensor,
        indices: tf.Tensor,
        reverse: bool,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """One state for `rolled_loop.compose`: the point, all u, `log r`."""
        size = x.shape[-1]
        x = tf.broadcast_to(
            x, ps.concat([ps.shape(indices)[:-1], [size]], axis=0)
        )
        sizes = [size, self.auxiliary_size, 1]

        def step(
            state: tf.Tensor, slices: Sequence[tf.Tensor]
        ) -> tuple[tf.Tensor, tf.Tensor]:
            x, indices, log_r = tf.split(state, sizes, axis=-1)
            member, place = self._step(slices)
            x, u, log_q, more = apply(member, x, place.get(indices))
            log_r += more[..., tf.newaxis]
            parts = [x, place.put(indices, u), log_r]
            return tf.concat(parts, axis=-1), log_q

        state, log_q = rolled_loop.compose(
            step,
            tf.concat([x, indices, tf.zeros_like(x[..., :1])], axis=-1),
            ps.shape(x)[:-1],
            self._stacked,
            reverse=reverse,
        )
        x, indices, log_r = tf.split(state, sizes, axis=-1)
        return x, indices, log_q, tf.squeeze(log_r, axis=-1)


class _Place(NamedTuple):
    """Where one of K vectors `[..., m]` is among all, `[..., K m]`."""

    number: tf.Tensor
    num_places: int
    size: int

    def get(self, vectors: tf.Tensor) -> tf.Tensor:
        """That vector."""
        chosen = tf.where(self._is_here, vectors, tf.zeros_like(vectors))
        return tf.add_n(tf.split(chosen, self.num_places, axis=-1))

    def put(self, vectors: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        """All, with another one there."""
        repeated = tf.concat([vector] * self.num_places, axis=-1)
        return tf.where(self._is_here, repeated, vectors)

    @property
    def _is_here(self) -> tf.Tensor:
        places = tf.range(self.num_places * self.size) // self.size
        return tf.equal(places, self.number)
