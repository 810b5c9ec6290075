# SPDX-License-Identifier: Apache-2.0
"""``complete``: a script for bash that completes commands, options and their values."""

import argparse

from cliff import complete

# cliff completes words, but not the value of an option.
_VALUES = """\
_{function}_values()
{{
  local cur prev words
  _get_comp_words_by_ref -n : cur prev words
  case "$prev" in
{cases}
    *) _{function} ;;
  esac
}}
complete -F _{function}_values {name}
"""
_CASE = """    {option}) COMPREPLY=( $(compgen -W "{values}" -- "$cur") ) ;;"""


class Complete(complete.CompleteCommand):
    """Print a script for bash that completes the commands of this tool.

    Save it in /etc/bash_completion.d. It needs the package bash-completion.
    """

    def get_actions(self, command: list[str]) -> list[argparse.Action]:
        """Return the options of a command, without hidden ones."""
        found = super().get_actions(command)
        return [one for one in found if one.help != argparse.SUPPRESS]

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Print the script."""
        status = super().take_action(parsed_args)
        if parsed_args.shell == "bash":
            name = parsed_args.name or self.app.NAME
            self.app.stdout.write(
                _VALUES.format(
                    name=name, function=name.replace("-", "_"), cases="\n".join(self._cases())
                )
            )
        return status

    def _cases(self) -> list[str]:
        """Return a case for each option that has choices."""
        values: dict[str, set[str]] = {}
        for words, _ in self.app.command_manager:
            for action in self.get_actions(words.split()):
                for option in action.option_strings if action.choices else ():
                    values.setdefault(option, set()).update(map(str, action.choices or ()))
        return [
            _CASE.format(option=option, values=" ".join(sorted(found)))
            for option, found in sorted(values.items())
        ]
