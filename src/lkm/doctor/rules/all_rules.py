"""All rules, in the order in which they are tried."""

from __future__ import annotations

from lkm.doctor.rules.builds import BUILDS
from lkm.doctor.rules.compilers import COMPILERS
from lkm.doctor.rules.installers import INSTALLERS
from lkm.doctor.rules.kernel import KERNEL
from lkm.doctor.rules.relocations import RELOCATIONS
from lkm.doctor.rules.subsystems import SUBSYSTEMS
from lkm.doctor.rules.tools import TOOLS

RULES = (*RELOCATIONS, *INSTALLERS, *KERNEL, *SUBSYSTEMS, *BUILDS, *TOOLS, *COMPILERS)
"""The first that matches a line explains it."""
