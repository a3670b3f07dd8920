"""What the reference of the site shows of each public name; an extension of griffe.

The package is read as text, so that the site builds without a compiled core. What decorators and
assignments make of it at run time is added here: operations become methods, options of dictionaries
become parameters, and everything gets a link to its source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/replicate-rs/replicate-rs"
NAMES = ROOT / "tests" / "compat" / "public_names.txt"
PACKAGE = "replicate_rs"

# Decorators and functions that make a method of a coroutine or of a generator.
MAKERS = {"operation", "streaming"}
TWINS = {"async_operation", "async_streaming"}
SECTION = re.compile(r"^(Args|Returns|Raises|Yields):$", re.MULTILINE)


class Reference(griffe.Extension):
    """Shows the package as its users see it."""

    def __init__(self, ref: str = "main") -> None:
        self._ref = ref

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Change the objects of the package, once all of its modules are read."""
        if pkg.name != PACKAGE:
            return
        loader.resolve_aliases(implicit=False, external=False)
        for name in ("Client", "AsyncClient"):
            alias = pkg.members[name]
            alias.docstring = griffe.Docstring(f"The same as `{alias.value}`.", parent=alias)
        for kind in [*_classes(pkg)]:
            _make_methods(kind)
        _describe_options(pkg)
        public = _linked_names(pkg)
        functions = [each for each in _objects(pkg) if isinstance(each, griffe.Function)]
        for function in functions:
            _expand_options(function)
        for kind in [*_classes(pkg)]:
            _describe_attributes(kind)
        for function in functions:
            _complete_twin(function)
        for each in [*_objects(pkg)]:
            _without_mode(each)
            if each.docstring is not None:
                each.docstring.value = _linked(each.docstring.value, public)
                _add_source(each, self._ref)


def load(ref: str = "main") -> griffe.Module:
    """Return the package as the reference shows it."""
    package = griffe.load(
        PACKAGE,
        search_paths=[str(ROOT / "python")],
        extensions=griffe.Extensions(Reference(ref)),
        allow_inspection=False,
        docstring_parser=griffe.Parser.google,
    )
    if not isinstance(package, griffe.Module):
        raise TypeError(package)
    return package


def _objects(parent: griffe.Object) -> Iterator[griffe.Object]:
    for each in parent.members.values():
        if isinstance(each, griffe.Object):
            yield each
            yield from _objects(each)


def _classes(package: griffe.Module) -> Iterator[griffe.Class]:
    return (each for each in _objects(package) if isinstance(each, griffe.Class))


# Methods


def _called(attribute: griffe.Attribute) -> tuple[str, griffe.Expr | str]:
    """Return the name and the first argument of the call that an attribute is assigned."""
    call = attribute.value
    if isinstance(call, griffe.ExprCall) and call.arguments:
        return str(call.function), call.arguments[0]
    return "", ""


def _make_methods(kind: griffe.Class) -> None:
    creator = kind.members.get("__new__")
    if isinstance(creator, griffe.Function) and "__init__" not in kind.members:
        kind.members["__init__"] = _copy(creator, "__init__", kind)
    for name, member in [*kind.members.items()]:
        if isinstance(member, griffe.Function):
            makers = {str(each.value).partition("[")[0] for each in member.decorators}
            if makers & {*MAKERS, *TWINS}:
                member.decorators.clear()
                member.labels.discard("async")
                member.returns = _awaited(member.returns)
        if not isinstance(member, griffe.Attribute):
            continue
        maker, argument = _called(member)
        if member.docstring is None and isinstance(member.value, griffe.ExprName):
            member.docstring = griffe.Docstring(f"The same as `{member.value}`.", parent=member)
            member.annotation = None
        if maker == "timestamp_property":
            field = str(argument).strip("'\"")
            member.value, member.labels = None, {"property"}
            member.annotation = "datetime | None"
            member.docstring = griffe.Docstring(
                f"`{field}` as a `datetime` in UTC; None until it is known.", parent=member
            )
        elif maker in MAKERS and isinstance(argument, griffe.Expr):
            kind.members[name] = _copy(_find(kind, argument.canonical_path), name, kind)
        elif maker in TWINS and isinstance(argument, griffe.Expr):
            _add_twin(kind, name, str(argument))


