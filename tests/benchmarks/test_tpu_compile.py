"""Programs for a TPU: what is seen in their HLO, and that libtpu takes them."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import _hlo, _measure, _tpu_programs
from benchmarks import tpu_compile as benchmark
from benchmarks._tpu_programs import CASES, Case, Program, Sizes
from trainers.report import tpu_compile as report

RECORD = Path(__file__).parents[2] / "results/benchmarks/tpu_compile"
# More than another version of TensorFlow or of libtpu made of them; a Python
# loop over K or D makes far more.
MOST_GROWTH = 1.5
SETTINGS = benchmark.Settings()

HLO = """HloModule m, entry_computation_layout={(f32[2,3]{1,0})->f32[]}

%add.1 (x.1: f32[], y.1: f32[]) -> f32[] {
  %x.1 = f32[] parameter(0)
  %y.1 = f32[] parameter(1)
  ROOT %add.2 = f32[] add(f32[] %x.1, f32[] %y.1)
}

ENTRY %main.9 (arg0.1: f32[2,3]) -> f32[] {
  %arg0.1 = f32[2,3]{1,0} parameter(0)
  %dot.1 = f32[2,2]{1,0} dot(f32[2,3]{1,0} %arg0.1, f32[2,3]{1,0} %arg0.1)
  %dot.2 = f32[2,2]{1,0} dot(%a, %dot.1), operand_precision={highest,highest}
  %pair.1 = (f64[2]{0}, /*index=1*/f32[2,2]{1,0:T(8,128)}) tuple(%a, %dot.2)
  %fft.1 = c128[2]{0} fft(%b), fft_type=FFT, fft_length={2}
  %size.1 = s32[<=8,3]{1,0} set-dimension-size(%c, %d), dimensions={0}
  %call.1 = f32[] custom-call(%e), custom_call_target="xla_python_callback"
  %mark.1 = s32[2]{0} custom-call(%f), custom_call_target="SetBound"
  ROOT %out.1 = token[] outfeed(%g, %h)
}
"""


def test_instructions_and_products_are_counted():
    program = _hlo.instructions(HLO)
    assert len(program) == 12
    assert program[6].opcode == "tuple"
    assert _hlo.products(program) == {"default": 1, "highest": 1}


@pytest.mark.parametrize("tf32", [True, False])
def test_precision_of_products_is_that_asked_for(tf32):
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    try:
        text = _tpu_programs.lower(
            Program(lambda x: tf.matmul(x, x), (tf.zeros([3, 3]),))
        )
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
    precision = "default" if tf32 else "highest"
    assert _hlo.products(_hlo.instructions(text)) == {precision: 1}


def test_what_no_tpu_takes_is_named():
    program = _hlo.instructions(HLO)
    faults = [
        "a call of what XLA does not know, xla_python_callback (1)",
        "a size that is not known, of set-dimension-size (1)",
        "a transfer to or from the host, outfeed (1)",
        "complex128, of fft (1)",
        "float64 [2], of tuple (1)",
    ]
    assert _hlo.unfit(program) == faults
    allowed = _hlo.unfit(program, float64_shapes=["2"], is_bounded=True)
    assert allowed == [faults[0], faults[2], faults[3]]


def _faults(program):
    return _hlo.unfit(
        _hlo.instructions(_tpu_programs.lower(program)),
        float64_shapes=program.float64_shapes,
        is_bounded=program.is_bounded,
    )


def test_faults_of_a_function_show_in_its_hlo():
    x = tf.zeros([4, 3])
    double = Program(lambda x: tf.cast(x, tf.float64) * 2.0, (x,))
    assert any("float64 [4,3]" in fault for fault in _faults(double))
    assert not _faults(double._replace(float64_shapes=("4,3", "")))
    spectrum = Program(lambda x: tf.signal.fft(tf.cast(x, tf.complex128)), (x,))
    assert any("complex128" in fault for fault in _faults(spectrum))
    host = Program(lambda x: tf.py_function(np.sin, [x], tf.float32), (x,))
    with pytest.raises(ValueError, match="EagerPyFunc"):
        _tpu_programs.lower(host)


def test_importance_sampling_and_a_remainder_are_fit():
    made = _tpu_programs.programs(
        Case("planar"), Sizes(), ["importance", "remainder"]
    )
    for name, program in made.items():
        assert _faults(program) == [], name
    # A TPU has no float64; of all operations its powers cost the most.
    program = _hlo.instructions(_tpu_programs.lower(made["importance"]))
    assert not [i for i in program if i[:2] == ("f64[7,9]{1,0}", "power")]
    # Both allowances are of use, so the checks without them would see it.
    sums = made["importance"]._replace(float64_shapes=())
    assert any("float64 [7,9]" in fault for fault in _faults(sums))
    rest = made["remainder"]._replace(is_bounded=False)
    assert any("not known" in fault for fault in _faults(rest))


@pytest.fixture(scope="module")
def python():
    found = benchmark.default_python()
    if not benchmark.has_compiler(found):
        pytest.skip(
            f"{found} has no jax and libtpu; see the extra tpu-check and "
            "TPU_CHECK_PYTHON"
        )
    return found


@pytest.fixture(scope="module")
def recorded():
    text = (RECORD / "results.json").read_text()
    return {
        (case["posterior"], case["flow"]): case["programs"]
        for case in json.loads(text)["cases"]
        if case["size"] == "small"
    }


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_libtpu_takes_it(case, python, recorded):
    """All of one posterior of each kind; of the others, what differs most."""
    names = ["train", "log_prob"]
    if case.name in SETTINGS.bfloat16:
        names += ["importance", "remainder", "train_bfloat16"]
    measured, _ = benchmark.measure(
        case, SETTINGS.sizes, names, python, SETTINGS.topology
    )
    assert "train" in measured
    before = recorded[case.posterior, case.flow]
    for name, values in measured.items():
        assert values["faults"] == [], name
        for size in ("lowered_instructions", "instructions", "code_bytes"):
            assert values[size] < MOST_GROWTH * before[name][size], (name, size)


PRODUCT = """HloModule m

