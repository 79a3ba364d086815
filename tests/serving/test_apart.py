"""Threads outside the slots keep their places until they end."""

from __future__ import annotations

import asyncio
import threading

from rhapsode.serving.serve_settings import ServeSettings
from rhapsode.serving.served_model import ModelTable
from rhapsode.serving.server_state import SCORING, ServerState


def test_an_abandoned_thread_keeps_its_place() -> None:
    async def run() -> None:
        state, going = ServerState(ModelTable([]), ServeSettings()), threading.Event()

        async def wait(number: int) -> int:
            def work() -> int:
                going.wait(10)
                return number

            return await asyncio.shield(await state.start_apart(work))

        several = [asyncio.create_task(wait(number)) for number in range(SCORING)]
        while not state.scoring.locked():
            await asyncio.sleep(0)
        several[0].cancel()
        await asyncio.gather(several[0], return_exceptions=True)
        late = asyncio.create_task(wait(7))
        await asyncio.sleep(0.02)
        assert state.scoring.locked()
        assert not late.done()
        going.set()
        assert await late == 7
        assert await asyncio.gather(*several[1:]) == list(range(1, SCORING))
        await asyncio.sleep(0)
        assert not state.scoring.locked()

    asyncio.run(run())
