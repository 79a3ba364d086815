"""`python -m rhapsode`."""

import sys

from rhapsode.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
