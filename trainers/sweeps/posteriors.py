"""Surrogates of other people's posteriors: targets, families, seeds.

    python -m trainers.sweeps.posteriors --results=results/posteriors_vi

Tables of UCI are read from `--data_dir`. Every fit ends with
`<results>/<target>/<family>_seed<s>/results.json`; those that have theirs are
left alone. A fit that ends in values that are not finite is named at the end,
with exit code 1, and the others go on. A target without true moments is sampled
first, see `trainers.posteriors.sample`, into `<results>/<target>/reference`;
where exact draws can be had, `<results>/<target>/exact` says how far the
moments of sets of as many of them are. Where the surrogate is `--chains_of`,
the default of `tfp_flows.vi`, of the first seed, NeuTra chains run from it.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from trainers.posteriors import chains, exact
from trainers.posteriors import fit as fit_posterior
from trainers.posteriors import sample as sample_posterior
from trainers.posteriors.catalogue import TARGETS, get_target
from trainers.posteriors.families import FAMILIES, WITH_DENSITY
from trainers.posteriors.targets import PosteriorTarget
from trainers.runs import provenance
from trainers.runs import workdir as workdirs
from trainers.sweeps import command

__all__ = ["main"]


def _moments(
    name: str, target: PosteriorTarget, flags: Any
) -> tuple[np.ndarray, np.ndarray]:
    """True mean and standard deviation of the variables, `[V]` each."""
    if target.mean is not None and target.sd is not None:
        return target.mean, target.sd
    directory = os.path.join(flags.results, name, "reference")
    path = os.path.join(directory, "results.json")
    if not tf.io.gfile.exists(path):
        logging.info("%s: sampled, as its moments are not known.", name)
        found = sample_posterior.run(
            name,
            sample_posterior.QUICK if flags.quick else sample_posterior.DEFAULT,
            data_dir=flags.data_dir,
        )
        tf.io.gfile.makedirs(directory)
        workdirs.write_json(path, found)
    found = workdirs.read_json(path)
    return np.array(found["mean"]), np.array(found["sd"])


def _judge_exact_draws(
    name: str,
    target: PosteriorTarget,
    moments: tuple[np.ndarray, np.ndarray],
    settings: fit_posterior.Settings,
    flags: Any,
) -> None:
    directory = os.path.join(flags.results, name, "exact")
    path = os.path.join(directory, "results.json")
    if target.sample is None or tf.io.gfile.exists(path):
        return
    found = exact.judge(
        target,
        *moments,
        settings.num_evaluation_samples,
        num_sets=3 if flags.quick else exact.NUM_SETS,
    )
    tf.io.gfile.makedirs(directory)
    workdirs.write_json(
        path,
        {
            "experiment": "posterior_exact_draws",
            "target": name,
            **found,
            **provenance.describe_end(),
        },
    )


def _run(
    name: str,
    target: PosteriorTarget,
    family: str,
    seed: int,
    moments: tuple[np.ndarray, np.ndarray],
    settings: fit_posterior.Settings,
    chain_settings: chains.Settings | None,
) -> dict[str, Any]:
    surrogate, training = fit_posterior.fit(target, family, seed, settings)
    errors = fit_posterior.evaluate(target, surrogate, *moments, seed, settings)
    if chain_settings is not None:
        errors["neutra"] = chains.run(
            target, surrogate, *moments, seed, chain_settings
        )
    return {
        "experiment": "posterior",
        "target": name,
        "source": target.source,
        "event_size": target.event_size,
        "names": list(target.names),
        "family": family,
        "seed": seed,
        **training,
        **errors,
        "settings": settings._asdict(),
        **provenance.describe_end(),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: see the module's docstring."""
    parser = command.parser(
        "posteriors", "Fits every family to every posterior, seed by seed."
    )
    command.add_shared(parser, "results")
    add = parser.add_argument
    add("--targets", nargs="+", choices=TARGETS, default=tuple(TARGETS))
    add("--families", nargs="+", choices=FAMILIES, default=FAMILIES)
    command.add_shared(parser, "seeds")
    add("--data_dir", help="folder with uci, or one beside that")
    add("--chains_of", choices=WITH_DENSITY, default="iaf")
    add("--quick", action="store_true", help="tiny, to try it out")
    flags = command.parse(parser, argv)
    settings = fit_posterior.QUICK if flags.quick else fit_posterior.Settings()
    chain_settings = chains.QUICK if flags.quick else chains.Settings()
    failed: list[str] = []
    for name in flags.targets:
        with command.one_line_errors():
            target = get_target(name, flags.data_dir)
        moments = _moments(name, target, flags)
        _judge_exact_draws(name, target, moments, settings, flags)
        for family in flags.families:
            for seed in flags.seeds:
                directory = os.path.join(
                    flags.results, name, f"{family}_seed{seed}"
                )
                path = os.path.join(directory, "results.json")
                if tf.io.gfile.exists(path):
                    logging.info("%s has its results.json: kept.", directory)
                    continue
                has_chains = (family, seed) == (
                    flags.chains_of,
                    flags.seeds[0],
                )
                try:
                    found = _run(
                        name,
                        target,
                        family,
                        seed,
                        moments,
                        settings,
                        chain_settings if has_chains else None,
                    )
                except FloatingPointError as error:  # others may do better
                    logging.error("%s: %s", directory, error)
                    failed.append(directory)
                    continue
                tf.io.gfile.makedirs(directory)
                workdirs.write_json(path, found)
                logging.info(
                    "%s, %s, seed %d: KL %.4f ± %.4f nats, means within %.3f "
                    "sd, sd ratios %.3f to %.3f, k-hat %.2f, %.0f s.",
                    name,
                    family,
                    seed,
                    found["kl"],
                    found["kl_standard_error"],
                    found["largest_mean_error"],
                    found["smallest_sd_ratio"],
                    found["largest_sd_ratio"],
                    found["k_hat"],
                    found["seconds"],
                )
                keras.utils.clear_session()
    if failed:
        sys.exit(f"error: no finite fit in {', '.join(failed)}")


if __name__ == "__main__":
    main()
