"""Options are taken apart as getopt_long does: the real modinfo and modprobe are asked."""

import subprocess

import pytest

from lkm.cli.kmod_options import HELP, JSON, VERSION, Option, OptionError, Tool, help_text, parse

MODINFO = Tool(
    "modinfo",
    ("[options] <modulename|filename> [args]",),
    (
        Option("a", "author"),
        Option("d", "description"),
        Option("l", "license"),
        Option("p", "parameters"),
        Option("n", "filename"),
        Option("0", "null"),
        Option("m", "modname"),
        Option("F", "field", "FIELD", "Print only FIELD"),
        Option("k", "set-version", "VERSION"),
        Option("b", "basedir", "DIR"),
        VERSION,
        HELP,
        JSON,
    ),
)

WRONG = [
    ["-x", "a"],
    ["-ax"],
    ["--xx"],
    ["--xx=1"],
    ["--fi"],
    ["--fi=3"],
    ["-F"],
    ["-aF"],
    ["--field"],
    ["--fie"],
    ["--null=3"],
    ["--nul=3"],
    ["-ab"],
]


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_a_wrong_command_line_gets_getopts_message(arguments: list[str]) -> None:
    real = subprocess.run(["modinfo", *arguments], capture_output=True, text=True, check=False)
    assert real.returncode == 1
    with pytest.raises(OptionError) as caught:
        parse(MODINFO, arguments)
    assert str(caught.value) + "\n" == real.stderr


def test_every_way_to_write_an_option() -> None:
    parsed = parse(
        MODINFO,
        ["-an0Fx", "one", "--field=y", "--fie", "z", "-b", "/r", "two", "--", "-a"],
    )
    assert parsed.options == (
        ("author", ""),
        ("filename", ""),
        ("null", ""),
        ("field", "x"),
        ("field", "y"),
        ("field", "z"),
        ("basedir", "/r"),
    )
    assert parsed.operands == ("one", "two", "-a")
    assert parsed.last("field") == "z"
    assert parsed.all("field") == ("x", "y", "z")
    assert parsed.has("null")
    assert not parsed.has("modname")
    assert parsed.last("set-version") is None


def test_a_single_dash_is_an_operand() -> None:
    assert parse(MODINFO, ["-", "-a"]).operands == ("-",)


def test_posixly_correct_stops_at_the_first_operand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSIXLY_CORRECT", "1")
    assert parse(MODINFO, ["-a", "x", "-d"]).operands == ("x", "-d")


def test_own_options_cannot_be_abbreviated() -> None:
    assert parse(MODINFO, ["--json"]).has("json")
    with pytest.raises(OptionError, match="unrecognized option '--jso'"):
        parse(MODINFO, ["--jso"])


def test_other_names_of_one_option_are_not_ambiguous() -> None:
    tool = Tool("modprobe", ("x",), (Option("c", "showconfig show-config"), Option("S", "set")))
    assert parse(tool, ["--show"]).options == (("showconfig", ""),)
    with pytest.raises(OptionError, match="possibilities: '--showconfig' '--show-config' '--set'"):
        parse(tool, ["--s"])


def test_help_names_every_option() -> None:
    text = help_text(MODINFO)
    assert text.startswith("Usage:\n\tmodinfo [options] <modulename|filename> [args]\nOptions:\n")
    assert "\t-F, --field=FIELD           Print only FIELD\n" in text
    assert text.partition("\n\nExamples:")[0].count("\n") == 2 + len(MODINFO.options)
