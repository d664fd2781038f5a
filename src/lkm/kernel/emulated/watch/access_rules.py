"""What a page fault means that a module causes: user pointers, memory of init, an unloaded module.

Source: ``arch/x86/mm/fault.c: do_user_addr_fault`` (SMAP), ``kernel/module/main.c: do_free_init``.
"""

from __future__ import annotations

from lkm.kernel.emulated.watch.checks import Check, Scene
from lkm.kernel.emulated.watch.findings import BrokenRule, KernelRule, Site
from lkm.kernel.emulated.watch.module_map import ModuleMap

_USER_END = 1 << 47
_PRESENT, _WRITE, _FETCH = 1, 2, 16
_ALIGNMENT_CHECK = 1 << 18
_FIRST_PAGE = 4096


class AccessRules(Check):
    """Explains page faults that a module's memory, or user space, has to do with."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._map: ModuleMap | None = None
        self._gone = False

    def attach(self) -> None:
        """Know where the module's sections are."""
        self._map = self.scene.places.map
        self._gone = False

    def leaving(self) -> None:
        """From now on any access to the module's memory is wrong."""
        self._gone = True

    def page_fault(self, address: int, error_code: int) -> None:
        """Report the fault if it is one of these."""
        places = self.scene.places
        here = places.here()
        own = bool(here.section)
        if _FIRST_PAGE <= address < _USER_END and own and not error_code & _FETCH:
            how = "writes to" if error_code & _WRITE else "reads"
            words = (
                f"it {how} the user-space address {address:#x} directly: "
                f"{'copy_to_user()' if error_code & _WRITE else 'copy_from_user()'} is for that"
            )
            self.scene.report(BrokenRule(KernelRule.USER_POINTER, words, here))
            return
        section = self._map.section(address) if self._map else ""
        if not section:
            return
        if self._gone:
            self._report(
                KernelRule.UNLOADED, f"{_how(error_code)} {section} of the unloaded module", address
            )
        elif section.startswith(".init"):
            what = "code" if error_code & _FETCH else "data"
            self._report(
                KernelRule.INIT_MEMORY,
                f"{_how(error_code)} {self._named(address)}, __init {what} "
                "that was freed after initialisation",
                address,
            )

    def _named(self, address: int) -> str:
        places = self.scene.places
        if places.in_text(address):
            return places.function(address)
        return places.name(address)

    def _report(self, rule: KernelRule, words: str, address: int) -> None:
        places = self.scene.places
        here = places.here()
        site: Site | None = here if here.section and here != places.site(address) else None
        site = site or places.caller() or here
        target = places.site(address) if places.in_text(address) else None
        related = (("what was called", target),) if target is not None and target != site else ()
        self.scene.report(BrokenRule(rule, words, site, related))


def _how(error_code: int) -> str:
    if error_code & _FETCH:
        return "runs"
    return "writes to" if error_code & _WRITE else "reads"
