"""README's picture, of those that are committed."""

import pathlib

import numpy as np
from matplotlib import image

from trainers.report import pictures

RESULTS = pathlib.Path(__file__).resolve().parents[3] / "results"


def test_panels_are_the_dark_parts_row_by_row():
    picture = np.ones([100, 140, 4])
    for row in (5, 55):
        for column in (10, 80):
            picture[row : row + 40, column : column + 50, :3] = 0.0
    picture[50, :100, :3] = 0.0  # a line of text is none
    found = pictures.panels(picture)
    assert [[panel.shape[:2] for panel in row] for row in found] == [
        [(40, 50)] * 2
    ] * 2


def test_front_picture_is_made_of_what_is_committed(tmp_path):
    path = tmp_path / "front.png"
    pictures.main([f"--results={RESULTS}", f"--to={path}"])
    assert image.imread(path).std() > 0.1
