"""The container's health: the node of the settings file answers a C-ECHO.

`mome-node check` asks every peer and loads the models; that is for people, not for every 30 s.
"""

import sys
from pathlib import Path

from mome_node.delivery.destination import Destination
from mome_node.delivery.ping import ping
from mome_node.settings import load_settings

settings = load_settings(Path(sys.argv[1] if sys.argv[1:] else "/etc/mome-node/node.toml"))
ours = settings.node.ae_title
echo = ping(Destination("this node", ours, "127.0.0.1", settings.dicom.port, ours))
sys.stdout.write(f"{echo.words}\n")
sys.exit(0 if echo.reached else 1)
