"""Pictures of a run as files, made without any global plotting state."""

import io

import tensorflow as tf
from matplotlib import figure

__all__ = ["save"]


def save(fig: figure.Figure, path: str, dpi: int) -> None:
    """Writes a figure as a PNG file whose bytes depend on nothing else.

    Args:
      fig: the figure.
      path: where to.
      dpi: pixels per inch.
    """
    buffer = io.BytesIO()
    # No date or software version in the file: equal pictures, equal bytes.
    fig.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(buffer.getvalue())
