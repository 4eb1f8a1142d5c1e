"""Answer the questions on standard input. Run as `python -m billing.proofs.rater`."""

import sys

from billing.proofs.rater.protocol import talk

if __name__ == "__main__":
    talk(sys.stdin, sys.stdout)
