"""Tests of the sweep over images, VAE, splines and CIF."""

from configs import fashion_mnist
from trainers.sweeps import cif


def test_cells_cover_the_product_seed_by_seed():
    todo = list(cif.cells(cif.DATA, tuple(cif.MODELS), (0, 1)))
    assert len({cell.path for cell in todo}) == len(todo) == 2 * 3 * 2
    assert todo[0].path == "mnist/vae_seed0"
    assert [cell.seed for cell in todo] == [0] * 6 + [1] * 6


def test_cell_config_is_that_of_the_command_line():
    config = cif.Cell("fashion_mnist", "cif_nsf", 2).config()
    expected = fashion_mnist.get_config("recipe=cif,posterior=cif")
    expected.training.seed = 2
    assert config == expected
