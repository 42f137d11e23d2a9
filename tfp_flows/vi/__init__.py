"""Posteriors of a user's own TFP model: build, fit, correct, check.

    q = build_flow_surrogate_posterior(model)   # in the model's own structure
    fit(model, q)                               # ELBO, its error, k-hat
    importance_resample(model, q)               # where k-hat is below 0.7
    log_evidence(model, q)                      # likewise
    neutra(model, q)                            # chains in the flow's space

All noise is keyed by `seed`: equal seeds give equal results. Densities and
bounds are in nats.
"""

from tfp_flows._backend import require_tensorflow_backend

require_tensorflow_backend("tfp_flows.vi")

from tfp_flows.vi.arviz_bridge import to_arviz  # noqa: E402
from tfp_flows.vi.auxiliary_surrogates import (  # noqa: E402
    AuxiliarySurrogate,
    build_auxiliary_surrogate_posterior,
)
from tfp_flows.vi.fitting import FitResult, fit  # noqa: E402
from tfp_flows.vi.importance import (  # noqa: E402
    LogEvidence,
    ResampledDraws,
    importance_resample,
    log_evidence,
)
from tfp_flows.vi.neural_transport import NeutraResult, neutra  # noqa: E402
from tfp_flows.vi.surrogates import (  # noqa: E402
    build_flow_surrogate_posterior,
)

__all__ = [
    "AuxiliarySurrogate",
    "FitResult",
    "LogEvidence",
    "NeutraResult",
    "ResampledDraws",
    "build_auxiliary_surrogate_posterior",
    "build_flow_surrogate_posterior",
    "fit",
    "importance_resample",
    "log_evidence",
    "neutra",
    "to_arviz",
]
