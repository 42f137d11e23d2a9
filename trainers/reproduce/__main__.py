"""The papers' tables by one command: planned, trained, resumed, written.

    python -m trainers.reproduce --table mnist_paper --budget=hours \
        --workdir=runs/reproduce --data_dir=<TFDS folder>

It shows the plan first, and with `--plan` alone. The runs of a table are
`<workdir>/<table>/<budget>/<row>_seed<s>`; those that have their results.json
are left alone, interrupted ones go on, and after each of them `table.md`,
`table.json` and `table.png` beside them are written anew: what was measured
beside what is published.

Budgets: `smoke`, 20 steps of the first row and of the last one, to see that all
works and how long a step takes; `hours`, 5,000 or 20,000 steps; `paper`, all
that the config says, for images up to 500,000. Images that TFDS does not have
are in files: `--data_path` names the one that the table needs, or the folder of
several of them.
"""

import argparse
import os
import sys
from collections.abc import Sequence

import keras
import tensorflow as tf
from absl import logging

from trainers import run
from trainers.reproduce import plan, write
from trainers.reproduce.table import BUDGETS, Table
from trainers.reproduce.tables import TABLES
from trainers.runs import command_line, errors, start

__all__ = ["main"]


def _data_path(name: str, table: Table, given: str) -> str:
    """The file of a table that needs one; empty if it needs none.

    Raises:
      InputError: it is not there.
    """
    if not table.needs:
        return ""
    path = given
    if given and tf.io.gfile.isdir(given):
        path = os.path.join(given, table.needs)
    if not path or not tf.io.gfile.exists(path):
        raise errors.InputError(
            f"`--data_path` must name {table.needs}, or the folder that it "
            f"lies in, for the table {name}; got {given!r}."
        )
    return path


def _run(job: plan.Job, number: int, total: int, data_dir: str | None) -> None:
    logging.info(
        "Run %d of %d: %s, %s, seed %d.",
        number,
        total,
        job.name,
        job.row.words,
        job.seed,
    )
    run.train_and_evaluate(job.config(), job.workdir, data_dir=data_dir)
    keras.utils.clear_session()


def _reproduce(flags: argparse.Namespace) -> None:
    names = list(TABLES) if "all" in flags.table else flags.table
    by_table = {}
    for name in dict.fromkeys(names):
        by_table[name] = plan.jobs_of(
            name,
            TABLES[name],
            budget=flags.budget,
            seeds=flags.seeds,
            directory=flags.workdir,
            data_path=_data_path(name, TABLES[name], flags.data_path),
        )
    jobs = [job for group in by_table.values() for job in group]
    for line in plan.lines(jobs):
        logging.info("%s", line)
    if flags.plan:
        return
    todo = [job for job in jobs if job.results() is None]
    for number, job in enumerate(todo, start=1):
        _run(job, number, len(todo), flags.data_dir)
        _write(flags, job.name, by_table[job.name])
    for name, group in by_table.items():
        sys.stdout.write(f"{_write(flags, name, group)}\n")


def _write(
    flags: argparse.Namespace, name: str, jobs: Sequence[plan.Job]
) -> str:
    directory = os.path.join(flags.workdir, name, flags.budget)
    return write.write(directory, TABLES[name], jobs)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m trainers.reproduce",
        description="Trains and writes the papers' tables.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--table", nargs="+", required=True, choices=(*TABLES, "all"))
    add("--budget", required=True, choices=BUDGETS)
    add("--workdir", required=True, help="directory of all runs and tables")
    add("--data_dir", help="folder of TFDS data")
    add("--data_path", default="", help="file of images, or a folder of them")
    add("--seeds", nargs="+", type=int, default=[0])
    add("--plan", action="store_true", help="show the plan, and run nothing")
    flags = parser.parse_args(argv)
    command_line.set_up_log()
    try:
        _reproduce(flags)
    except (
        errors.InputError,
        errors.NonFiniteError,
        errors.StorageError,
    ) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        sys.exit(start.EXIT_BAD_INPUT)


if __name__ == "__main__":
    start.prepare_command()
    main()
