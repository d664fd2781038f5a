"""What our own modules say of themselves, fact by fact."""

from lkm.module import signature, vermagic
from lkm.module.image import ModuleImage
from tests.support import corrupt, modules


def image(name: str) -> ModuleImage:
    return ModuleImage.open(modules.built(name))


def letters(module: ModuleImage) -> str:
    return "".join(flag.letter for flag in module.taints)


def test_entry_points() -> None:
    assert (image("hello").init, image("hello").exit) == ("hello_init", "hello_exit")
    assert (image("no_exit").init, image("no_exit").exit) == ("no_exit_init", None)
    assert (image("exporter").init, image("exporter").exit) == (None, None)


def test_taints() -> None:
    assert letters(image("hello")) == "O"
    assert letters(image("proprietary")) == "PO"
    data = modules.built("hello").read_bytes()
    assert letters(ModuleImage.from_bytes(corrupt.without_field(data, "license"))) == "PO"
    shorter = corrupt.with_field(data, "license", "MIT")
    assert ModuleImage.from_bytes(shorter).licence == "MIT"
    assert ModuleImage.from_bytes(shorter).proprietary
    intree = corrupt.with_field(data, "retpoline", "Y").replace(b"\0retpoline=", b"\0in_tree__=")
    assert not ModuleImage.from_bytes(intree).retpoline


def test_what_a_distribution_module_is() -> None:
    path = modules.distributed("e1000e")
    module = ModuleImage.open(path)
    assert letters(module) == ""
    assert (module.has_dwarf, module.has_btf, module.retpoline) == (False, True, True)
    assert not module.out_of_tree
    staging = modules.distributed("r8188eu")
    assert letters(ModuleImage.open(staging)) == "C"


def test_debug_information() -> None:
    assert image("hello").has_dwarf


def test_declarations() -> None:
    module = image("described")
    assert module.softdeps == ("pre: hello post: params",)
    assert "lkm-test-alias" in module.aliases
    assert "usb:v1D6Bp7357d*dc*dsc*dp*ic*isc*ip*in*" in module.aliases
    assert module.modinfo.get("version") == "1.2.3-test"
    assert module.modinfo.all("author") == (
        "Zweite Autorin mit Umläuten <zweite@example.org>",
        "First Author <first@example.org>",
    )
    assert image("importer").depends == ("exporter",)


def test_vermagic_word_by_word() -> None:
    ours = vermagic.parse("6.1.0 SMP preempt mod_unload modversions ")
    kernel = vermagic.parse("6.1.9 SMP mod_unload modversions RANDSTRUCT ")
    assert ours.symbol_versions
    found = vermagic.compare(ours, kernel, has_versions=False)
    assert found.release == ("6.1.0", "6.1.9")
    assert (found.missing, found.surplus) == (("RANDSTRUCT",), ("preempt",))
    assert vermagic.compare(ours, kernel, has_versions=True).release is None
    assert not vermagic.compare(ours, ours, has_versions=False)


def test_the_signature_is_read_from_the_end_of_the_file() -> None:
    path = modules.distributed("e1000e")
    module = ModuleImage.open(path)
    assert module.signature == signature.read(path.read_bytes(), str(path))
    assert module.signature is not None
    assert image("hello").signature is None
