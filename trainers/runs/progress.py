"""The bar of a training, which says what it waits for."""

import tqdm
from absl import logging

__all__ = ["StepBar"]


class StepBar(tqdm.tqdm):
    """A bar of optimizer steps; quiet where there is no terminal.

    Until the first `update` it says that the step is being compiled, which can
    take half a minute; where there is no terminal, the log does.
    """

    def __init__(
        self, total: int, first_step: int, *, jit_compile: bool
    ) -> None:
        """Shows the bar.

        Args:
          total: the last step.
          first_step: the number of steps that were taken before.
          jit_compile: whether XLA compiles the step.
        """
        what = "compiling with XLA" if jit_compile else "compiling"
        self._is_compiling = first_step < total
        super().__init__(
            desc=what if self._is_compiling else None,
            total=total,
            initial=first_step,
            unit="step",
            disable=None,
        )
        if self.disable and self._is_compiling:
            logging.info("The training step: %s.", what)

    def update(self, n: float | None = 1) -> bool | None:
        """Counts `n` steps that were taken."""
        if self._is_compiling:
            self._is_compiling = False
            self.set_description(None, refresh=False)
        return super().update(n)
