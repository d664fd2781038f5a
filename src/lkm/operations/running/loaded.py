"""Which modules a kernel has loaded."""

from __future__ import annotations

from lkm.kernel.proc import LoadedModule, parse_modules


def loaded_modules(where: str = "live", path: str = "/proc/modules") -> tuple[LoadedModule, ...]:
    """Return the modules of a kernel, or those listed in the text file ``path``, newest first.

    ``where`` is as ``lkm.kernel.open`` takes it. Raises FormatError for a text that is not
    what the kernel writes, an OSError when there is none.
    """
    if where != "live":
        from lkm.kernel.open import open_kernel  # not needed to read a file

        kernel = open_kernel(where)
        try:
            return kernel.modules()
        finally:
            kernel.close()
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return parse_modules(file.read())
