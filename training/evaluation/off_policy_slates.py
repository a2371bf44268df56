"""What other lists would have earned, from lists that one policy made slot by slot and logged.

Notation, for the logged lists i and their slots k = 1..K, r(k) being what slot k earned::

    p(k)   logging policy's probability of its item, given the slots above
    t(k)   target's probability of the same item, given the same slots above
    w(k)   t(k) / p(k)

    whole list   mean(w(1)..w(K) Σ r(k))        IPS of the list; right whatever rewards depend on
    RIPS         mean(Σ w(1)..w(k) r(k))        r(k) may depend on the slots above, not on those
                                                below; McInerney et al. 2020, KDD
    SNRIPS       Σ over k of (Σ w(1)..w(k) r(k) / Σ w(1)..w(k))
    IIPS         mean(Σ (t'(k) / p'(k)) r(k))   r(k) depends on its own item only; t', p' are
                                                probabilities whatever stands above; Li et al.
                                                2018, KDD
    PI           mean(Σ r(k) · u), u = qᵀ Γ⁺ x  the sum is linear in "item a in slot k"; x says
                                                which are so in the list, q = E[x] of the target,
                                                Γ = E[x xᵀ] of logging; Swaminathan et al. 2017

A list that the target leaves empty earns nothing, whatever was logged: nothing has to be learnt
from the log about it. There w = 1 and r = 0, in every estimate: a share of such lists that is known
rather than estimated.

With slots that are drawn independently of each other PI's u is 1 + Σ (t'(k) / p'(k) - 1), and Γ is
never built. Otherwise `pseudo_inverse_weights` takes the lists that logging can make, or a sample
of them drawn from its policy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.errors import DataError
from recommender.terms import BoolArray, Float64Array, Int64Array
from training.evaluation.off_policy import (
    Diagnosis,
    Estimate,
    Verdict,
    diagnosed,
    estimated,
    mean_of,
)


@dataclass(frozen=True, slots=True)
class LoggedSlates:
    """Lists of one policy, and what another would have done; K slots, shorter lists are padded.

    Parameters
    ----------
    reward
        What each slot earned, float64 (n, K).
    propensity, target
        p and t of the module's notation, float64 (n, K). Behind the end of a list both are 1.
    outside
        Share of the target's probability that lies where logging has none, float64 (n,).
    is_independent
        Each slot is drawn whatever stands in the others: p and t are also p' and t'.
    subject
        Whose list it is, int64 (n,); None: each its own.
    marginal
        p' of the module's notation where slots depend on each other, float64 (n, K), 1 behind the
        end; the target must then be one list for each question, so that t is also t'.
    inverse
        u of each list, float64 (n,), for the pseudo-inverse where slots depend on each other.
    is_silent
        The target leaves the list empty, bool (n,); None: none of them.
    """

    reward: Float64Array
    propensity: Float64Array
    target: Float64Array
    outside: Float64Array | None = None
    is_independent: bool = False
    subject: Int64Array | None = None
    marginal: Float64Array | None = None
    inverse: Float64Array | None = None
    is_silent: BoolArray | None = None

    def __post_init__(self) -> None:
        if not self.reward.size:
            raise DataError("no logged list; accepted: at least one with a slot")
        if not ((self.propensity > 0) & (self.propensity <= 1)).all():
            raise DataError("a propensity is not above 0 to 1; accepted: above 0 to 1")

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def weight(self) -> Float64Array:
        """W of each slot, float64 (n, K)."""
        return self._known(self.target / self.propensity, 1.0)

    @property
    def running_weight(self) -> Float64Array:
        """w(1)..w(k), float64 (n, K)."""
        weight: Float64Array = np.cumprod(self.weight, axis=1, dtype=np.float64)
        return weight

    @property
    def marginal_weight(self) -> Float64Array:
        """t'(k) / p'(k) of each slot, float64 (n, K). Raises `DataError` without them."""
        if self.marginal is None:
            self.require_independent()
            return self.weight
        return self._known(self.target / self.marginal, 1.0)

    @property
    def gained(self) -> Float64Array:
        """What each slot earned that the target would fill, float64 (n, K)."""
        return self._known(self.reward, 0.0)

    @property
    def total(self) -> Float64Array:
        """What each list earned as it was served, float64 (n,)."""
        total: Float64Array = self.reward.sum(axis=1)
        return total

    def require_independent(self) -> None:
        """Raise `DataError` where a slot depends on those above."""
        if not self.is_independent:
            raise DataError("slots depend on those above; accepted: lists with independent slots")

    def _known(self, learnt: Float64Array, value: float) -> Float64Array:
        silent = self.is_silent
        return learnt if silent is None else np.where(silent[:, None], value, learnt)


def whole_list(log: LoggedSlates) -> Estimate:
    """IPS of the list as one choice."""
    gained = log.gained.sum(axis=1)
    return mean_of("IPS of the list", log.running_weight[:, -1] * gained, log.subject)


def rips(log: LoggedSlates) -> Estimate:
    """Rewards depend on what stands above."""
    return mean_of("RIPS", (log.running_weight * log.gained).sum(axis=1), log.subject)


def snrips(log: LoggedSlates) -> Estimate:
    """The same, each slot normalised by its weights."""
    value, influence = _snrips(log)
    return estimated("SNRIPS", value, influence, log.subject)


def snrips_difference(name: str, one: LoggedSlates, other: LoggedSlates) -> Estimate:
    """SNRIPS of one target less that of another, from the same lists: what both share cancels out.

    Raises `DataError` where they are not about the same lists.
    """
    if one.reward.shape != other.reward.shape or not np.array_equal(one.reward, other.reward):
        raise DataError("two targets on different lists; accepted: the same lists for both")
    (first, moved), (second, back) = _snrips(one), _snrips(other)
    return estimated(name, first - second, moved - back, one.subject)


def _snrips(log: LoggedSlates) -> tuple[float, Float64Array]:
    weight, gained = log.running_weight, log.gained
    totals = weight.sum(axis=0)
    safe = np.where(totals > 0, totals, 1.0)
    values = (weight * gained).sum(axis=0) / safe
    influence: Float64Array = (weight * (gained - values) * (len(log) / safe)).sum(axis=1)
    return float(values.sum()), influence


def iips(log: LoggedSlates) -> Estimate:
    """Rewards depend on their own item only. Raises `DataError` without probabilities p'."""
    return mean_of("IIPS", (log.marginal_weight * log.gained).sum(axis=1), log.subject)


