"""The folder that holds all results of one run: read, added to, checked."""

from .check import Fault as Fault
from .check import check_study as check_study
from .folder import NetworkResults as NetworkResults
from .sources import images_of as images_of
from .sources import network_of as network_of
