"""Heads of intermittent values, with a probability of zero.

Targets are values in the data's own units, as for counts: zero has a probability, positive values
have a probability (`hurdle_negative_binomial.v1`) or a density (`hurdle_gamma.v1`), so that
likelihoods are exact. The size of a series multiplies the mean of the others (`scaled`). The last
parameter is the log-odds of zero.
"""

import torch
from torch import Tensor

from rhapsode.heads.contract import HEADS, LOWEST, TINY, log_softplus
from rhapsode.heads.count_data import (
    CountHead,
    NegativeBinomial,
    gamma_quantile,
    negative_binomial_log_mass,
    negative_binomial_quantile,
)

_LOG_MEAN_RANGE = (-80.0, 80.0)
_LOG_SHAPE_RANGE = (-3.0, 9.0)
_LOGIT_RANGE = (-40.0, 40.0)
# A probability of zero of a truncated distribution: at most so near to 1.
_NEAREST_TO_ONE = -1e-30


def _logit(parameters: Tensor) -> Tensor:
    return parameters[..., -1].clamp(*_LOGIT_RANGE)


class HurdleHead(CountHead):
    """Base of heads with a probability of zero."""

    each = 3

    def _link(self, raw: Tensor) -> Tensor:
        return torch.cat((log_softplus(raw[..., :-1]), raw[..., -1:]), dim=-1)

    def _log_mass(self, parameters: Tensor, x: Tensor) -> Tensor:
        logit = _logit(parameters)
        positive = x > 0
        log_positive = self._log_positive(parameters, torch.where(positive, x, 1.0))
        log_some = torch.nn.functional.logsigmoid(-logit) + log_positive
        return torch.where(positive, log_some, torch.nn.functional.logsigmoid(logit))

    def _invert(self, parameters: Tensor, levels: Tensor) -> Tensor:
        logit = _logit(parameters)
        zero, some = logit.sigmoid(), (-logit).sigmoid()
        left = ((levels - zero) / some).clamp(TINY, 1 - 2 * TINY)
        return torch.where(levels < zero, 0.0, self._positive_quantile(parameters, left))

    def _log_positive(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log-probability or log-density of positive values, given that they are positive."""
        raise NotImplementedError

    def _positive_quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        """Quantiles of the positive values."""
        raise NotImplementedError


@HEADS.register("hurdle_negative_binomial.v1")
class HurdleNegativeBinomial(HurdleHead):
    """Counts with a probability of zero of their own.

    The others have a truncated negative binomial distribution. The parameters are the logarithms
    of mean and dispersion before truncation, and the log-odds of zero (Mullahy 1986).
    """

    def _log_positive(self, parameters: Tensor, x: Tensor) -> Tensor:
        own = parameters[..., :2]
        log_zero = negative_binomial_log_mass(own, torch.zeros_like(x)).clamp(max=_NEAREST_TO_ONE)
        return negative_binomial_log_mass(own, x) - (-torch.expm1(log_zero)).log()

    def _positive_quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        own = parameters[..., :2]
        zero = negative_binomial_log_mass(own, torch.zeros_like(levels)).exp()
        inside = (zero + levels * (1 - zero)).clamp(TINY, 1 - 2 * TINY)
        return negative_binomial_quantile(inside, *NegativeBinomial.moments(own)).clamp(min=1.0)

    def _scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        parts = (log_scale, -0.5 * log_scale, torch.zeros_like(log_scale))
        return parameters + torch.cat(parts, dim=-1)


@HEADS.register("hurdle_gamma.v1")
class HurdleGamma(HurdleHead):
    """Amounts that are zero with a probability of their own.

    The others have a gamma density. The parameters are the logarithms of the mean and of the
    shape of the others, and the log-odds of zero.
    """

    whole = False

    def _log_density(self, parameters: Tensor, x: Tensor) -> Tensor:
        possible = x >= 0
        log_mass = self._log_mass(parameters, torch.where(possible, x, 0.0))
        return torch.where(possible, log_mass, LOWEST)

    def _log_positive(self, parameters: Tensor, x: Tensor) -> Tensor:
        log_mean, log_shape = _log_mean(parameters), _log_shape(parameters)
        shape, log_x = log_shape.exp(), x.log()
        log_ratio = log_x - log_mean
        constant = shape * log_shape - torch.lgamma(shape)
        return constant + shape * (log_ratio - log_ratio.clamp(max=100.0).exp()) - log_x

    def _positive_quantile(self, parameters: Tensor, levels: Tensor) -> Tensor:
        shape = _log_shape(parameters).exp()
        quantile = gamma_quantile(levels, shape) / shape * _log_mean(parameters).exp()
        # The smallest number stands for all that float64 does not tell from zero.
        return quantile.clamp(min=torch.finfo(torch.float64).tiny)

    def _scaled(self, parameters: Tensor, log_scale: Tensor) -> Tensor:
        none = torch.zeros_like(log_scale)
        return parameters + torch.cat((log_scale, none, none), dim=-1)


def _log_mean(parameters: Tensor) -> Tensor:
    return parameters[..., 0].clamp(*_LOG_MEAN_RANGE)


def _log_shape(parameters: Tensor) -> Tensor:
    return parameters[..., 1].clamp(*_LOG_SHAPE_RANGE)
