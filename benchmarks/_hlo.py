"""What XLA's text of a program says: its size, and what no TPU would take."""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple

__all__ = ["Instruction", "instructions", "products", "unfit"]

_LINE = re.compile(
    r"^\s+(?:ROOT )?%?[\w.\-]+ = (.*?) ([a-z][\w\-]*)\((.*)$", re.MULTILINE
)
_FLOAT64 = re.compile(r"\bf64\[([^\]]*)\]")
_TARGET = re.compile(r'custom_call_target="([^"]*)"')
# Of XLA itself: how large a number can be, and that it may vary.
_MARKS = ("SetBound",)
_PRODUCTS = ("dot", "convolution")
_TRANSFERS = ("infeed", "outfeed", "recv", "send")


class Instruction(NamedTuple):
    """One line of a program.

    Attributes:
      shape: of the result, such as "f32[9,16]{1,0}"; several, of a tuple.
      opcode: such as "dot".
      rest: operands and attributes.
    """

    shape: str
    opcode: str
    rest: str


def instructions(text: str) -> list[Instruction]:
    """The instructions of all computations of a module."""
    return [Instruction(*found.groups()) for found in _LINE.finditer(text)]


def products(program: Collection[Instruction]) -> dict[str, int]:
    """How many matrix products and convolutions ask for which precision.

    A TPU computes those at "default" from numbers of 8 bits of mantissa, those
    at "highest" from six products of such.
    """
    counts: Counter[str] = Counter()
    for instruction in program:
        if instruction.opcode in _PRODUCTS:
            asked = re.search(r"operand_precision={(\w+)", instruction.rest)
            counts[asked[1] if asked else "default"] += 1
    return dict(sorted(counts.items()))


def unfit(
    program: Collection[Instruction],
    *,
    float64_shapes: Collection[str] = (),
    is_bounded: bool = False,
) -> list[str]:
    """What a TPU would refuse or wait for, and float64 that ought not to be.

    Args:
      program: as TensorFlow lowered it.
      float64_shapes: of the values that may be of float64, such as "9,16".
      is_bounded: whether sizes may be known by no more than their bound.

    Returns:
      A sentence for each kind of fault, with the times it was found.
    """
    counts = Counter(
        fault
        for instruction in program
        for fault in _faults(instruction, float64_shapes, is_bounded)
    )
    return [f"{fault} ({count})" for fault, count in sorted(counts.items())]


def _faults(
    instruction: Instruction, float64_shapes: Collection[str], is_bounded: bool
) -> Iterator[str]:
    shape, opcode, rest = instruction
    # TensorFlow has the same kernels for a TPU as for a CPU, but for this type.
    if "c128[" in shape:
        yield f"complex128, of {opcode}"
    for size in _FLOAT64.findall(shape):
        if size not in float64_shapes:
            yield f"float64 [{size}], of {opcode}"
    if "<=" in shape and not is_bounded:
        yield f"a size that is not known, of {opcode}"
    if opcode in _TRANSFERS:
        yield f"a transfer to or from the host, {opcode}"
    if opcode == "custom-call":
        target = _TARGET.search(rest)
        if target and target[1] not in _MARKS:
            yield f"a call of what XLA does not know, {target[1]}"
