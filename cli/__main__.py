"""`python -P -m cli`: how `up` starts the processes that it watches."""

from cli.main import main

main()