def pseudo_inverse(log: LoggedSlates, weights: Float64Array | None = None) -> Estimate:
    """The sum of a list is linear in its items and slots.

    Parameters
    ----------
    weights
        u of each list, float64 (n,), from `pseudo_inverse_weights`; None: those of the log, or
        slots are independent.
    """
    weights = log.inverse if weights is None else weights
    if weights is None:
        log.require_independent()
        weights = 1 + (log.weight - 1).sum(axis=1)
    return mean_of("pseudo-inverse", weights * log.gained.sum(axis=1), log.subject)


def pseudo_inverse_weights(
    lists: Int64Array, share: Float64Array, target: Float64Array, shown: Int64Array
) -> Float64Array:
    """U of each shown list.

    Parameters
    ----------
    lists
        Lists that logging makes, as item numbers 0..m-1, int64 (l, K).
    share
        With which probability each, float64 (l,); sums to 1.
    target
        Target's probability of each item in each slot, float64 (K, m).
    shown
        Logged lists, int64 (n, K).
    """
    slots, items = target.shape
    x = _indicators(lists, slots, items)
    gamma = (x * share[:, None]).T @ x
    inner = np.linalg.pinv(gamma, hermitian=True) @ target.ravel()
    weights: Float64Array = _indicators(shown, slots, items) @ inner
    return weights


def _indicators(lists: Int64Array, slots: int, items: int) -> Float64Array:
    x = np.zeros((len(lists), slots * items))
    np.put_along_axis(x, lists + np.arange(slots) * items, 1.0, axis=1)
    return x


def diagnose_slates(log: LoggedSlates) -> Diagnosis:
    """What the estimates slot by slot rest on: that of the worst slot in which anything happens."""
    weight, outside = log.running_weight, log.outside
    share = None if outside is None else float(outside.mean())
    found = [diagnosed(weight[:, slot], log.subject, share) for slot in _slots_at_work(log)]
    return min(found, key=lambda each: each.ess)


def _slots_at_work(log: LoggedSlates) -> list[int]:
    earns: BoolArray = (log.reward != 0).any(axis=0)
    slots: list[int] = np.flatnonzero(earns).tolist()
    return slots or [log.reward.shape[1] - 1]


def judge_slates(log: LoggedSlates) -> Verdict:
    """All estimates that the logged lists allow."""
    diagnosis = diagnose_slates(log)
    if diagnosis.refusal:
        return Verdict(diagnosis, (), diagnosis.refusal)
    estimates = [rips(log), snrips(log)]
    whole = diagnosed(log.running_weight[:, -1], log.subject, diagnosis.outside)
    if whole.refusal is None:  # below the last slot that earns, weights may vary more
        estimates.insert(0, whole_list(log))
    if log.is_independent or log.marginal is not None:
        estimates.append(iips(log))
    if log.is_independent or log.inverse is not None:
        estimates.append(pseudo_inverse(log))
    return Verdict(diagnosis, tuple(estimates), None)
