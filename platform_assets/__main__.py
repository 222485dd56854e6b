"""`platform-assets`: run the chain, reproduce a version, answer for a verdict, ask what happened and why."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from platform_assets.errors import PlatformError


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the command line; 0 when all went well, 1 with one clear error otherwise."""
    from platform_assets.command_line import (
        approvals,
        champions,
        contract,
        lineage,
        plan,
        reproduction,
        run,
        schema,
        verification,
        waivers,
    )

    parser = argparse.ArgumentParser(prog="platform-assets", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for module in (
        run,
        plan,
        schema,
        reproduction,
        waivers,
        approvals,
        champions,
        contract,
        lineage,
        verification,
    ):
        module.add_parser(commands)
    chosen = parser.parse_args(arguments)
    try:
        code: int = chosen.function(chosen)
    except PlatformError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    raise SystemExit(main())
