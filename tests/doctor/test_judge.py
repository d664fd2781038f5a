"""Judging: hostile files, other targets, and all modules of a kernel against their own."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkm.doctor import inventory
from lkm.doctor.case import Case
from lkm.doctor.finding import Severity
from lkm.doctor.judge import Judgement, case_for, judge
from lkm.doctor.symvers import parse, read_headers
from lkm.doctor.target import Policy, Target
from lkm.doctor.target_image import find_vermagic, read_image
from lkm.doctor.target_kernel import kernel_blacklist
from lkm.elf.source import BytesSource
from lkm.errors import FormatError
from lkm.module.image import ModuleImage
from lkm.operations import doctor, targets
from tests.doctor import reality
from tests.support.kernels import kernel_files
from tests.support.modules import built

FILES = kernel_files()
TARGET = Target(FILES.release, read_image(FILES.vmlinuz), tree=reality.tree(FILES))
PARAMS = built("params").read_bytes()


def judged(data: bytes, target: Target = TARGET, parameters: str = "") -> Judgement:
    image = ModuleImage(BytesSource(data, "m.ko"))
    return judge(Case(image, target, data, parameters))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(PARAMS) - 1), st.integers(0, 255)), max_size=40))
def test_damaged_bytes_are_judged_without_an_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(PARAMS)
    for place, value in changes:
        data[place] = value
    judged(bytes(data), parameters="an_int=1 x=y")


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 63),
    st.sampled_from([0, 1, 0x7F, 0xFF, 0x80]),
    st.integers(0, len(PARAMS)),
    st.booleans(),
)
def test_damaged_headers_are_judged_without_an_error(
    place: int, value: int, length: int, cut: bool
) -> None:
    data = bytearray(PARAMS)
    data[place] = value
    judged(bytes(data[:length] if cut else data))


@given(st.binary(max_size=300), st.text(max_size=60))
def test_any_bytes_and_parameters_are_judged(data: bytes, parameters: str) -> None:
    assert not judged(data, parameters=parameters).loads
    judged(PARAMS, parameters=parameters)


def sample(count: int | None) -> list[str]:
    paths = sorted(reality.tree(FILES).modules.values())
    return paths if count is None else random.Random(7).sample(paths, count)


@pytest.mark.parametrize("count", [200, pytest.param(None, marks=pytest.mark.full)])
def test_modules_load_into_their_own_kernel(count: int | None) -> None:
    paths = sample(count)
    refused = [
        (path, found.decisive)
        for path in paths
        if not (found := judge(case_for(path, Path(path).read_bytes(), TARGET))).loads
    ]
    assert refused == []
    assert count or len(paths) > 4000


def test_gates_after_the_refusing_one_are_asked_too() -> None:
    target = replace(TARGET, policy=Policy(modules_disabled=True, blacklist=frozenset({"params"})))
    found = judged(PARAMS, target, "an_int=x")
    assert [f.name for f in found.findings if f.severity is Severity.FATAL] == [
        "modules-disabled",
        "kernel-blacklist",
        "bad-parameter",
    ]
    assert found.decisive is found.findings[0]


def test_an_inventory_answers_as_the_host_itself(tmp_path: Path) -> None:
    target = replace(TARGET, policy=Policy(enforce=True, keys=(b"no certificate",)))
    path = tmp_path / "host.json"
    path.write_bytes(inventory.encode(target))
    again = inventory.read(path)
    for name in ("hello", "importer", "unknown_symbol", "proprietary"):
        data = built(name).read_bytes()
        assert judged(data, again) == judged(data, target)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b'{"schema": "lkm.other/1"}', b"\xff\xfe"])
def test_what_is_no_inventory_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        inventory.decode(data)


def test_headers_tell_the_same_exports_as_the_image() -> None:
    facts = read_headers(FILES.headers, FILES.release, reality.tree(FILES))
    assert dict(facts.exports) == dict(TARGET.image.exports)
    assert facts.vermagic == TARGET.image.vermagic
    assert facts.struct_module == TARGET.image.struct_module
    on = {name: value for name, value in TARGET.image.config.items() if value != "n"}
    assert facts.config == on  # what is off is not written down there


def test_a_signature_that_cannot_be_checked_is_unknown_not_wrong() -> None:
    facts = read_headers(FILES.headers, FILES.release, reality.tree(FILES))
    target = Target("headers only", facts, Policy(enforce=True), tree=reality.tree(FILES))
    found = judged(Path(reality.tree(FILES).modules["loop"]).read_bytes(), target)
    assert found.loads
    assert "signature-unchecked" in [finding.name for finding in found.findings]


@pytest.mark.parametrize("text", ["0x1\tf", "f", "1\tf\tvmlinux\tEXPORT_SYMBOL"])
def test_a_strange_line_of_exports_is_named(text: str) -> None:
    with pytest.raises(FormatError, match=r"symvers:2"):
        parse(f"0x1\tf\tvmlinux\tEXPORT_SYMBOL_GPL\tNS\n{text}\n", "symvers")


def test_the_version_magic_is_found_by_its_form() -> None:
    data = b"Linux version 6.1 (x) #1\0x\0006.1 is here\0006.1 SMP preempt mod_unload \0rest"
    assert find_vermagic(data, "6.1") == "6.1 SMP preempt mod_unload "
    assert find_vermagic(b"nothing", "6.1") == ""


def test_the_kernels_blacklist_is_the_last_one_given() -> None:
    assert kernel_blacklist("quiet module_blacklist=a,b") == {"a", "b"}
    assert kernel_blacklist("module_blacklist=a module_blacklist=c,d x") == {"c", "d"}
    assert kernel_blacklist("quiet") == frozenset()


def test_who_asks_need_not_be_who_loads() -> None:
    """An ordinary user is told of root, not refused; in a container, or after the fact, refused."""
    path = str(built("hello"))
    user = targets.Opened(replace(TARGET, policy=Policy(capable=False)), "here")
    found = doctor.examine(path, (), user)
    assert found.loads
    assert found.why == "here; loading it takes root"
    tried = doctor.examine(path, (), user, as_caller=True)
    assert tried.decisive is not None
    assert (tried.decisive.name, tried.decisive.errno_name) == ("no-capability", "EPERM")
    boxed = Policy(capable=False, container="docker")
    inside = doctor.examine(path, (), targets.Opened(replace(TARGET, policy=boxed), "here"))
    assert inside.decisive is not None
    assert "docker" in inside.decisive.cause