def _find(near: griffe.Object, path: str) -> griffe.Function:
    found = near.modules_collection[path]
    found = found.final_target if isinstance(found, griffe.Alias) else found
    if not isinstance(found, griffe.Function):
        raise TypeError(path)
    return found


def _copy(function: griffe.Function, name: str, owner: griffe.Class) -> griffe.Function:
    """Return a function of a module as a method, whose first parameter is its object."""
    first, *others = function.parameters
    method = griffe.Function(
        name,
        lineno=function.lineno,
        endlineno=function.endlineno,
        parameters=griffe.Parameters(griffe.Parameter("self", kind=first.kind), *others),
        returns=function.returns,
        parent=owner,
    )
    if function.docstring is not None:
        method.docstring = griffe.Docstring(function.docstring.value, parent=method)
    method.extra["replicate"]["source"] = function
    return method


def _add_twin(kind: griffe.Class, name: str, of: str) -> None:
    """Name the async twin of a method in the method's own description."""
    method = kind.members.get(of)
    del kind.members[name]
    if of.startswith("_") and isinstance(method, griffe.Function):
        # There is no other name of the method.
        kind.members[name] = _copy(method, name, kind)
        return
    if not isinstance(method, griffe.Function) or method.docstring is None:
        raise TypeError(f"{kind.path}.{name} has no method")
    verb = "loop over it with `async for`" if "Stream" in str(method.returns) else "await it"
    head, *rest = SECTION.split(method.docstring.value, maxsplit=1)
    twin = f"Async twin: `{name}`, with the same arguments ({verb}).\n\n"
    if rest:
        rest = [f"{rest[0]}:", *rest[1:]]
    method.docstring.value = f"{head.rstrip()}\n\n{twin}{''.join(rest)}"
    method.extra["replicate"]["twin"] = name


def _expand_options(function: griffe.Function) -> None:
    """Replace ``**options: Unpack[…]`` by the options."""
    for parameter in [*function.parameters]:
        annotation = parameter.annotation
        if not (
            isinstance(annotation, griffe.ExprSubscript)
            and str(annotation.left) == "Unpack"
            and isinstance(annotation.slice, griffe.Expr)
        ):
            continue
        options = function.modules_collection[annotation.slice.canonical_path]
        options = options.final_target if isinstance(options, griffe.Alias) else options
        own = {each.name for each in function.parameters}
        del function.parameters[parameter.name]
        lines = []
        for name, option in _all_fields(options).items():
            if name in own:
                continue
            function.parameters.add(
                griffe.Parameter(
                    name,
                    annotation=option.annotation,
                    kind=griffe.ParameterKind.keyword_only,
                    default="...",
                )
            )
            text = _one_line(option)
            lines.append(f"    {name}: {text}\n")
        if function.docstring is not None:
            text = re.sub(
                rf"^    {parameter.name}: .*\n(?:     +.*\n)*",
                "",
                function.docstring.value + "\n",
                flags=re.MULTILINE,
            )
            function.docstring.value = _add_arguments(text, "".join(lines))


def _all_fields(kind: Any) -> dict[str, griffe.Attribute]:
    found = {}
    for each in [*reversed(kind.mro()), kind]:
        found |= {
            name: member
            for name, member in each.members.items()
            if isinstance(member, griffe.Attribute)
        }
    return found


def _one_line(documented: griffe.Object) -> str:
    return "" if documented.docstring is None else _joined(documented.docstring.value)


def _joined(text: str) -> str:
    return " ".join(text.split())


def _add_arguments(text: str, lines: str) -> str:
    text = text.rstrip() + "\n"
    if "\nArgs:\n" in text:
        head, _, rest = text.partition("\nArgs:\n")
        body, end = re.split(r"(?=^\S|\Z)", rest, maxsplit=1, flags=re.MULTILINE)
        body = f"{body.rstrip()}\n".lstrip("\n")
        return f"{head}\nArgs:\n{body}{lines}\n{end}"
    head, *rest = re.split(r"(?=^(?:Returns|Raises|Yields):$)", text, maxsplit=1, flags=re.M)
    return f"{head.rstrip()}\n\nArgs:\n{lines}\n{''.join(rest)}"


