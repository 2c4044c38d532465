"""`python -m hub` is `yitong`."""

from hub.cli.main import main

if __name__ == "__main__":
    main()
