"""`platform-assets`: run the chain, reproduce a version, answer for a verdict, ask what happened and why."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from platform_assets.errors import PlatformError
from platform_assets.lake.storage_errors import fix_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the command line; 0 when all went well, 1 with one clear error otherwise."""
    from platform_assets.command_line import (
        approvals,
        champions,
        comparison,
        contract,
        feast_snapshot,
        garbage,
        lineage,
        parity,
        plan,
        registry,
        reproduction,
        run,
        schema,
        verification,
        waivers,
        withdrawals,
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
        withdrawals,
        champions,
        contract,
        comparison,
        lineage,
        verification,
        garbage,
        registry,
        feast_snapshot,
        parity,
    ):
        module.add_parser(commands)
    chosen = parser.parse_args(arguments)
    try:
        code: int = chosen.function(chosen)
    except PlatformError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        # a disk can fail under any library; everything else is a defect and keeps its traceback
        fix = fix_of(error)
        if fix is None:
            raise
        print(f"\nerror: {type(error).__name__}: {error}; {fix}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    raise SystemExit(main())
