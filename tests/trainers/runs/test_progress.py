"""The bar says that it waits for the compiler, and then no more."""

import io
import sys

import pytest
from absl import logging as absl_logging

from trainers.runs import progress


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def said(caplog):
    absl_logging.set_verbosity(absl_logging.INFO)
    yield lambda: [record.getMessage() for record in caplog.records]
    absl_logging.set_verbosity(absl_logging.WARNING)


def test_on_a_terminal_the_bar_says_it(monkeypatch, said):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.StepBar(10, 0, jit_compile=True) as bar:
        assert "compiling with XLA:   0%" in screen.getvalue()
        screen.truncate(0)
        bar.update(5)
        bar.refresh()
        assert "50%" in screen.getvalue()
        assert "compiling" not in screen.getvalue()
    assert said() == []


def test_without_a_terminal_the_log_says_it(monkeypatch, said):
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    with progress.StepBar(10, 0, jit_compile=False) as bar:
        bar.update(5)
        bar.set_postfix(elbo="-1.00")
    with progress.StepBar(10, 10, jit_compile=True):
        pass  # nothing left to do
    assert file.getvalue() == ""
    assert said() == ["The training step: compiling."]
