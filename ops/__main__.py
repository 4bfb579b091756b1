"""`python -m ops`: see `cli`."""

import sys

if __name__ == "__main__":
    try:
        from ops.cli import main

        main()
    except KeyboardInterrupt:  # so early that no verb has begun
        sys.exit(130)
