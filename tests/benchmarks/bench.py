"""What every measure is given."""

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console

from tests.benchmarks.contenders import Contender
from tests.benchmarks.figures import Figures
from tests.benchmarks.servers import Ground
from tests.benchmarks.stage import Stage


@dataclass(frozen=True)
class Scale:
    """How much of everything. Rounds alternate between the contenders, so that a slow minute hits them all."""

    rounds: int
    drain_adds: int
    http_adds: int
    submit_adds: int
    bulk_adds: int
    claims: int
    latency_adds: int
    idle_s: float
    depth_adds: int
    deep_adds: int
    workers_adds: int
    memory_adds: int
    memory_more_adds: int
    bound_inserts: int
    old_receipts: int
    waiting_callers: int


FULL = Scale(
    rounds=5,
    drain_adds=50_000,
    http_adds=10_000,
    submit_adds=20_000,
    bulk_adds=100_000,
    claims=300,
    latency_adds=400,
    idle_s=20,
    depth_adds=10_000,
    deep_adds=1_000_000,
    workers_adds=30_000,
    memory_adds=10_000,
    memory_more_adds=1_000_000,
    bound_inserts=20_000,
    old_receipts=1_000_000,
    waiting_callers=1_000,
)

QUICK = Scale(
    rounds=1,
    drain_adds=1_000,
    http_adds=200,
    submit_adds=500,
    bulk_adds=1_000,
    claims=10,
    latency_adds=20,
    idle_s=2,
    depth_adds=1_000,
    deep_adds=4_000,
    workers_adds=1_000,
    memory_adds=300,
    memory_more_adds=600,
    bound_inserts=500,
    old_receipts=20_000,
    waiting_callers=100,
)


@dataclass(frozen=True)
class Bench:
    ground: Ground
    scale: Scale
    figures: Figures
    console: Console
    contenders: list[Contender]

    def rivals(self) -> Iterable[str]:
        """The names of those that do what dibs does: accept work and keep it."""
        return [c.name for c in self.contenders if c.name not in {"dibs", "no queue"}]

    async def check(self, contender: Contender, stage: Stage, adds: int) -> None:
        """As `Stage.check`; what a rival inserted twice is told and goes on."""
        doubled = await stage.check(adds, receipts=contender.receipts, may_double=contender.may_double)
        if doubled:
            self.figures.remark(f"{contender.name} inserted {doubled} of {adds} adds twice")
            self.tell(f"{contender.name} inserted {doubled} of {adds} adds twice")

    def tell(self, line: str) -> None:
        self.console.print(line, style="dim", highlight=False)
