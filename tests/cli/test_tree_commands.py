"""why, graph, lint, diff, kernels, lsmod and kmod as one types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lkm.operations.static_nodes import static_nodes
from lkm.tree.root import Root
from tests.support.kernels import KernelFiles
from tests.support.text_tree import text_tree

MODULES = (
    "snd_timer 45056 1 snd_pcm, Live 0x0000000000000000\n"
    "snd 131072 3 snd_timer,snd_pcm, Live 0xffffffffc0000000 (OE)\n"
    "loop 36864 0 - Live 0x0000000000000000\n"
)


def lkm(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lkm", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _tree(tmp_path: Path) -> list[str]:
    text_tree(tmp_path, "a.ko: b.ko\nb.ko:\n", "options a x=1\nblacklist b\nodd\n")
    return ["--root", str(tmp_path), "--release", "1", "--command-line", ""]


def test_why_shows_the_order_and_the_rules(tmp_path: Path) -> None:
    done = lkm("why", "a", *_tree(tmp_path))
    assert done.returncode == 0
    first, _, rest = done.stdout.partition("\n")
    assert first == f"a means a, in {tmp_path}/lib/modules/1"
    assert str(tmp_path / "lib") not in rest.partition("note: ")[0]
    assert "  a   modules.dep.bin\n" in done.stdout
    assert "  1. load b.ko   (dependency of a)\n  2. load a.ko x=1   (asked for)\n" in done.stdout
    assert "test.conf:2: blacklist b   has no effect: it is loaded as a dependency of a" in (
        done.stdout
    )


@pytest.mark.parametrize("verb", [["why", "a"], ["lint", "--all"]])
def test_bytes_of_no_encoding_are_shown_as_they_are(tmp_path: Path, verb: list[str]) -> None:
    where = _tree(tmp_path)
    (tmp_path / "etc/modprobe.d/test.conf").write_bytes(b"options a x=\xff\nblacklist \xfe\n")
    command = [sys.executable, "-m", "lkm", *verb, *where]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (b"x=\xff" if verb[0] == "why" else b"\xfe is no module") in done.stdout
    assert b"Traceback" not in done.stderr


def test_why_of_an_unknown_name_fails_and_says_where_it_looked(tmp_path: Path) -> None:
    done = lkm("why", "nowhere", *_tree(tmp_path))
    assert done.returncode == 1
    assert f"looked in {tmp_path}/lib/modules/1" in done.stdout


def test_lint_prints_like_a_compiler_and_fails(tmp_path: Path) -> None:
    done = lkm("lint", *_tree(tmp_path))
    assert done.returncode == 1
    assert "test.conf:3: error: modprobe does not understand this line" in done.stdout


@pytest.mark.parametrize(
    ("verb", "arguments", "members"),
    [
        ("why", ["a"], {"name", "meanings", "steps", "rules", "problems", "similar", "early"}),
        ("graph", ["a"], {"roots", "modules", "edges", "problems"}),
        ("lint", [], {"findings"}),
    ],
)
def test_json_documents(tmp_path: Path, verb: str, arguments: list[str], members: set[str]) -> None:
    document = json.loads(lkm(verb, *arguments, *_tree(tmp_path), "--json").stdout)
    assert document["schema"] == f"lkm.{verb}/1"
    assert set(document) == members | {"schema"}


@pytest.mark.parametrize("verb", ["graph", "why"])
def test_what_is_read_instead_of_a_damaged_index_is_said(tmp_path: Path, verb: str) -> None:
    options = _tree(tmp_path)
    (damaged,) = (path.with_suffix(".dep.bin") for path in tmp_path.rglob("modules.dep"))
    damaged.write_bytes(b"damaged")
    done = lkm(verb, "a", *options)
    assert done.returncode == 0
    said = [line for line in (done.stdout + done.stderr).splitlines() if "modules.dep.bin" in line]
    assert any("/modules.dep was read instead (depmod makes it anew)" in line for line in said)


def test_graph_draws_svg(tmp_path: Path) -> None:
    done = lkm("graph", "a", "--svg", *_tree(tmp_path))
    assert done.stdout.startswith("<?xml")
    assert lkm("graph").returncode == 2


def test_modprobe_prints_a_plan_as_json(tmp_path: Path) -> None:
    _tree(tmp_path)
    done = lkm("modprobe", "-d", str(tmp_path), "-S", "1", "-D", "--json", "a", "y=2")
    (plan,) = json.loads(done.stdout)["plans"]
    steps = [step for target in plan["targets"] for step in target["steps"]]
    assert [(step["kind"], step["module"]) for step in steps] == [("insmod", "b"), ("insmod", "a")]


def test_diff_of_a_root_with_itself_is_empty(tmp_path: Path, kernel: KernelFiles) -> None:
    folder = tmp_path / "lib/modules/1/kernel"
    folder.mkdir(parents=True)
    (folder / "crc16.ko").write_bytes((kernel.modules / "kernel/lib/crc16.ko").read_bytes())
    done = lkm("diff", str(tmp_path), str(tmp_path))
    assert done.returncode == 0
    assert "exports: 0 gained, 0 lost, 0 changed" in done.stdout


def test_kernels_are_listed(kernel: KernelFiles) -> None:
    assert kernel.release in lkm("kernels").stdout
    kernels = json.loads(lkm("kernels", "--json").stdout)["kernels"]
    assert {"release", "root", "vmlinuz", "modules", "headers", "fetched"} == set(kernels[0])


def test_lsmod_of_a_saved_file(tmp_path: Path) -> None:
    saved = tmp_path / "modules"
    saved.write_text(MODULES)
    assert lkm("lsmod", "--file", str(saved)).stdout == (
        "Module                  Size  Used by\n"
        "snd_timer              45056  1 snd_pcm\n"
        "snd                   131072  3 snd_timer,snd_pcm\n"
        "loop                   36864  0\n"
    )
    document = json.loads(lkm("lsmod", "--json", "--file", str(saved)).stdout)
    assert [module["name"] for module in document["modules"]] == ["snd_timer", "snd", "loop"]


def test_lsmod_takes_no_operand() -> None:
    real = subprocess.run(["lsmod", "x"], capture_output=True, text=True, check=False)
    ours = lkm("lsmod", "x")
    assert (ours.stdout, ours.stderr, ours.returncode) == (real.stdout, real.stderr, 1)


STATIC_NODES = {
    "devname": "net tun/tap c10:200\nloop loop0 b7:0\n",
    "tmpfiles": "d /dev/tun 0755 - - -\nc! /dev/tun/tap 0600 - - - 10:200\n"
    "b! /dev/loop0 0600 - - - 7:0\n",
    "human": "Module: net\n\tDevice node: /dev/tun/tap\n\t\tType: character device\n"
    "\t\tMajor: 10\n\t\tMinor: 200\nModule: loop\n\tDevice node: /dev/loop0\n"
    "\t\tType: block device\n\t\tMajor: 7\n\t\tMinor: 0\n",
}


@pytest.mark.parametrize("chosen", sorted(STATIC_NODES))
def test_static_nodes_in_kmods_formats(tmp_path: Path, chosen: str) -> None:
    text_tree(tmp_path, "", devname="# c\nnet tun/tap c10:200\nloop loop0 b7:0\n")
    where = ["--dirname", str(tmp_path), "--set-version", "1"]
    done = lkm("kmod", "static-nodes", "-f", chosen, *where)
    assert (done.stdout, done.returncode) == (STATIC_NODES[chosen], 0)
    output = tmp_path / "new/folder/file"
    lkm("kmod", "static-nodes", f"--format={chosen}", "-o", str(output), *where)
    assert output.read_text() == STATIC_NODES[chosen]


def test_a_line_that_is_no_static_node_is_told(tmp_path: Path) -> None:
    text_tree(tmp_path, "", devname="net tun x10:200\nnet\nloop loop0 b7:0\n")
    nodes, bad = static_nodes(Root(tmp_path, "1"))
    assert [node.name for node in nodes] == ["loop0"]
    assert len(bad) == 2


def test_kmod_without_a_known_command_shows_its_help() -> None:
    assert lkm("kmod").stderr == "missing command\n"
    done = lkm("kmod", "frobnicate")
    assert (done.returncode, done.stderr) == (1, "invalid command 'frobnicate'\n")
    assert "static-nodes" in done.stdout
    assert lkm("kmod", "-V").stdout.startswith("lkm version")
    assert lkm("kmod", "help").returncode == 0
