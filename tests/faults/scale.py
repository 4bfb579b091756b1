"""How large the fault tests are: `--full` sets it before they are imported."""

# The numbers of the promise itself; else the tests prove the same with fewer, in CI's time.
FULL = False
