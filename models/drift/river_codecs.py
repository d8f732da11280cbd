"""River's detectors as plain values, and back; river itself only offers `pickle`, which executes what it reads.

What is read and set are attributes that river does not document, so states carry river's version, and no other river
may read them (`models.state.check_river`).
"""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from threading import Thread
from typing import Any


def load_river() -> None:
    """Import river in the background. It takes half a second and more, which a resume need not wait for in turn."""
    Thread(target=_load, name="aftercall-river", daemon=True).start()


def _load() -> None:
    with suppress(Exception):  # who needs it imports it again, and meets the same error where it can be reported
        import_module("river.drift")


def adwin() -> Any:
    """A new ADWIN with river's defaults."""
    from river.drift import ADWIN  # takes 3 s

    return ADWIN()


def adwin_plain(detector: Any) -> dict[str, Any]:
    """An ADWIN as plain values: `window` is what its window is made from, `buckets` river's own bytes of the window."""
    window = detector._helper  # noqa: SLF001 - see above
    return {
        "detected": detector._drift_detected,  # noqa: SLF001
        "window": window.__getnewargs__(),
        "buckets": window.__getstate__(),
    }


def adwin_from(plain: dict[str, Any]) -> Any:
    """The reverse of `adwin_plain`."""
    detector = adwin()
    window = type(detector._helper)(*plain["window"])  # noqa: SLF001
    window.__setstate__(plain["buckets"])
    detector._helper, detector._drift_detected = window, plain["detected"]  # noqa: SLF001
    return detector


def page_hinkley(**settings: Any) -> Any:
    """A new Page-Hinkley detector."""
    from river.drift import PageHinkley  # takes 3 s

    return PageHinkley(**settings)


_SETTINGS = ("min_instances", "delta", "threshold", "alpha", "mode")
_SUMS = ("_drift_detected", "_sum_increase", "_sum_decrease", "_min_increase", "_max_decrease")


def page_hinkley_plain(detector: Any) -> dict[str, Any]:
    """A Page-Hinkley detector as plain values; `mean` is (count, mean)."""
    mean = detector._x_mean  # noqa: SLF001
    kept = {name: getattr(detector, name) for name in (*_SETTINGS, *_SUMS)}
    return {**kept, "mean": (mean.n, mean._mean)}  # noqa: SLF001


def page_hinkley_from(plain: dict[str, Any]) -> Any:
    """The reverse of `page_hinkley_plain`."""
    detector = page_hinkley(**{name: plain[name] for name in _SETTINGS})
    for name in _SUMS:
        setattr(detector, name, plain[name])
    detector._x_mean.n, detector._x_mean._mean = plain["mean"]  # noqa: SLF001
    return detector
