"""The textbook transformer: settings, plan defaults, engine form. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from rhapsode.config import SeenContext
from rhapsode.models.families import EngineForm, Family, FamilyPlan, PlanRequest

# Default number of positions of `transformer_classic.v1`.
LENGTH = 128


@dataclass(frozen=True)
class TransformerClassicConfig:
    """Settings of `transformer_classic.v1`."""

    input_size: Annotated[int, Meta(ge=1, le=1 << 20)]
    """Number of input features, which is the width of the model."""
    num_layers: Annotated[int, Meta(ge=1, le=256)] = 1
    """Number of blocks of attention and feed-forward."""
    num_heads: Annotated[int, Meta(ge=1, le=1024)] = 4
    """Number of attention heads; it must divide the width."""
    length: Annotated[int, Meta(ge=1, le=1 << 20)] = LENGTH
    """Number of position embeddings: the longest sequence that can be read."""
    feedforward_size: Annotated[int, Meta(ge=1, le=1 << 20)] | None = None
    """Units of the feed-forward layer. [default: 4 times the width]"""
    dropout: Annotated[float, Meta(ge=0.0, lt=1.0)] = 0.0
    """Dropout of attention weights, feed-forward units and residual branches."""


class TransformerClassicFamily(Family):
    """Decoder with learned positions, trained and used in a fixed window."""

    Config = TransformerClassicConfig
    network = "rhapsode.models.transformer_classic.network:TransformerClassic"
    embedding_std = 0.02

    @classmethod
    def plan(cls, request: PlanRequest) -> FamilyPlan:
        # Above 768 units, estimated for GPUs: 3/8 of them, in heads of 32.
        width = 128 if request.hidden_size <= 384 else max(192, request.hidden_size // 128 * 48)
        width = width // 32 * 32
        network = {
            "embedding_size": width,
            "num_layers": 2,
            "num_heads": width // 32,
            "length": request.window,
            "dropout": round(request.dropout / 2, 2),
        }
        return FamilyPlan(network, 1e-3, f"2 layers of {width}")

    @classmethod
    def inner_cost(cls, hidden_size: int) -> int:
        return 4 * 12 * (hidden_size * 3 // 8) ** 2

    @classmethod
    def fixed_window(cls, settings: Mapping[str, Any]) -> int:
        length = settings.get("length")
        return length if isinstance(length, int) else LENGTH

    @classmethod
    def engine_form(cls, settings: Mapping[str, Any], context: SeenContext) -> EngineForm | None:
        if context.kind != "window":
            return None
        names = ("num_layers", "num_heads", "length", "feedforward_size")
        return EngineForm("attention", "learned", {name: settings[name] for name in names})
