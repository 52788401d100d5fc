"""`python -m fieldsvc` and the command `fieldsvc`."""

from fieldsvc.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
