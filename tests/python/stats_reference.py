"""Reference values for host/src/stats, by scipy and statsmodels.

    pip install -r tests/python/requirements-stats.txt
    python tests/python/stats_reference.py           writes host/src/stats/expected/reference.json
    python tests/python/stats_reference.py --check   fails where the file says something else
"""

import json
import math
import sys
import warnings
from pathlib import Path

import numpy
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

FILE = Path(__file__).parents[2] / "host/src/stats/expected/reference.json"


def samples():
    """Differences of two methods: sizes of practice, ties, zeros, and sizes beyond the exact test."""
    rng = numpy.random.default_rng(7)
    for n in (2, 3, 4, 5, 6, 8, 10, 13, 14, 20, 30, 50, 51, 80):
        yield (rng.normal(0.01, 0.02, n)).round(6)
        # Test sets are finite: accuracies lie on a grid, so that sizes tie and differences vanish.
        yield (rng.integers(-3, 6, n) / 400).round(6)
    yield numpy.array([0.01, 0.02, 0.03, 0.04, 0.05])
    yield numpy.array([0.0, 0.0, 0.01])
    yield numpy.array([0.01, -0.01, 0.02, 0.0, 0.03, 0.03])


def paired(d):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interval = stats.bootstrap((d,), numpy.mean, n_resamples=200_000, method="percentile",
                                   rng=numpy.random.default_rng(0), batch=10_000).confidence_interval
        case = {
            "differences": d.tolist(),
            "wilcoxon": float(stats.wilcoxon(d).pvalue) if d.any() else 1.0,
            "t": float(stats.ttest_1samp(d, 0).pvalue),
            "bootstrap": [float(interval.low), float(interval.high)],
            "deviation": float(d.std(ddof=1)),
        }
        effect = abs(d.mean()) / d.std(ddof=1) if d.std() > 0 else 0
        if effect > 0.05 and len(d) > 2:
            case["seeds"] = math.ceil(TTestPower().solve_power(effect, alpha=0.05, power=0.8))
    return case


def pairs():
    rng = numpy.random.default_rng(8)
    for n, m in ((3, 3), (5, 5), (10, 7)):
        a, b = rng.integers(80, 90, n) / 100, rng.integers(78, 88, m) / 100
        u = stats.mannwhitneyu(a, b).statistic
        yield {"first": a.tolist(), "second": b.tolist(), "improvement": float(u / (n * m))}


def families():
    rng = numpy.random.default_rng(9)
    for n in (1, 3, 10, 36):
        p = (rng.random(n) ** 3).round(6)
        yield {"p": p.tolist(), "holm": multipletests(p, method="holm")[1].tolist()}


def main():
    document = {
        "made_by": "tests/python/stats_reference.py",
        "paired": [paired(d) for d in samples()],
        "improvement": list(pairs()),
        "holm": list(families()),
    }
    if "--check" in sys.argv:
        compare(json.loads(FILE.read_text()), document, FILE.name)
        print(f"{FILE.name}: as stored")
    else:
        FILE.write_text(json.dumps(document, indent=1) + "\n")


def compare(stored, found, where):
    """Equal, but for the last digits of numbers, which differ between processors."""
    if isinstance(found, dict):
        assert stored.keys() == found.keys(), where
        for key in found:
            compare(stored[key], found[key], f"{where}.{key}")
    elif isinstance(found, list):
        assert len(stored) == len(found), where
        for index, pair in enumerate(zip(stored, found)):
            compare(*pair, f"{where}[{index}]")
    elif isinstance(found, float):
        assert math.isclose(stored, found, rel_tol=1e-9, abs_tol=1e-12), f"{where}: {stored}, {found}"
    else:
        assert stored == found, f"{where}: {stored}, {found}"


main()
