"""The modules of the Rust crate: which may depend on which, in layers and without circles."""

import graphlib
import re
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"

# Each package may depend on those before it.
LAYERS = [
    {"clock", "lock", "platform", "redact", "response"},
    {"base64"},
    {"error", "sync", "webhook"},
    {"address", "off_thread", "retry"},
    {"http", "shared_runtime"},
    {"files", "predictions"},
    {"stream"},
    {"python"},
    {"lib"},
]
# Inside these packages the order matters too: each module may depend on those before it.
ORDER = {
    "http": "authorities tls proxy fetch_policy rate_limit throttle stats body timing decoding"
    " connect pool request exchange test_server",
    "files": "data_uri checksum disk download",
    "stream": "sse resume batch inbox reader",
    "predictions": "pace polls create_lookup create",
    "python": "imports failure fork greenlets work headers json now signals engine process slot"
    " port abort log context errors create pending event files inbox page response source client"
    " webhook",
}
USE = re.compile(r"\buse\s+((?:crate|super|self)\b[^;]*);")
PATH = re.compile(r"\b(?:crate|super|self)(?:::\w+)+")


def modules():
    """Return the code of each module, without its tests and comments, by its path in the crate."""
    found = {}
    for path in sorted(SOURCE.rglob("*.rs")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        code = re.split(
            r"^#\[cfg\((?:all\()?test.*\n(?:pub )?mod tests", path.read_text(), flags=re.M
        )
        name = parts[:-1] if parts[-1] == "mod" else parts
        found[name] = re.sub(r"//[^\n]*", "", code[0])
    return found


def expanded(tree):
    """Return the paths of a `use` declaration, whose braces may be nested."""
    if (opening := tree.find("{")) < 0:
        return [tree.partition(" as ")[0].strip()]
    prefix, depth, item, items = tree[:opening], 0, "", []
    for character in tree[opening + 1 : tree.rindex("}")]:
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            items.append(item)
            item = ""
        else:
            item += character
    items.append(item)
    return [
        prefix.strip() + path for item in items if item.strip() for path in expanded(item.strip())
    ]


def resolved(module, path, known, is_package):
    """Return the module that a path leads to, as far as it leads to one."""
    first, *rest = re.sub(r"\s", "", path).split("::")
    base = {"crate": (), "self": module, "super": module[:-1]}[first]
    if is_package and first == "super":
        base = module[:-1]
    while rest and rest[0] == "super":
        base, rest = base[:-1], rest[1:]
    target = base
    for name in rest:
        if (*target, name) not in known:
            break
        target = (*target, name)
    return target


def graph():
    code = modules()
    edges = {}
    for module, text in code.items():
        is_package = any(
            len(other) > len(module) > 0 and other[: len(module)] == module for other in code
        )
        paths = [path for tree in USE.findall(text) for path in expanded(tree)]
        paths += PATH.findall(USE.sub("", text))
        # In the inline module of `lib.rs`, `super` is `lib.rs` itself.
        targets = {
            resolved(module if module != ("lib",) else (), path, code, is_package) for path in paths
        }
        edges[module] = {target for target in targets if target and target[: len(module)] != module}
    return edges


EDGES = graph()


def test_there_is_no_circle():
    assert len(EDGES) > 40
    assert sum(map(len, EDGES.values())) > 150
    graphlib.TopologicalSorter(EDGES).prepare()


def test_packages_depend_on_lower_layers():
    level = {name: number for number, names in enumerate(LAYERS) for name in names}
    assert {module[0] for module in EDGES} == set(level)
    for module, targets in EDGES.items():
        for target in targets:
            package, used = module[0], target[0]
            is_lower = level[used] < level[package]
            assert is_lower or used == package, f"{module} depends on {target}"


def test_modules_of_a_package_have_an_order():
    for package, names in ORDER.items():
        order = {name: number for number, name in enumerate(names.split())}
        members = {module[1] for module in EDGES if module[0] == package and len(module) == 2}
        assert members == set(order), package
        for module, targets in EDGES.items():
            for target in targets:
                if module[0] == target[0] == package and len(module) == len(target) == 2:
                    assert order[target[1]] < order[module[1]], f"{module} depends on {target}"


def test_only_the_binding_depends_on_python():
    for module, text in modules().items():
        is_binding = module[0] in ("python", "lib")
        assert is_binding or not re.search(r"\b(?:pyo3|jiter|crate::python)\b", text), module


def test_http_knows_neither_predictions_nor_python():
    for module, text in modules().items():
        if module[0] == "http":
            assert not re.search(r"predictions|python", text), module


def test_only_one_module_knows_operating_systems_and_processors():
    for module, text in modules().items():
        is_platform = module == ("platform",)
        asked = re.search(r"\bcfg!?\([^]]*\b(?:unix|windows|target_\w+)|\bstd::os::", text)
        assert is_platform or not asked, module


def test_synchronisation_primitives_know_no_runtime():
    for module, text in modules().items():
        if module[0] == "sync":
            assert "tokio" not in text, module


def test_lints_forbid_panics_and_unsafe_code():
    manifest = (SOURCE.parent / "Cargo.toml").read_text()
    for lint in ("unwrap_used", "expect_used", "panic", "indexing_slicing"):
        assert f'\n{lint} = "deny"\n' in manifest
    assert '\nunsafe_code = "forbid"\n' in manifest
