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
        "N": "elements of a whole share or document; rows of a table or of all series of a set",
        "A": "attention heads; attributes of a whole series",
        "C": (
            "features of one attention head or of a source; covariates known ahead; "
            "context integers"
        ),
        "W": "slots of an attention cache: the last window positions",
        "S": (
            "keys that a query may look at: cached and new ones; elements of a source; "
            "series of a set; paths of a forecast; states of an automaton"
        ),
        "Q": "quantile levels",
        "R": "rows picked from a batch; runs of digits in a cell",
        "M": "elements or characters of a query; sources of a memory that rows share",
        "P": "passages of an indexed text",
        "U": "Unicode code points",
        "F": "parts of a date: year, month, day",
    }
)
