"""Writes docs/reference/heroku-cli.md: every command of the Heroku CLI, whether it works here, and its tests.

The list of commands is the CLI's own (tests/contracts/heroku_cli/commands.json; ``--commands`` updates it from the
installed CLI). Tested commands are those in the command lines of the tests. heroku_cli_reasons.py contains the reasons.
"""

from __future__ import annotations

import ast
import json
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from heroku_cli_reasons import LOCAL, NOT, PARTLY

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "heroku-cli.md"
LIST = ROOT / "tests" / "contracts" / "heroku_cli" / "commands.json"
MANIFEST = ROOT / ".tools" / "heroku" / "node_modules" / "heroku" / "oclif.manifest.json"
PLACES = [
    *sorted((ROOT / "tests" / "contracts" / "heroku_cli").glob("test_*.py")),
    ROOT / "tests" / "stories" / "test_the_seed.py",
]
INTRODUCTION = """# The Heroku CLI

`eval "$(greenroom env)"` points the unmodified CLI ({version} from npm) to an installation;
`greenroom env --token-file FILE` uses your own token. `heroku login`, by browser or with `-i`, works as well:
`greenroom accounts:password` sets a password. `greenroom env --host` refuses a host that the CLI does not accept,
because the CLI would then send the token to Heroku. A tunnel (`ssh -L`) or a name that contains `localhost` works
([from another computer](../howto/another-computer.md)).

`python scripts/heroku_cli.py` generates this page from the CLI's list of commands and the command lines in the tests; a
test keeps it up to date. Each command that works has a test with the real CLI that checks its effect. If a command is
not available and calls this installation, the error message names the alternative.

**Fixed hosts.** A few commands call a host of Heroku whatever the variables are, and send the token there, with the
protocol of HEROKU_HOST: `apps:favorites`, `apps:favorites:add`, `notifications`, `dashboard`
(particleboard.heroku.com, telex.heroku.com), `apps:errors`, `ci:debug`, `pipelines:connect` and the others marked
below. `greenroom env` sets HEROKU_HOST to the TLS port, so that the token is never sent in clear: such a command
ends with ENOTFOUND, a refused connection or a certificate error. Do not set a HEROKU_HOST that begins with
`http://`: the token would then be sent in clear. Use `heroku apps`, `heroku logs --tail`, `heroku ps` and
`heroku run bash` instead.
"""


def commands() -> dict[str, list[str]]:
    """command -> its other names."""
    return json.loads(LIST.read_text())["commands"]


def tested() -> dict[str, list[str]]:
    """command -> ``file: test`` of the tests that run it, under any of its names."""
    names = {name: command for command, others in commands().items() for name in (command, *others)}
    found: dict[str, list[str]] = defaultdict(list)
    for path in PLACES:
        for test, parts in _tests(ast.parse(path.read_text()), with_steps=path.stem == "test_the_seed").items():
            held = f"{path.stem.removeprefix('test_')}: {test}"
            text = "\n".join(map(ast.unparse, parts))
            if "git push heroku" in text or (".push(" in text and path.stem == "test_the_seed"):
                found["git:credentials"].append(held)
            for command in sorted({names[word] for part in parts for word in _words(part) if word in names}):
                found[command].append(held)
    return found


def _tests(module: ast.Module, *, with_steps: bool) -> dict[str, list[ast.FunctionDef]]:
    """Name of a test -> the test and, for a long story, its steps: the functions of its module that it calls."""
    functions = {node.name: node for node in module.body if isinstance(node, ast.FunctionDef) and with_steps}
    tests = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return {
        test.name: [test, *(functions[name] for name in sorted(_called(test) & functions.keys()))] for test in tests
    }


def _called(function: ast.FunctionDef) -> set[str]:
    return {
        node.func.id for node in ast.walk(function) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }


def _words(function: ast.FunctionDef) -> set[str]:
    """Words that may be commands: the first word of an argument, the word after ``heroku``, or a word with a colon."""
    words = set()
    handed = {id(part) for call in ast.walk(function) if isinstance(call, ast.Call) for part in _handed(call)}
    for part in ast.walk(function):
        text = part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ""
        given = text.split()[:2]
        if given[:1] == ["heroku"]:
            words |= set(given[1:])
        elif given and (id(part) in handed or ":" in given[0]):
            words.add(given[0])
    return words


def _handed(call: ast.Call) -> list[ast.AST]:
    """The first argument of a call; all arguments of a call that starts the CLI at a terminal."""
    terminal = isinstance(call.func, ast.Name) and call.func.id == "Terminal"
    return [part for argument in (call.args if terminal else call.args[:1]) for part in ast.walk(argument)]


def _reason(table: dict[str, str], command: str) -> str:
    fitting = [key for key in table if key == command or (key.endswith("*") and command.startswith(key[:-1]))]
    return table[max(fitting, key=len)] if fitting else ""


def row(command: str, tests: dict[str, list[str]]) -> tuple[str, str]:
    """(works, partly, local or not; the reason). ValueError for a command without a test and without a reason."""
    reason, held = _reason(NOT, command), command in tests
    if reason:
        return ("local" if reason == LOCAL else "not"), reason
    if held:
        partly = _reason(PARTLY, command)
        return ("partly", partly) if partly else ("works", "")
    raise ValueError(f"{command}: no test runs it, and heroku_cli_reasons.py has no reason why it does not work")


def page() -> str:
    """The page's text."""
    tests, counts = tested(), defaultdict(int)
    lines = [INTRODUCTION.format(version=json.loads(LIST.read_text())["version"])]
    topic = ""
    for command, others in commands().items():
        if command.partition(":")[0] != topic:
            topic = command.partition(":")[0]
            lines += ["", f"## {topic}", "", "| command | state | note | tested by |", "|--|--|--|--|"]
        state, why = row(command, tests)
        counts[state] += 1
        also = f" ({', '.join(f'`{name}`' for name in others)})" if others else ""
        held = tests.get(command, [])
        more = f" and {len(held) - 1} more" if len(held) > 1 else ""
        lines.append(f"| `{command}`{also} | {state} | {why} | {held[0] + more if held else ''} |")
    total = ", ".join(f"{counts[state]} {state}" for state in ("works", "partly", "local", "not"))
    lines[0] += f"\nOf {sum(counts.values())} commands: {total}."
    return "\n".join([*lines, ""])


def write_list() -> None:
    """Update the list of commands from the installed CLI."""
    manifest = json.loads(MANIFEST.read_text())
    rows = {
        name: sorted({*(row.get("aliases") or []), *(row.get("hiddenAliases") or [])})
        for name, row in sorted(manifest["commands"].items())
    }
    body = ",\n".join(f"  {json.dumps(name)}: {json.dumps(others)}" for name, others in rows.items())
    LIST.write_text(f'{{\n "version": "{manifest["version"]}",\n "commands": {{\n{body}\n }}\n}}\n')


if __name__ == "__main__":
    if "--commands" in sys.argv:
        write_list()
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(ROOT)} written")
