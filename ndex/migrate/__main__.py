"""The command `python -m ndex.migrate`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..errors import NdexError
from . import PROGRAMS, migrated

USAGE = f"""\
python -m ndex.migrate PROGRAM OPTIONS... > jobs/NAME.yaml

prints the job file for a command line of the first ndex. PROGRAM is one of {", ".join(PROGRAMS)}, OPTIONS are its own.
Then: ndex job=NAME action=plan
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the job file; exit code 2 when the command line cannot be read."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given or given[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    try:
        print(migrated(given), end="")
    except NdexError as error:
        print(f"ndex.migrate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
