# SPDX-License-Identifier: Apache-2.0
"""The base of glance-sync and glance-sync-manage: global options, help and exit codes."""

import argparse
from collections.abc import Mapping, Sequence
import logging
import os
import sys

from cliff import app
from cliff import command
from cliff import commandmanager

import glance_sync_agent
from glance_sync_agent import errors
from glance_sync_agent.cmd.cli import completion
from glance_sync_agent.cmd.cli import printable
from glance_sync_agent.wiring import configuration

USAGE_ERROR = 2
#: The log files of sync.conf are the agent's. It could not write to one that root makes.
_NO_LOG_FILE = (
    "--log-file=",
    "--log-dir=",
    "--log-config-append=",
    "--nouse-syslog",
    "--nouse-journal",
)
_BROKEN_PIPE = 141  # 128 + SIGPIPE, as cliff and shells have it


class UsageError(errors.SyncError):
    """The operator named something that does not exist, or that is ambiguous."""


class Console(app.App):
    """A tool: the output of a command goes to stdout, all messages to stderr."""

    def __init__(
        self,
        *,
        name: str,
        description: str,
        examples: str,
        commands: Mapping[str, type[command.Command]],
        default: str | None = None,
    ) -> None:
        """Make a tool.

        :param default: the command that an empty command line means; None: that is an error.
        """
        self.NAME = name
        self._description = description
        self._is_usage_error = False
        self._examples = examples
        self._default = default
        # Without entry points, so that the tool runs from a checkout that is not installed.
        manager = commandmanager.CommandManager(None)
        super().__init__(description, None, manager, deferred_help=True)
        del manager.commands["complete"]  # the one of cliff
        manager.add_command("complete", completion.Complete)
        for words, factory in commands.items():
            manager.add_command(words, factory)

    def build_option_parser(
        self,
        description: str | None,
        version: str | None,
        argparse_kwargs: dict[str, object] | None = None,
    ) -> argparse.ArgumentParser:
        """Replace cliff's options by those of oslo.config."""
        parser = argparse.ArgumentParser(
            prog=self.NAME,
            usage=f"{self.NAME} [options] COMMAND ...",
            description=description,
            epilog=self._examples,
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument(
            "--config-file",
            action="append",
            default=[],
            metavar="FILE",
            help="use this sync.conf; repeat it to read several, of which the last wins (default: "
            "sync.conf in ~/.glance, ~, /etc/glance or /etc)",
        )
        parser.add_argument(
            "--config-dir",
            action="append",
            default=[],
            metavar="DIR",
            help="also read the *.conf files of this directory; may be repeated",
        )
        parser.add_argument(
            "--debug", action="store_true", help="show tracebacks and the log lines of libraries"
        )
        parser.add_argument("--version", action=_Version, nargs=0, help="show it and exit")
        parser.add_argument(
            "-h", "--help", dest="deferred_help", action="store_true", help="show this and exit"
        )
        return parser

    def configure_logging(self) -> None:
        """Log warnings to stderr; with ``--debug``, log everything."""
        self.log_from(logging.WARNING)

    def log_from(self, level: int) -> None:
        """Log lines of ``level`` or worse to stderr; with ``--debug``, log everything."""
        handler = logging.StreamHandler(self.stderr)
        handler.setLevel(logging.DEBUG if self.options.debug else level)
        handler.setFormatter(printable.Formatter(f"{self.NAME}: %(message)s"))
        root = logging.getLogger()
        root.handlers[:] = [handler]
        root.setLevel(logging.DEBUG if self.options.debug else logging.WARNING)

    def initialize_app(self, argv: list[str]) -> None:
        """Run the default command for an empty command line; cliff would open a shell."""
        self.print_help_if_requested()
        if not argv and self._default is not None:
            argv.append(self._default)
            self.interactive_mode = False
        if not argv:
            self.parser.error(f"which command? See '{self.NAME} --help'")

    def run_subcommand(self, argv: list[str]) -> int:
        """Run a command; return its exit status."""
        try:
            self.command_manager.find_command(list(argv))
        except ValueError:
            known = ", ".join(sorted(words for words, _ in self.command_manager))
            self.parser.error(f"there is no command '{' '.join(argv)}'; the commands are {known}")
        self._is_usage_error = False
        status = super().run_subcommand(argv)
        return USAGE_ERROR if self._is_usage_error else status

    def clean_up(
        self, cmd: command.Command, result: int, err: BaseException | None
    ) -> None:
        """Remember whether a usage error ended a command; cliff has reported it."""
        super().clean_up(cmd, result, err)
        self._is_usage_error = isinstance(err, UsageError)

    def write(self, text: str) -> None:
        """Print output of the command to stdout."""
        print(printable.lines(text), file=self.stdout, flush=True)

    def say(self, sentence: str) -> None:
        """Print a message to stderr."""
        print(printable.lines(sentence), file=self.stderr)

    def configure(self) -> configuration.Configuration:
        """Read the files that the command line names.

        :raises ConfigurationError: a file is missing or wrong.
        """
        arguments = [f"--config-file={name}" for name in self.options.config_file]
        arguments += [f"--config-dir={name}" for name in self.options.config_dir]
        try:
            # The overrides come last, because a file overrides what precedes it.
            return configuration.configure(
                [*arguments, *_NO_LOG_FILE], prog=self.NAME, description=self._description
            )
        finally:
            # Replaces the handlers that oslo.log set up for an agent.
            self.configure_logging()


def with_examples(
    parser: argparse.ArgumentParser, examples: str = ""
) -> argparse.ArgumentParser:
    """Add examples to a command's help, and keep the line breaks of both."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = examples
    return parser


def add_flag(
    parser: argparse.ArgumentParser, name: str, *, old_name: str, help_text: str
) -> None:
    """Add an option without a value, and a hidden old name that prints a warning."""
    action = parser.add_argument(name, action="store_true", help=help_text)
    parser.add_argument(
        old_name,
        action=_OldName,
        dest=action.dest,
        nargs=0,
        default=False,
        const=name,
        help=argparse.SUPPRESS,
    )


class _OldName(argparse.Action):
    """Accepts the old name of an option, and prints the new one."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        _values: object,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, True)
        now = f"use {self.const}, which does the same"
        sys.stderr.write(f"{parser.prog}: {option_string} is deprecated: {now}\n")


class _Version(argparse.Action):
    """Reads the version only when asked for it, because that is slow."""

    def __call__(self, parser: argparse.ArgumentParser, *_args: object) -> None:
        sys.stdout.write(f"{parser.prog} {glance_sync_agent.__version__}\n")
        parser.exit()


def run(console: Console, argv: Sequence[str] | None) -> int:
    """Run a tool; return its exit status: 0, 1 for a failure, 2 for a usage error."""
    try:
        status = console.run(list(sys.argv[1:] if argv is None else argv))
        console.stdout.flush()
    except SystemExit as exc:  # argparse has printed the reason or the help
        return exc.code if isinstance(exc.code, int) else 0
    except BrokenPipeError:
        status = _BROKEN_PIPE
    if status == _BROKEN_PIPE:
        # Buffered output would fail again when the interpreter exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status
