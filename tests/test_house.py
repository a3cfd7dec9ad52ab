"""The rules of the house, held by tests: guards, documented settings and errors, names, sizes."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from flask import Flask

from gateway import config, errors
from gateway.app import create_app
from gateway.provider_settings import ProviderSettings

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "gateway").rglob("*.py"))
BANNED_NAMES = {"utils", "helpers", "helper", "common", "misc", "manager", "managers", "models", "services"}
MOST_LINES = 400
MOST_FUNCTION_LINES = 80


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _functions(path: Path) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(_tree(path)) if isinstance(node, ast.FunctionDef))


def test_no_file_is_named_for_nothing() -> None:
    """A file is named for its question; a drawer is refused."""
    assert [path for path in SOURCES if path.stem in BANNED_NAMES] == []


def test_files_and_functions_stay_small() -> None:
    """A file fits a reader's head, a function a screen."""
    long_files = [str(path.relative_to(ROOT)) for path in SOURCES if len(path.read_text().splitlines()) > MOST_LINES]
    long_functions = [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in SOURCES
        for node in _functions(path)
        if (node.end_lineno or 0) - node.lineno >= MOST_FUNCTION_LINES
    ]

    assert (long_files, long_functions) == ([], [])


def test_package_files_are_empty() -> None:
    """One re-export would drag a database into a pure file; the version is the only exception."""
    full = [path for path in SOURCES if path.name == "__init__.py" and path.read_text().strip()]

    assert full == [ROOT / "gateway" / "__init__.py"]


def test_only_the_settings_read_the_environment() -> None:
    """`os.environ` is handed to `Settings.from_env` by the command line, and read nowhere else."""
    readers = {
        str(path.relative_to(ROOT / "gateway"))
        for path in SOURCES
        if re.search(r"\bos\.(environ|getenv)\b", path.read_text())
    }
    allowed = {
        "cli/context.py",  # hands the environment to Settings.from_env
        "cli/serve.py",  # tells prometheus_client where worker processes share their counts
        "cli/facilities.py",  # resolves the `*_env` secrets of facilities.toml when they are applied
    }

    assert readers <= allowed, readers - allowed


def test_broad_excepts_stand_in_two_places() -> None:
    """`except Exception` belongs to the face's last resort and to the fan-out, and ruff's BLE001 says where else."""
    found = {str(path.relative_to(ROOT)) for path in SOURCES if re.search(r"except Exception\b", path.read_text())}
    allowed = {
        "gateway/app.py",
        "gateway/adapters/fan_out.py",
        "gateway/adapters/http.py",
        "gateway/audit/log_keeper.py",
        "gateway/watch/watcher.py",
    }

    assert found <= allowed, found - allowed


def test_every_public_thing_says_what_holds() -> None:
    """Public modules, classes and functions have a docstring."""
    bare = []
    for path in SOURCES:
        tree = _tree(path)
        if path.name != "__init__.py" and not ast.get_docstring(tree):
            bare.append(str(path.relative_to(ROOT)))
        bare += [
            f"{path.relative_to(ROOT)}:{node.name}"
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
            and not _is_error(node)
        ]

    assert bare == []


def _is_error(node: ast.AST) -> bool:
    # The error tree is documented once, drawn in its module's docstring.
    return isinstance(node, ast.ClassDef) and hasattr(errors, node.name)


def test_every_setting_is_documented() -> None:
    """`docs/reference/settings.md` names each setting that is read, and no other."""
    page = (ROOT / "docs/reference/settings.md").read_text()
    documented = set(re.findall(r"^### `(GATEWAY_[A-Z_]+)`", page, flags=re.MULTILINE))

    assert documented == set(config.KNOWN)
    apart = len(fields(ProviderSettings)) - 1  # the provider's are fields of a class of their own
    assert len(documented) == len(fields(config.Settings)) - 1 + apart, "listen is one setting and two fields"


def test_every_error_is_documented_and_has_its_words() -> None:
    """`docs/reference/errors.md` names each error with its code, and the FHIR face has an answer for each."""
    from gateway.fhir.operation_outcome import status_of

    page = (ROOT / "docs/reference/errors.md").read_text()
    for error in _all_errors(errors.GatewayError):
        assert f"`{error.code}`" in page, error
        if error is not errors.ConfigurationError:
            assert 400 <= status_of(error) != 500, error


def _all_errors(base: type[errors.GatewayError]) -> Iterator[type[errors.GatewayError]]:
    for sub in base.__subclasses__():
        if sub.__module__ == "gateway.errors":
            yield sub
            yield from _all_errors(sub)


@pytest.fixture
def app(tmp_path: Path, keys_file: Path) -> Iterator[Flask]:
    """The application as `serve` makes it, on a database of its own."""
    settings = config.Settings.from_env({"GATEWAY_DATA_DIR": str(tmp_path), "GATEWAY_KEYS_FILE": str(keys_file)})
    app = create_app(settings)
    yield app
    app.extensions["gateway.close"]()


def test_no_route_stands_without_a_guard(app: Flask) -> None:
    """Every route belongs to a blueprint that was registered with a guard; "open" is said aloud, with its reason."""
    guards = app.extensions["gateway.guards"]
    unguarded = [rule.rule for rule in app.url_map.iter_rules() if rule.endpoint.split(".")[0] not in guards]

    assert unguarded == []


def test_writers_of_the_audit_log_offer_no_update_and_no_delete() -> None:
    """The audit is append-only: its room changes and removes only what says how far something has got.

    Records past their retention are the exception; a trigger lets nothing else go.
    """
    allowed = {
        ("sequence.py", "delete", "audit_unlogged"),  # records that have their place in the log now
        ("delivery.py", "update", "audit_delivery"),  # how far a place outside has the checkpoints
        ("retention.py", "delete", "audit_record"),
    }
    found = {
        (path.name, *call)
        for path in (ROOT / "gateway/audit").glob("*.py")
        for call in re.findall(r"(?<![\w.])(update|delete)\((\w*)", path.read_text())
    }
    methods = "".join(path.read_text() for path in (ROOT / "gateway/audit").glob("*.py"))

    assert found <= allowed, found - allowed
    assert not re.search(r"\.(update|delete)\(|(?i:DELETE FROM|UPDATE \w+ SET)", methods)


PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")),
]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_in_the_documents_lead_somewhere(path: Path) -> None:
    """A relative link names a file that is there."""
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text())

    assert [target for target in targets if not (path.parent / target).exists()] == []
