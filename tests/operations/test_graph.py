from pathlib import Path

import pytest

from lkm.cli.commands.graph import dot_text, tree_text
from lkm.errors import NotFoundError
from lkm.operations.graph import graph_of, reverse_graph_of, whole_graph
from lkm.operations.resolve import open_resolver
from tests.support.text_tree import text_tree

DEPENDENCIES = "a.ko: b.ko d.ko c.ko\nb.ko: c.ko\nc.ko:\nd.ko: c.ko\n"


def test_an_edge_that_follows_from_others_is_left_out(tmp_path: Path) -> None:
    graph = graph_of(text_tree(tmp_path, DEPENDENCIES, "softdep c post: d\n"), "a")
    edges = {(edge.module, edge.needs, edge.kind) for edge in graph.edges}
    assert edges == {
        ("a", "b", "hard"),
        ("a", "d", "hard"),
        ("b", "c", "hard"),
        ("d", "c", "hard"),
        ("c", "d", "post"),
    }
    assert tree_text(graph) == ("a\n├── d\n│   └── c\n│       └── d (post) …\n└── b\n    └── c …\n")


def test_who_needs_a_module(tmp_path: Path) -> None:
    graph = reverse_graph_of(text_tree(tmp_path, DEPENDENCIES), "c")
    assert set(graph.modules) == {"a", "b", "c", "d"}
    assert tree_text(graph, reverse=True) == "c\n├── b\n│   └── a\n└── d\n    └── a\n"


def test_a_circle_is_drawn_once(tmp_path: Path) -> None:
    resolver = text_tree(tmp_path, "a.ko: b.ko\nb.ko: a.ko\n")
    assert tree_text(graph_of(resolver, "a")) == "a\n└── b\n    └── a …\n"


def test_all_modules_and_the_dot_language(tmp_path: Path) -> None:
    resolver = text_tree(tmp_path, 'a.ko: b.ko\nb.ko:\nq"uote.ko:\n')
    graph = whole_graph(resolver)
    assert graph.roots == ("a", 'q"uote')
    assert '"a" -> "b";' in dot_text(graph)
    assert '"q\\"uote";' in dot_text(graph)


def test_an_unknown_name_says_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="lib/modules/1"):
        graph_of(text_tree(tmp_path, DEPENDENCIES), "nowhere")


def test_weakdeps_are_drawn_and_not_loaded(tmp_path: Path) -> None:
    weakdeps = "weakdep b d\n"
    text_tree(tmp_path, DEPENDENCIES, weakdep=weakdeps)
    resolver = open_resolver(str(tmp_path), "1", kernel_command_line="")
    assert tree_text(graph_of(resolver, "b")) == "b\n├── c\n└── d (weak)\n    └── c\n"
    assert [step.module for step in resolver.resolve("b").steps] == ["c", "b"]