def _complete_twin(function: griffe.Function) -> None:
    """Copy the arguments of the function that a description refers to."""
    text = "" if function.docstring is None else function.docstring.value
    refers = re.search(r"see `([\w.]+)`", text)
    if refers is None or "\nArgs:\n" in text or function.parent is None:
        return
    owner: Any = function.parent
    *kind, name = refers[1].split(".")
    other: Any = owner.module.members.get(kind[0]) if kind else owner
    other = None if other is None else other.members.get(name)
    own = {each.name for each in function.parameters}
    lines = [
        f"    {each}: {_joined(text)}\n" for each, text in _arguments(other).items() if each in own
    ]
    if lines and function.docstring is not None:
        function.docstring.value = _add_arguments(text, "".join(lines))


# Attributes


def _describe_options(package: griffe.Module) -> None:
    """Describe the options of a client as its constructor does."""
    described = _arguments(package["client.BaseClient.__init__"])
    for name, option in package["_client.types.ClientOptions"].members.items():
        option.docstring = griffe.Docstring(described[name], parent=option)


def _arguments(documented: griffe.Object | None) -> dict[str, str]:
    if documented is None or documented.docstring is None:
        return {}
    return {
        each.name: each.description
        for section in documented.docstring.parse("google", warnings=False)
        if section.kind is griffe.DocstringSectionKind.parameters
        for each in section.value
    }


def _describe_attributes(kind: griffe.Class) -> None:
    """Describe attributes that are arguments of the constructor, too."""
    described = _arguments(kind)
    for each in [kind, *kind.mro()]:
        described |= _arguments(each.members.get("__init__") or each.members.get("__new__"))
    if kind.name == "Configurable":
        described |= _arguments(kind.modules_collection[f"{PACKAGE}.client.BaseClient.__init__"])
    for name, member in kind.members.items():
        if not isinstance(member, griffe.Attribute):
            continue
        if str(member.value).startswith(("option(", "token_option(")):
            member.value = None
            if isinstance(member.annotation, griffe.ExprSubscript):
                member.annotation = member.annotation.slice
        if member.docstring is None and name in described:
            member.docstring = griffe.Docstring(described[name], parent=member)


# Annotations: `M`, the mode of a client, says nothing to a reader.


def _without_mode(each: griffe.Object) -> None:
    if isinstance(each, griffe.Function):
        each.returns = _stripped(each.returns)
        for parameter in each.parameters:
            parameter.annotation = _stripped(parameter.annotation)
    elif isinstance(each, griffe.Attribute):
        each.annotation = _stripped(each.annotation)


def _awaited(returns: Any) -> Any:
    """Return the result of an operation that returns its awaitable."""
    is_awaitable = isinstance(returns, griffe.ExprSubscript) and str(returns.left) == "Awaitable"
    return returns.slice if is_awaitable else returns


def _stripped(value: Any) -> Any:
    if isinstance(value, griffe.ExprSubscript) and str(value.slice) in ("M", "_M_co"):
        return value.left
    if isinstance(value, list):
        return [_stripped(each) for each in value]
    if isinstance(value, griffe.Expr) and is_dataclass(value):
        for field in fields(value):
            inner = getattr(value, field.name)
            if field.name != "parent" and isinstance(inner, griffe.Expr | list):
                setattr(value, field.name, _stripped(inner))
    return value


# Texts


def _linked_names(package: griffe.Module) -> dict[str, str]:
    """Return the classes that descriptions mention, and their paths in the reference."""
    exports = package.members["exceptions"].exports or []
    found = {str(getattr(each, "name", each)): f"{PACKAGE}.exceptions.{each}" for each in exports}
    for path in public_names():
        first, _, name = path.rpartition(".")
        if first == PACKAGE and name[0].isupper():
            found.setdefault(name, path)
    return found


