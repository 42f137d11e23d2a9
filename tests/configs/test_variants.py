"""Tests of the argument behind the colon of `--config`."""

import pytest

from configs import variants


def parse(text):
    return variants.parse_variant(
        text,
        choices={"target": ("u1", "u2"), "flow": ("planar",)},
        positive_ints=("K",),
        switches=("runlocal",),
    )


def test_parses_every_kind_of_item():
    assert parse("target=u2,flow=planar,K=12,runlocal") == {
        "target": "u2",
        "flow": "planar",
        "K": 12,
        "runlocal": True,
    }


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_argument_means_no_settings(nothing):
    assert parse(nothing) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target=u9", "`target` must be one of u1, u2; got 'u9'"),
        ("flow=", "`flow` must be one of planar; got ''"),
        ("K=0", "`K` must be a positive integer; got '0'"),
        ("K=-3", "`K` must be a positive integer; got '-3'"),
        ("K=1.5", "`K` must be a positive integer; got '1.5'"),
        ("K=", "`K` must be a positive integer; got ''"),
        ("K=2,K=3", "`K` must be given once"),
        ("targt=u1", r"target=u1\|u2, flow=planar, .*runlocal; got 'targt=u1'"),
        ("runlocal=1", "one of .*; got 'runlocal=1'"),
        ("target", "one of .*; got 'target'"),
        ("target=u1,", "one of .*; got ''"),
    ],
)
def test_bad_item_is_refused_and_the_known_are_listed(text, message):
    with pytest.raises(ValueError, match=message):
        parse(text)
