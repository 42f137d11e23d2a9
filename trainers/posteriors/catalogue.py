"""All posteriors, by name."""

from collections.abc import Callable

from trainers.posteriors import hierarchies, regressions
from trainers.posteriors.targets import PosteriorTarget

__all__ = ["TARGETS", "get_target"]

_OF_TABLES: dict[str, Callable[[str | None], PosteriorTarget]] = {
    "sonar": regressions.sonar,
    "ionosphere": regressions.ionosphere,
    "german_credit": regressions.german_credit,
}
_OTHERS: dict[str, Callable[[], PosteriorTarget]] = {
    "eight_schools": hierarchies.eight_schools,
    "brownian_motion": hierarchies.brownian_motion,
    "brownian_unknown_scales": hierarchies.brownian_unknown_scales,
    "seeds": hierarchies.seeds,
    "funnel": hierarchies.funnel,
    "breast_cancer": regressions.breast_cancer,
}
TARGETS = (*_OTHERS, *_OF_TABLES)


def get_target(name: str, data_dir: str | None = None) -> PosteriorTarget:
    """The target of a name in `TARGETS`.

    Args:
      name: of the target.
      data_dir: folder with `uci`, or one beside that, for those that need it.
        Default: None, the environment's TFDS_DATA_DIR.

    Raises:
      ValueError: an unknown name.
      InputError: the data are not there.
    """
    if name not in TARGETS:
        raise ValueError(
            f"`target` must be one of {', '.join(TARGETS)}; got {name!r}."
        )
    if name in _OF_TABLES:
        return _OF_TABLES[name](data_dir)
    return _OTHERS[name]()