def _linked(text: str, names: dict[str, str]) -> str:
    """Return text in which class names in backticks are links."""

    def link(match: re.Match[str]) -> str:
        name = match[1]
        return f"[`{name}`][{names[name]}]" if name in names else match[0]

    return re.sub(r"(?<![`\[\w])`(\w+)`(?![`\]])", link, text)


def _add_source(each: griffe.Object, ref: str) -> None:
    source = each.extra["replicate"].get("source", each)
    path = source.filepath
    if not isinstance(path, Path) or source.lineno is None or each.docstring is None:
        return
    if path.suffix == ".so":
        path = path.with_name("_core.pyi")
    lines = f"#L{source.lineno}-L{source.endlineno or source.lineno}"
    url = f"{REPOSITORY}/blob/{ref}/{path.resolve().relative_to(ROOT)}{lines}"
    head, *rest = re.split(
        r"(?=^(?:Args|Returns|Raises|Yields):$)", each.docstring.value, maxsplit=1, flags=re.M
    )
    link = f'[source]({url}){{ .source title="{each.path}" }}'
    between = " " if isinstance(each, griffe.Attribute) else "\n\n"
    each.docstring.value = f"{head.rstrip()}{between}{link}\n\n{''.join(rest)}"


# Public names


def public_names() -> list[str]:
    """Return the paths of all public names."""
    return [line.partition("(")[0] for line in NAMES.read_text().splitlines()]


# Classes that are assigned to other classes, where 1.0.7 has them, and classes of earlier modules.
NESTED = {
    "Accounts.Account": "account.Account",
    "Accounts.Accounts": "account.Accounts",
    "Deployment.Release": "deployment.Release",
    "Prediction.Progress": "_predictions.progress.Progress",
    "Release.Configuration": "deployment.Configuration",
    "Webhooks.Default": "webhook.DefaultWebhook",
}


def identify(package: griffe.Module, path: str) -> str | None:
    """Return where the reference describes a public name; None for a submodule, or without one."""
    first, *parts = path.split(".")
    client = package["client.Replicate"]
    found: Any = client if first == "client" else package
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        if isinstance(found, griffe.Module):
            method = _member(client, part) if found is package else None
            inner = found.members.get(part)
            if method is not None and is_last:
                # The functions and options of the package are the default client's.
                found = method
            elif inner is None or (method is not None and not isinstance(inner, griffe.Module)):
                # A module of an earlier build; its classes are elsewhere.
                return _in_class(package, parts[number + 1 :])
            else:
                found = inner
        else:
            kind = _kind_of(found)
            nested = NESTED.get(f"{kind.name}.{part}")
            found = _member(kind, part) if nested is None else package[nested]
        if isinstance(found, griffe.Alias):
            found = found.final_target
        if found is None or isinstance(found, str):
            return found
    return None if isinstance(found, griffe.Module) else found.canonical_path


def _in_class(package: griffe.Module, parts: list[str]) -> str | None:
    for found in _objects(package):
        if parts and found.name == parts[0] and not isinstance(found, griffe.Module):
            inner: Any = found
            for part in parts[1:]:
                inner = _member(inner, part)
            return inner if isinstance(inner, str) or inner is None else inner.canonical_path
    return None


def _member(kind: Any, name: str) -> Any:
    """Return a member of a class, or the path of the method whose async twin has the name."""
    for each in [kind, *kind.mro()]:
        if name in each.members:
            return each.members[name]
        for member in each.members.values():
            if not member.is_alias and member.extra["replicate"].get("twin") == name:
                return member.path
    return None


def _kind_of(found: Any) -> Any:
    """Return a class: the object itself, that of a property, or what an alias stands for."""
    if isinstance(found, griffe.Attribute):
        named: Any = found.value if found.annotation is None else found.annotation
        named = named.left if hasattr(named, "slice") else named
        found = found.modules_collection[named.canonical_path]
    return found.final_target if isinstance(found, griffe.Alias) else found


def undescribed(function: griffe.Object) -> list[str]:
    """Return the parameters of a function that its description leaves out."""
    if not isinstance(function, griffe.Function):
        return []
    described = _arguments(function)
    return [
        each.name
        for each in function.parameters
        if each.name not in ("self", "cls", *described) and not each.name.startswith("_")
    ]
