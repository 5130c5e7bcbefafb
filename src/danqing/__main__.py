"""`python -m danqing` is `danqing`."""

import sys

from danqing.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
