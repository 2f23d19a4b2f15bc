"""See `process`."""

import sys

from judge_opt.testing.lab.process import serve

if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
