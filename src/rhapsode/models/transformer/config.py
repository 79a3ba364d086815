"""The transformer: settings, plan defaults, engine form. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from rhapsode.config import SeenContext
from rhapsode.models.families import EngineForm, Family, FamilyPlan, PlanRequest

# Width and layers by the units of a recurrent network of about the same cost. From the third on
# they are estimated for GPUs, not measured.
SIZES = {384: (128, 2), 768: (192, 3), 1024: (256, 4), 1536: (384, 6)}
LARGEST = (512, 8)


@dataclass(frozen=True)
class TransformerConfig:
    """Settings of `transformer.v1`."""

    input_size: Annotated[int, Meta(ge=1, le=1 << 20)]
    """Number of input features, which is the width of the model."""
    num_layers: Annotated[int, Meta(ge=1, le=256)] = 4
    """Number of blocks of attention and feed-forward."""
    num_heads: Annotated[int, Meta(ge=1, le=1024)] = 4
    """Number of attention heads; the width divided by it must be an even number."""
    window: Annotated[int, Meta(ge=1, le=1 << 20)] = 256
    """Attention window: the number of positions that a position attends to, including itself."""
    feedforward_size: Annotated[int, Meta(ge=1, le=1 << 20)] | None = None
    """Units of the SwiGLU feed-forward layer. [default: 8/3 of the width, rounded up to a multiple
    of 16]"""
    dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    """Dropout of the output of each residual branch."""
    rope_base: Annotated[float, Meta(gt=1.0, le=1e12)] = 10000.0
    """Base of the rotary position frequencies."""


class TransformerFamily(Family):
    """Decoder with rotary positions and a ring buffer of keys and values."""

    Config = TransformerConfig
    network = "rhapsode.models.transformer.network:Transformer"
    head_bias = False
    # The residual stream starts small, as its branches do.
    embedding_std = 0.02

    @classmethod
    def plan(cls, request: PlanRequest) -> FamilyPlan:
        """Two or three layers on CPUs, where updates help more."""
        largest = next((size for size in SIZES if request.hidden_size <= size), None)
        width, layers = SIZES[largest] if largest else LARGEST
        network = {
            "embedding_size": width,
            "num_layers": layers,
            "num_heads": width // 32,
            "window": request.window,
            "dropout": round(request.dropout / 2, 2),
        }
        return FamilyPlan(network, 3e-3, f"{layers} layers of {width}")

    @classmethod
    def inner_cost(cls, hidden_size: int) -> int:
        return 4 * 12 * (hidden_size * 3 // 8) ** 2

    @classmethod
    def engine_form(cls, settings: Mapping[str, Any], context: SeenContext) -> EngineForm:
        names = ("num_layers", "num_heads", "window", "feedforward_size", "rope_base")
        return EngineForm("attention", "rotary", {name: settings[name] for name in names})
