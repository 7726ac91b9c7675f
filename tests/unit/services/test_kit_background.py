"""Work beside the requests ends with the service, and not before it has tidied up."""

import asyncio

from services.kit.background import in_background


def test_the_work_runs_during_the_block_and_has_ended_after_it() -> None:
    told: list[str] = []

    async def work() -> None:
        told.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            told.append("tidied up")

    async def main() -> None:
        async with in_background(work()):
            while not told:
                await asyncio.sleep(0)
        told.append("after")

    asyncio.run(main())
    assert told == ["begun", "tidied up", "after"]
