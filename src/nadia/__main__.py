"""`python -m nadia`: the `nadia` command."""

import sys

from nadia.cli import main

sys.exit(main())
