"""All detectors over closed minutes: success rates, values of calls and scores, and how much arrives at all."""

from __future__ import annotations

import pickle

from aftercall.records import Alert, Digest
from aftercall.times import to_us
from models.alarms.book import in_order
from models.alarms.phrases import significant
from models.drift.adwin import SecondOpinion
from models.drift.settings import DriftSettings
from models.drift.success_rate.detector import KIND, RateDrift
from models.drift.values.mean_shift import NumericDrift
from models.drift.values.quantile_shift import Exceedance
from models.drift.volume.volume import Volume
from models.messages import Closed
from models.state import unpack

__all__ = ["Drift", "DriftSettings"]

_VERSION = 2


class Drift:
    """All detectors of the dataflow. What comes out does not depend on how minutes are cut into messages."""

    def __init__(self, settings: DriftSettings | None = None) -> None:
        """Start fresh."""
        settings = DriftSettings() if settings is None else settings
        self._rates = RateDrift(settings)
        self._opinion = SecondOpinion()
        self._numeric = NumericDrift(settings)
        self._quantiles = Exceedance(settings)
        self._volume = Volume(settings)

    def close(self, closed: Closed) -> list[Alert]:
        """Take in what happened in minutes that have closed since the last call.

        Returns:
            Alerts opened, updated or closed, sorted by (updated_at, group).
        """
        rates = self._rates.close(closed.names, closed.trials, closed.delays, closed.through)
        rates = self._with_opinions(closed, rates)
        shifts = self._numeric.close(closed)
        quantiles = self._quantiles.close(closed)
        arriving = self._volume.close(closed)
        return in_order([*rates, *shifts, *quantiles, *arriving])

    def _with_opinions(self, closed: Closed, alerts: list[Alert]) -> list[Alert]:
        """The alerts on success rates that say something new, with what ADWIN says of their groups at that instant."""
        asked = [at for at, alert in enumerate(alerts) if alert.kind == KIND and alert.state != "closed"]
        groups = [(alerts[at].task_type, alerts[at].model, alerts[at].config) for at in asked]
        moments = [to_us(alerts[at].updated_at) for at in asked]
        told = list(alerts)
        for at, said in zip(asked, self._opinion.close(closed, list(zip(groups, moments, strict=True))), strict=True):
            if said:
                fields = {name: getattr(told[at], name) for name in Alert.model_fields if name != "event_id"}
                numbers = {name: significant(value) for name, value in said.items()}
                told[at] = Alert.sealed(**fields | {"evidence": fields["evidence"] | numbers})
        return told

    def digests(self) -> list[Digest]:
        """Digests of the weeks that have ended since this was last asked."""
        return self._rates.digests()

    def state(self) -> bytes:
        """Everything `from_state` needs to go on as if nothing had happened."""
        parts: dict[str, RateDrift | SecondOpinion | NumericDrift | Exceedance | Volume] = {
            "rates": self._rates,
            "opinion": self._opinion,
            "numeric": self._numeric,
            "quantiles": self._quantiles,
            "volume": self._volume,
        }
        return pickle.dumps({"version": _VERSION} | {name: part.state() for name, part in parts.items()})

    @classmethod
    def from_state(cls, data: bytes, settings: DriftSettings | None = None) -> Drift:
        """Go on from the `state()` of another instance; `settings` hold from here on.

        Raises:
            StateError: where the state has another version, or detectors of another version of river.
        """
        settings = DriftSettings() if settings is None else settings
        held = unpack(data, "drift", _VERSION)
        drift = cls(settings)
        drift._rates = RateDrift(settings, held["rates"])
        drift._opinion = SecondOpinion(held["opinion"])
        drift._numeric = NumericDrift(settings, held["numeric"])
        drift._quantiles = Exceedance(settings, held["quantiles"])
        drift._volume = Volume(settings, held["volume"])
        return drift
