"""``python -m layerscope``."""

from layerscope.cli.main import main

main()