ENTRY %main.2 (x.1: f32[2,2]) -> f32[2,2] {
  %x.1 = f32[2,2]{1,0} parameter(0)
  ROOT %dot.1 = f32[2,2]{1,0} dot(%x.1, %x.1)
}
"""


def fake_child(module, task, **kwargs):
    """Refuses what evaluates, and takes the rest."""
    assert module == "benchmarks._tpu_compile_child"
    assert kwargs["environment"]["TPU_SKIP_MDS_QUERY"] == "1"
    texts = {Path(file).read_text() for file in task["programs"].values()}
    assert texts == {PRODUCT}
    sizes = {
        "faults": [],
        "compile_seconds": 1.0,
        "temp_bytes": 2048,
        "code_bytes": 4096,
        "instructions": 1234,
    }
    values = {name: sizes for name in task["programs"]}
    values["evaluate"] = {"faults": ["refused: no such thing"]}
    about = {"device": "TPU", "versions": {"jax": "1", "libtpu": "2"}}
    return _measure.ChildResult("finished", 1.0, {**about, "programs": values})


def test_results_and_table(tmp_path, capsys, monkeypatch):
    def lower(program):
        assert isinstance(program.arguments[0], tf.Tensor)
        if program.is_bounded:
            raise ValueError("no kernel")
        return PRODUCT

    monkeypatch.setattr(_tpu_programs, "lower", lower)
    monkeypatch.setattr(_measure, "run_child", fake_child)
    monkeypatch.setattr(benchmark, "has_compiler", lambda python: True)
    out = tmp_path / "results" / "results.json"
    arguments = ["--quick", "--names", "hamiltonian none", "--out", str(out)]
    assert benchmark.main(arguments) == 1  # for what was refused
    printed = capsys.readouterr()
    assert "hamiltonian none, evaluate: refused: no such" in printed.err
    assert "hamiltonian none, remainder: no kernel" in printed.err
    results = json.loads(out.read_text())
    assert {"benchmark", "commit", "dirty", "date", "machine"} < set(results)
    (case,) = results["cases"]
    assert set(case["programs"]) == {
        *("train", "evaluate", "importance", "remainder", "train_bfloat16")
    }
    train = case["programs"]["train"]
    assert train["products"] == {"default": 1}
    assert train["lowered_instructions"] == 2
    table = report.tpu_compile([results])
    assert table in printed.out
    row = (
        "| `hamiltonian` of `none` | 3 of 5; not `evaluate`, `remainder` | 2 |"
    )
    assert row in table
    assert "4 are at default precision" in table


def test_without_a_run_the_table_says_so():
    assert "Not measured" in report.tpu_compile([])


def test_a_compiler_that_is_not_there_is_seen(tmp_path):
    assert not benchmark.has_compiler(str(tmp_path / "python"))
    assert benchmark.default_python()  # of the variable, or this one


def test_the_interpreter_is_that_of_the_variable(monkeypatch):
    monkeypatch.setenv("TPU_CHECK_PYTHON", "/some/python")
    assert benchmark.default_python() == "/some/python"
    monkeypatch.delenv("TPU_CHECK_PYTHON")
    assert benchmark.default_python() == sys.executable


def test_bad_flags_are_refused(tmp_path, capsys):
    out = ["--out", str(tmp_path / "results.json")]
    for arguments, message in (
        (["--names", "planar,plane"], "`names` must be some of none, planar"),
        (
            ["--python", "/no/python"],
            "`python` must be an interpreter with jax",
        ),
    ):
        with pytest.raises(SystemExit):
            benchmark.main([*arguments, *out])
        assert message in capsys.readouterr().err
