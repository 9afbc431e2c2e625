"""The invariants of a history, each a class whose docstring is its rule.

- owners.py: One owner, Fence, Justified restart
- ends.py: One end, Cancel, No loss
- effects.py: Effects
- requests.py: No phantom, Idempotency
- clocks.py: Time; liveness.py, spans.py: Liveness
- workers.py: No false loss
- census.py: Conservation
"""

from __future__ import annotations

from esteira.history.invariants.census import Conservation
from esteira.history.invariants.clocks import Time
from esteira.history.invariants.effects import EffectsOnce
from esteira.history.invariants.ends import Cancel, NoLoss, OneEnd
from esteira.history.invariants.invariant import Breach, Invariant, Terms
from esteira.history.invariants.liveness import Liveness
from esteira.history.invariants.owners import Fence, JustifiedRestart, OneOwner
from esteira.history.invariants.requests import Idempotency, NoPhantom
from esteira.history.invariants.workers import NoFalseLoss

# In the order in which one of several that a row of the record breaks is named: the cause before what follows of it.
INVARIANTS: tuple[type[Invariant], ...] = (
    Fence,
    OneOwner,
    JustifiedRestart,
    NoFalseLoss,
    Cancel,
    OneEnd,
    Time,
    Idempotency,
    NoPhantom,
    NoLoss,
    EffectsOnce,
    Conservation,
    Liveness,
)

__all__ = ["INVARIANTS", "Breach", "Invariant", "Terms"]
