"""The legend of the shape letters that end names in numeric code.

`x_BTD` is an array of batch rows x time steps x features. Letters are joined in the order of the
axes, after one underscore; a name without a suffix is a scalar, a list or a module.
"""

from types import MappingProxyType

__all__ = ["LEGEND"]

LEGEND = MappingProxyType(
    {
        "B": "rows of a batch: independent sequences",
        "T": "time: positions of a window, in order",
        "D": "features going into a layer or model",
        "H": "features coming out of a layer or model; hidden units",
        "G": "gates of a recurrent layer times hidden units",
        "V": "vocabulary: elements that a categorical head can choose",
        "K": "values of an observation, or covariates",
        "L": "layers",
        "N": "elements of a whole share or document",
        "A": "attention heads",
        "C": "features of one attention head",
        "W": "slots of an attention cache: the last window positions",
        "S": "keys that a query may look at: cached and new ones",
        "R": "rows picked from a batch",
        "M": "elements or characters of a query",
        "P": "passages of an indexed text",
        "U": "Unicode code points",
    }
)
