"""Layouts of the weights of each family of networks, and of heads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from rhapsode.bundle import Component
from rhapsode.engine import offsets as at
from rhapsode.engine.forms import full_name
from rhapsode.engine.kernels import attention, convolution
from rhapsode.engine.kernels import recurrent_steps as recurrent
from rhapsode.engine.kernels.products import matrix_size
from rhapsode.engine.kernels.tiles import padded
from rhapsode.errors import BundleError

if TYPE_CHECKING:
    from rhapsode.engine.packed_weights import Packing

GATES = {at.LSTM: 4, at.GRU: 3, at.TANH: 1, at.RELU: 1}

# Numbers (256 MB) of the largest table in which elements and the first layer's products are one.
FOLDED = 1 << 26


def pack_head(packing: Packing, head: Component, features: int) -> None:
    """Pack the head."""
    biased, vocab = head.settings.get("bias", True), packing.vocab

    def bias(name: str, size: int) -> int:
        zeros_V = np.zeros(size, dtype=np.float32)
        return packing.bias(packing.take(f"head.{name}", size) if biased else zeros_V)

    adaptive = full_name(head.name) == "adaptive.v1"
    short = int(head.settings["shortlist"]) if adaptive else vocab
    weight = packing.matrix(packing.take("head.weight", short, features))
    packing.tell({at.SHORTLIST: short, at.HEAD: weight, at.HEAD_BIAS: bias("bias", short)})
    if not adaptive:
        return
    narrow, rare = int(head.settings["tail_size"]), vocab - short
    if not 0 < short < vocab or narrow < 1:
        raise BundleError(f"no tail of width {narrow} is behind {short} of {vocab} elements")
    project = packing.take("head.project", narrow, features)
    whole = packing.take("head.whole_weight", 1, features)
    whole_bias = np.append(np.zeros(narrow, dtype=np.float32), packing.take("head.whole_bias", 1))
    packing.tell(
        {
            at.TAIL_SIZE: narrow,
            at.PROJECT: packing.matrix(np.concatenate((project, whole))),
            at.PROJECT_BIAS: packing.bias(whole_bias),
            at.TAIL: packing.matrix(packing.take("head.tail_weight", rare, narrow)),
            at.TAIL_BIAS: bias("tail_bias", rare),
        }
    )


def pack_recurrent(packing: Packing) -> int:
    """Pack recurrent layers, and return the number of features."""
    size, layers = packing.settings["hidden_size"], packing.settings["num_layers"]
    family, table_VD = packing.family, packing.table_VD
    gates = GATES[family] * size
    for layer in range(layers):
        depth = packing.width if layer == 0 else size
        weight_ih = packing.take(f"model.weight_ih_l{layer}", gates, depth)
        weight_hh = packing.take(f"model.weight_hh_l{layer}", gates, size)
        bias_G = packing.take(f"model.bias_ih_l{layer}", gates)
        past_G = packing.take(f"model.bias_hh_l{layer}", gates)
        packing.tell(
            {recurrent.PAST: packing.matrix(weight_hh), recurrent.INPUT_SIZE: depth}, layer
        )
        if family == at.GRU:  # its reset gate weighs the bias of the past, too
            packing.tell({recurrent.PAST_BIAS: packing.bias(past_G)}, layer)
        else:
            bias_G = bias_G + past_G
        if layer == 0 and (table_VD is None or packing.vocab * gates <= FOLDED):
            products_VG = weight_ih.T if table_VD is None else table_VD @ weight_ih.T
            table = packing.lay(products_VG + bias_G)
            packing.tell({at.TABLE: table, at.TABLE_STEP: gates, at.FOLDED: 1})
            continue
        if layer == 0 and table_VD is not None:
            packing.tell({at.TABLE: packing.lay(table_VD), at.TABLE_STEP: depth})
        packing.tell(
            {recurrent.INPUT: packing.matrix(weight_ih), recurrent.BIAS: packing.bias(bias_G)},
            layer,
        )
    packing.tell({at.STATE: layers * size * (2 if family == at.LSTM else 1)})
    return int(size)


def pack_convolution(packing: Packing) -> int:
    """Pack causal convolutions, and return the number of features."""
    settings, table_VD = packing.settings, packing.table_VD
    size, taps, layers = settings["hidden_size"], settings["kernel_size"], settings["num_layers"]
    project = packing.take("model.project.weight", size, packing.width)
    bias_H = packing.take("model.project.bias", size)
    table_VH = (project.T if table_VD is None else table_VD @ project.T) + bias_H
    row = padded(size)
    packing.tell(
        {
            at.TABLE: packing.lay(np.pad(table_VH, ((0, 0), (0, row - size)))),
            at.TABLE_STEP: row,
            at.TAPS: taps,
            at.TAP_SIZE: matrix_size(size, size, packing.kind),
            at.STATE: 2 * (taps - 1) * (2**layers - 1) * size,
        }
    )
    for layer in range(layers):
        for which in range(2):
            name = f"model.blocks.{layer}.conv{which + 1}"
            weight = packing.take(f"{name}.weight", size, size, taps)
            matrices = packing.matrix(*(weight[:, :, tap] for tap in range(taps)))
            bias = packing.bias(packing.take(f"{name}.bias", size))
            packing.tell(
                {convolution.CONV1 + which: matrices, convolution.CONV1_BIAS + which: bias}, layer
            )
    return int(size)


def pack_attention(packing: Packing, context_size: int) -> int:
    """Pack a transformer, and return the number of features."""
    settings, width, vocab = packing.settings, packing.width, packing.vocab
    heads, layers = settings["num_heads"], settings["num_layers"]
    classic = packing.family == at.CLASSIC
    if width % heads or (not classic and width % (2 * heads)):
        raise BundleError(f"a width of {width} does not divide into {heads} heads")
    window = settings["length" if classic else "window"]
    if classic and context_size > window:
        raise BundleError(
            f"a window of {context_size} elements needs as many positions, not {window}"
        )
    inside = settings["feedforward_size"] or (4 * width if classic else 16 * math.ceil(width / 6))
    each = width // heads
    table_VD = packing.table_VD
    if table_VD is None:
        if vocab * vocab > FOLDED:
            raise BundleError("the vocabulary is too large for one-hot input")
        table_VD = np.eye(vocab, dtype=np.float32)
    packing.tell(
        {
            at.TABLE: packing.lay(table_VD),
            at.TABLE_STEP: width,
            at.HEADS: heads,
            at.WINDOW: window,
            at.INNER: inside,
            at.STATE: layers * heads * (padded(window) * each + padded(each) * window),
        }
    )
    if classic:
        positions = packing.take("model.position.weight", window, width)
        packing.tell({at.POSITIONS: packing.lay(positions)})
    else:
        exponents_C = np.arange(0, each, 2, dtype=np.float64) / each
        frequencies_C = float(settings["rope_base"]) ** -exponents_C
        packing.tell(
            {
                at.NORM: packing.lay(packing.take("model.norm.weight", width)),
                at.FREQUENCIES: packing.lay(frequencies_C.view(np.float32)),
            }
        )
    lay_layer = _classic_layer if classic else _layer
    for layer in range(layers):
        packing.tell(lay_layer(packing, f"model.layers.{layer}", inside), layer)
    return int(width)


def _layer(packing: Packing, name: str, inside: int) -> dict[int, int]:
    part, width = f"{name}.self_attn", packing.width
    qkv = [packing.take(f"{part}.{which}_proj.weight", width, width) for which in "qkv"]
    up = [
        packing.take(f"{name}.mlp.{which}_proj.weight", inside, width) for which in ("gate", "up")
    ]
    return {
        attention.QKV: packing.matrix(np.concatenate(qkv)),
        attention.QKV_BIAS: -1,
        attention.OUT: packing.matrix(packing.take(f"{part}.o_proj.weight", width, width)),
        attention.UP: packing.matrix(np.concatenate(up)),
        attention.UP_BIAS: -1,
        attention.DOWN: packing.matrix(packing.take(f"{name}.mlp.down_proj.weight", width, inside)),
        attention.NORM1: packing.lay(packing.take(f"{name}.input_layernorm.weight", width)),
        attention.NORM2: packing.lay(
            packing.take(f"{name}.post_attention_layernorm.weight", width)
        ),
    }


def _classic_layer(packing: Packing, name: str, inside: int) -> dict[int, int]:
    part, width = f"{name}.self_attn", packing.width
    return {
        attention.QKV: packing.matrix(packing.take(f"{part}.in_proj_weight", 3 * width, width)),
        attention.QKV_BIAS: packing.bias(packing.take(f"{part}.in_proj_bias", 3 * width)),
        attention.OUT: packing.matrix(packing.take(f"{part}.out_proj.weight", width, width)),
        attention.OUT_BIAS: packing.bias(packing.take(f"{part}.out_proj.bias", width)),
        attention.UP: packing.matrix(packing.take(f"{name}.linear1.weight", inside, width)),
        attention.UP_BIAS: packing.bias(packing.take(f"{name}.linear1.bias", inside)),
        attention.DOWN: packing.matrix(packing.take(f"{name}.linear2.weight", width, inside)),
        attention.DOWN_BIAS: packing.bias(packing.take(f"{name}.linear2.bias", width)),
        attention.NORM1: packing.lay(packing.take(f"{name}.norm1.weight", width)),
        attention.NORM1_BIAS: packing.lay(packing.take(f"{name}.norm1.bias", width)),
        attention.NORM2: packing.lay(packing.take(f"{name}.norm2.weight", width)),
        attention.NORM2_BIAS: packing.lay(packing.take(f"{name}.norm2.bias", width)),
    }
