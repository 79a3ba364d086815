"""Long short-term memory: settings and plan defaults. No torch."""

from typing import ClassVar

from rhapsode.models.families import LARGE_VOCABULARY, FamilyPlan, PlanRequest
from rhapsode.models.recurrent_config import GatedConfig, RecurrentFamily


class LSTMFamily(RecurrentFamily):
    """Long short-term memory."""

    Config = GatedConfig
    network = "rhapsode.models.lstm.network:LSTM"
    cell: ClassVar[str | None] = "lstm"
    products = 4
    training_speed = 1.0
    averages = True
    remembers_documents = True

    @classmethod
    def plan(cls, request: PlanRequest) -> FamilyPlan:
        """One layer; with a large vocabulary one table for input and output."""
        plan, size = super().plan(request), request.hidden_size
        if request.vocab_size <= LARGE_VOCABULARY or cls.sees_inputs:
            return plan
        tied = {
            "embedding_size": size,
            "tied": True,
            "input_dropout": round(request.dropout / 2, 2),
        }
        network = {**plan.network, **tied}
        return FamilyPlan(network, 4e-3, f"{size} units, one table for input and output")

    @classmethod
    def learning_rate(cls, hidden_size: int) -> float:
        """Learning rate, fitted to the best ones at 256 to 768 units."""
        return round(min(8e-3, 2.3 / hidden_size), 4)
