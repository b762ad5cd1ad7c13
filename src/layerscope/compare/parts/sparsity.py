"""How many activations are zero, layer by layer, in each network: the paper's Fig. 6 and its three facts."""

from __future__ import annotations

from layerscope.compare.part import Finding, Made, Part, Shown
from layerscope.compare.sparsity import show_sparsity, sparsity_table
from layerscope.compare.subject import Subject


def _why_not(subject: Subject) -> str | None:
    lacking = [n for n in subject.names if "sparsity" not in subject.study.network(n).results]
    return f"the study of {lacking[0]} did not count zeros" if lacking else None


def _make(subject: Subject) -> Made:
    table = sparsity_table(subject.study)
    dead = sum(table["dead_channels"].to_pylist())
    return Made(
        [
            Finding.of(
                "{dead} of {channels} channels are zero everywhere.",
                dead=dead,
                channels=sum(table["channels"].to_pylist()),
            )
        ],
        {
            "sparsity": Shown(
                show_sparsity(subject.study), "Share of exact zeros among activations, over depth."
            )
        },
        {"sparsity": (table, "Sparsity of each convolution and pool.")},
    )


SPARSITY = Part("sparsity", "Sparsity", _why_not, lambda subject: {}, _make)
