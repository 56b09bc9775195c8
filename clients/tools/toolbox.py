# SPDX-License-Identifier: MIT
"""What the tools of this folder share: the library, options, output and a clean end."""
from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import ssl
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar

try:
    import samovar_sam as sam
except ModuleNotFoundError:     # not installed: it lies beside this folder
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "python"))
    import samovar_sam as sam

__all__ = ["bridge", "opened", "options", "parser", "run", "sam", "say", "serve"]

S = TypeVar("S", sam.StreamSession, sam.PrimarySession)


def options(keys: bool = False) -> argparse.ArgumentParser:
    """The options that all tools have; `keys` for those whose address should be the same every time."""
    common = argparse.ArgumentParser(add_help=False)
    group = common.add_argument_group("the router")
    group.add_argument("--sam", metavar="ADDRESS", default=os.environ.get("SAM", "127.0.0.1:7656"),
                       help="its SAM bridge: HOST:PORT, tls://HOST:PORT or unix:PATH, with USER:PASSWORD@ before the "
                            "host if it asks for them [$SAM, or 127.0.0.1:7656]")
    group.add_argument("--sam-ca", metavar="FILE", help="with tls://, the certificate (PEM) to trust")
    group.add_argument("--hops", type=int, metavar="N", help="hops of each tunnel [the router's default, often 3]")
    group.add_argument("--tunnels", type=int, metavar="N", help="tunnels each way [the router's default]")
    if keys:
        group.add_argument("--keys", metavar="FILE", help="keep the address in this file, which is made at the first "
                           "use; whoever has it has the address [a new address every time]")
    group.add_argument("-v", "--verbose", action="count", default=0,
                       help="show more; twice: every line of the protocol")
    return common


def parser(doc: str | None, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """A parser whose help is the text at the head of a tool."""
    text = (doc or "").strip()
    kind = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=text, parents=parents, formatter_class=kind)


def bridge(args: argparse.Namespace) -> sam.Bridge:
    """The router that the options name."""
    try:
        found = sam.Bridge.parse(args.sam)
    except ValueError as error:
        raise SystemExit(f"{Path(sys.argv[0]).name}: {error}") from None
    if args.sam_ca:
        context = ssl.create_default_context(cafile=args.sam_ca)
        return sam.Bridge(**{**vars(found), "tls": context})
    return found


def opened(args: argparse.Namespace) -> dict[str, Any]:
    """What the functions of the library that open sessions are called with."""
    return {"sam": bridge(args), "hops": args.hops, "tunnels": args.tunnels, "keys": getattr(args, "keys", None)}


def say(*words: object) -> None:
    """For people; what programs may want to read is printed."""
    print(*words, file=sys.stderr, flush=True)


async def serve(opening: sam.Opening[S], work: Callable[[S], Awaitable[object]]) -> None:
    """Does `work` with a session, and again with a new one of the same address whenever the router is lost."""
    async for session in opening:
        try:
            await work(session)
        except sam.SessionClosed as error:
            say(f"the session is over ({error}); opening it again")


def run(main: Callable[[argparse.Namespace], Coroutine[Any, Any, int | None]], args: argparse.Namespace) -> NoReturn:
    """Runs a tool until it is done, or stopped by Ctrl-C or SIGTERM. Errors are one line, without a traceback."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(args.verbose, 2)]
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stderr)

    async def guarded() -> int | None:
        task = asyncio.current_task()
        assert task is not None
        with contextlib.suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await main(args)

    name = Path(sys.argv[0]).name
    try:
        code = asyncio.run(guarded())
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("stopped")
        sys.exit(130)
    except BrokenPipeError:         # of `| head`, which wants no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except TimeoutError as error:
        say(f"{name}: {error or 'no answer in time'}")
        sys.exit(1)
    except (sam.SamError, OSError, ValueError, EOFError) as error:
        say(f"{name}: {error or type(error).__name__}")
        sys.exit(1)
    sys.exit(code or 0)
