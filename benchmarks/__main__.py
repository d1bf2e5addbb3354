"""Run benchmarks, all or those named: ``python -m benchmarks [name ...]``."""

import asyncio
import importlib
import pkgutil
import sys
from pathlib import Path

import benchmarks

_NOT_BENCHMARKS = {"__main__", "day", "report"}

# They start the system the way the tests do.
sys.path.append(str(Path(__file__).parent.parent / "tests"))


def main(names: list[str]) -> int:
    """Run them one after the other; each prints its figures."""
    known = sorted({module.name for module in pkgutil.iter_modules(benchmarks.__path__)} - _NOT_BENCHMARKS)
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    for name in names or known:
        asyncio.run(importlib.import_module(f"benchmarks.{name}").main())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
