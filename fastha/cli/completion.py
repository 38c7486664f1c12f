"""`fastha completion SHELL`: completion for bash, zsh and fish, made from the options and the keyword tables."""

import argparse
from collections.abc import Sequence
from typing import Final

from fastha.cli.dump import options_parser
from fastha.cli.options import COMMANDS, Parser, daemon_parser
from fastha.config.schema.tables import entries

SHELLS: Final = ("bash", "fish", "zsh")
FILES: Final = ("FILE", "LOG")
DIRECTORIES: Final = ("DIR",)
BASH = """\
# bash completion of fastha. Made by `fastha completion bash`.
_fastha() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}
    COMPREPLY=()
    case $before in
        {files}) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
        {directories}) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
{choices}\
    esac
    case $command in
        explain) mapfile -t COMPREPLY < <(compgen -W "{keywords}" -- "$word"); return ;;
        dump) mapfile -t COMPREPLY < <(compgen -W "{dump}" -- "$word"); return ;;
        completion) mapfile -t COMPREPLY < <(compgen -W "{shells}" -- "$word"); return ;;
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "{options}" -- "$word")
    elif (( COMP_CWORD == 1 )); then
        mapfile -t COMPREPLY < <(compgen -W "{commands}" -- "$word")
    fi
}}
complete -F _fastha fastha
"""
ZSH = """\
#compdef fastha
# zsh completion of fastha. Made by `fastha completion zsh`.
_fastha() {{
    local -a commands options keywords
    commands=(
{commands}
    )
    options=(
{options}
    )
    keywords=({keywords})
    case ${{words[2]}} in
        explain) _values keyword $keywords ;;
        dump) shift words; (( CURRENT-- )); _arguments {dump} ;;
        completion) _values shell {shells} ;;
        *) if (( CURRENT == 2 )) && [[ ${{words[2]}} != -* ]]; then _describe command commands
           else _arguments $options; fi ;;
    esac
}}
compdef _fastha fastha
"""


def main(words: Sequence[str]) -> int:
    """Print the script for a shell."""
    parser = Parser(
        prog="fastha completion",
        description='Completion for a shell: eval "$(fastha completion bash)", or put it where the shell looks.',
    )
    parser.add_argument("shell", choices=SHELLS)
    print({"bash": bash, "fish": fish, "zsh": zsh}[parser.parse_args(words).shell](), end="")
    return 0


def bash() -> str:
    """For bash."""
    actions, dump_actions = _options(daemon_parser("fastha")), _options(options_parser())
    return BASH.format(
        files="|".join(_taking(actions, FILES)),
        directories="|".join(_taking(actions, DIRECTORIES)),
        choices="".join(_choices(action) for action in actions if action.choices),
        keywords=" ".join(keywords()),
        dump=" ".join(name for action in dump_actions for name in action.option_strings),
        options=" ".join(name for action in actions for name in action.option_strings),
        commands=" ".join(COMMANDS),
        shells=" ".join(SHELLS),
    )


def _choices(action: argparse.Action) -> str:
    names, values = "|".join(action.option_strings), " ".join(map(str, action.choices or ()))
    return f'        {names}) mapfile -t COMPREPLY < <(compgen -W "{values}" -- "$word"); return ;;\n'


def zsh() -> str:
    """For zsh."""
    return ZSH.format(
        commands="\n".join(f"        {_single(f'{name}:{text}')}" for name, text in COMMANDS.items()),
        options="\n".join(
            f"        {line}" for action in _options(daemon_parser("fastha")) for line in _zsh_option(action)
        ),
        keywords=" ".join(_single(word) for word in keywords()),
        dump=" ".join(line for action in _options(options_parser()) for line in _zsh_option(action)),
        shells=" ".join(SHELLS),
    )


def _zsh_option(action: argparse.Action) -> list[str]:
    text = _help(action).replace("[", "(").replace("]", ")").replace(":", ";")
    after = ""
    if action.choices:
        after = f":value:({' '.join(map(str, action.choices))})"
    elif action.metavar in FILES:
        after = ":file:_files"
    elif action.metavar in DIRECTORIES:
        after = ":directory:_files -/"
    elif action.nargs != 0:
        after = f":{str(action.metavar).lower()}:"
    return [_single(f"{name}[{text}]{after}") for name in action.option_strings]


def fish() -> str:
    """For fish."""
    none = "not __fish_seen_subcommand_from " + " ".join(COMMANDS)
    lines = ["# fish completion of fastha. Made by `fastha completion fish`.", "complete -c fastha -f"]
    lines += [f"complete -c fastha -n {_single(none)} -a {name} -d {_single(text)}" for name, text in COMMANDS.items()]
    for command, choices in (("explain", keywords()), ("completion", SHELLS)):
        seen = _single(f"__fish_seen_subcommand_from {command}")
        lines.append(f"complete -c fastha -n {seen} -a {_single(' '.join(choices))}")
    lines += [_fish_option(action, none) for action in _options(daemon_parser("fastha"))]
    lines += [_fish_option(action, "__fish_seen_subcommand_from dump") for action in _options(options_parser())]
    return "\n".join(lines) + "\n"


def _fish_option(action: argparse.Action, condition: str) -> str:
    words = ["complete -c fastha -n", _single(condition)]
    for name in action.option_strings:
        words += ["-l", name[2:]] if name.startswith("--") else ["-s", name[1:]]
    if action.choices:
        words += ["-x", "-a", _single(" ".join(map(str, action.choices)))]
    elif action.metavar in FILES:
        words.append("-rF" if action.nargs is None else "-F")
    elif action.metavar in DIRECTORIES:
        words += ["-x", "-a", "'(__fish_complete_directories)'"]
    elif action.nargs is None:
        words.append("-x")
    words += ["-d", _single(_help(action))]
    return " ".join(words)


def _help(action: argparse.Action) -> str:
    return (action.help or "").replace("%(default)s", str(action.default))


def _single(text: str) -> str:
    """In single quotes, for a shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def keywords() -> list[str]:
    """The words that `fastha explain` knows, without those that a shell would take for something else."""
    return sorted({word.name for _, word in entries() if word.name.replace("_", "").replace("-", "").isalnum()})


def _options(parser: Parser) -> list[argparse.Action]:
    """Those worth offering: options without effect are hidden from the help too."""
    actions = parser._actions  # noqa: SLF001 - argparse has no other way
    return [action for action in actions if action.option_strings and action.help != argparse.SUPPRESS]


def _taking(actions: list[argparse.Action], what: tuple[str, ...]) -> list[str]:
    return [name for action in actions if action.metavar in what for name in action.option_strings]
