"""S."""
import asyncio
async def serve(*a):
    await asyncio.Event().wait()
