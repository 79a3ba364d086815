"""The training loop, its clock and its checkpoint.

Evaluation and sampling are passed in. Importing this package loads torch.
"""

from rhapsode.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from rhapsode.training.clock import BudgetClock, Clock, StepClock
from rhapsode.training.distributed import Group, ManyProcesses, join_group, joined
from rhapsode.training.events import Evaluated, Event, Finished, Measures, Sampled, Saved, Step
from rhapsode.training.loop_progress import LoopHooks, Progress
from rhapsode.training.machine import (
    faster_precision,
    give_back_memory,
    matmul_rates,
    prepare_process,
    runs,
)
from rhapsode.training.member_loops import MemberLoops, member_seed
from rhapsode.training.optimiser import learning_rate_factor, make_optimiser
from rhapsode.training.planner import PlannedSettings, machine_speed, plan_id_run
from rhapsode.training.training_loop import TrainingLoop

__all__ = [
    "BudgetClock",
    "Checkpoint",
    "Clock",
    "Evaluated",
    "Event",
    "Finished",
    "Group",
    "LoopHooks",
    "Measures",
    "ManyProcesses",
    "MemberLoops",
    "PlannedSettings",
    "Progress",
    "Sampled",
    "Saved",
    "Step",
    "StepClock",
    "TrainingLoop",
    "faster_precision",
    "give_back_memory",
    "join_group",
    "joined",
    "machine_speed",
    "make_optimiser",
    "matmul_rates",
    "member_seed",
    "plan_id_run",
    "prepare_process",
    "learning_rate_factor",
    "read_checkpoint",
    "runs",
    "write_checkpoint",
]
