"""The demo's identity provider in a process of its own, where its package is installed (`pip install canaille[front,oidc]`)."""

import asyncio
import importlib.util
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def identity_provider(address: str) -> AsyncIterator[Mapping[str, str] | None]:
    """Run the provider for a service at this address: `{"issuer", "client_id", "client_secret"}`, None where there is no package."""
    if importlib.util.find_spec("canaille") is None:
        yield None
        return
    names = {address, address.replace("127.0.0.1", "localhost")}  # people type either
    services = [word for name in sorted(names) for word in ("--service", name)]
    words = ("-W", "ignore", "-m", "fieldsvc.simulate.provider", *services, "--wait")
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdin=pipe, stdout=pipe, stderr=nowhere, start_new_session=True
    )
    try:
        line = await process.stdout.readline() if process.stdout is not None else b""
        yield json.loads(line) if line else None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
