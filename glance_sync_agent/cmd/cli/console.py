# SPDX-License-Identifier: Apache-2.0
"""What the operator's two tools share: global options, help, messages and exit codes."""

import argparse
from collections.abc import Mapping, Sequence
import logging
import os
import sys

from cliff import app
from cliff import command
from cliff import commandmanager
from oslo_config import cfg

import glance_sync_agent
from glance_sync_agent import errors
from glance_sync_agent import wiring
from glance_sync_agent.cmd.cli import printable

USAGE_ERROR = 2
#: The log that sync.conf names is the agent's. What root makes there the agent could not write.
_NO_LOG_FILE = (
    "--log-file=",
    "--log-dir=",
    "--log-config-append=",
    "--nouse-syslog",
    "--nouse-journal",
)
_BROKEN_PIPE = 141  # 128 + SIGPIPE, as cliff and shells have it


class UsageError(errors.SyncError):
    """The operator named what there is not, or what may be several things."""


class Console(app.App):
    """One command, its output on stdout, whatever else there is to say on stderr."""

    def __init__(
        self,
        *,
        name: str,
        description: str,
        examples: str,
        commands: Mapping[str, type[command.Command]],
    ) -> None:
        self.NAME = name
        self._description = description
        self._is_usage_error = False
        self._examples = examples
        # No entry points: the tool runs from a checkout that is not installed, too.
        manager = commandmanager.CommandManager(None)
        super().__init__(description, None, manager, deferred_help=True)
        del manager.commands["complete"]
        for words, factory in commands.items():
            manager.add_command(words, factory)

    def build_option_parser(
        self,
        description: str | None,
        version: str | None,
        argparse_kwargs: dict[str, object] | None = None,
    ) -> argparse.ArgumentParser:
        """Replace cliff's options by those that oslo.config has as well."""
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
            help="sync.conf; may be repeated, the last one wins. By default the file that the "
            "agent finds: ~/.glance, ~, /etc/glance, /etc",
        )
        parser.add_argument(
            "--config-dir",
            action="append",
            default=[],
            metavar="DIR",
            help="directory whose *.conf files are read, too; may be repeated",
        )
        parser.add_argument(
            "--debug", action="store_true", help="show tracebacks and what the libraries log"
        )
        parser.add_argument("--version", action=_Version, nargs=0, help="show it and exit")
        parser.add_argument(
            "-h", "--help", dest="deferred_help", action="store_true", help="show this and exit"
        )
        return parser

    def configure_logging(self) -> None:
        """Send warnings to stderr; with ``--debug``, everything."""
        self.log_from(logging.WARNING)

    def log_from(self, level: int) -> None:
        """Send what is logged to stderr if it is of ``level`` or worse, or if debugging."""
        handler = logging.StreamHandler(self.stderr)
        handler.setLevel(logging.DEBUG if self.options.debug else level)
        handler.setFormatter(printable.Formatter(f"{self.NAME}: %(message)s"))
        root = logging.getLogger()
        root.handlers[:] = [handler]
        root.setLevel(logging.DEBUG if self.options.debug else logging.WARNING)

    def initialize_app(self, argv: list[str]) -> None:
        """Refuse an empty command line, for which cliff would open a shell of its own."""
        self.print_help_if_requested()
        if not argv:
            self.parser.error(f"which command? See '{self.NAME} --help'")

    def run_subcommand(self, argv: list[str]) -> int:
        """Run a command; one that does not exist, or names what there is not, is a usage error."""
        try:
            self.command_manager.find_command(list(argv))
        except ValueError:
            known = ", ".join(sorted(words for words, _ in self.command_manager))
            self.parser.error(f"there is no command '{' '.join(argv)}'; there are {known}")
        self._is_usage_error = False
        status = super().run_subcommand(argv)
        return USAGE_ERROR if self._is_usage_error else status

    def clean_up(
        self, cmd: command.Command, result: int, err: BaseException | None
    ) -> None:
        """Take note of what ended a command; cliff has said it already."""
        super().clean_up(cmd, result, err)
        self._is_usage_error = isinstance(err, UsageError)

    def write(self, text: str) -> None:
        """Print what the operator asked for."""
        print(printable.lines(text), file=self.stdout, flush=True)

    def say(self, sentence: str) -> None:
        """Tell the operator something that is not the command's output."""
        print(printable.lines(sentence), file=self.stderr)

    def configure(self) -> tuple[cfg.ConfigOpts, wiring.CurrentSettings]:
        """Read the files that the command line names.

        :raises ConfigurationError: there is none, or something is wrong in one.
        """
        arguments = [f"--config-file={name}" for name in self.options.config_file]
        arguments += [f"--config-dir={name}" for name in self.options.config_dir]
        try:
            # Last, because a file overrides what stands before it.
            return wiring.configure(
                [*arguments, *_NO_LOG_FILE], prog=self.NAME, description=self._description
            )
        finally:
            # In the place of what oslo.log set up for an agent.
            self.configure_logging()


def taught(parser: argparse.ArgumentParser, examples: str = "") -> argparse.ArgumentParser:
    """Add examples to a command's help, and keep the lines of both as they are written."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = examples
    return parser


def add_flag(
    parser: argparse.ArgumentParser, name: str, *, old_name: str, help_text: str
) -> None:
    """Add an option without a value that had another name; the old one warns and is hidden."""
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
    """Takes the old name of an option, and says what it is called now."""

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
    """Looks the version up when asked for it, which costs too much to do it every time."""

    def __call__(self, parser: argparse.ArgumentParser, *_args: object) -> None:
        sys.stdout.write(f"{parser.prog} {glance_sync_agent.__version__}\n")
        parser.exit()


def run(console: Console, argv: Sequence[str] | None) -> int:
    """Run a tool; return its exit status: 0, 1 for a failure, 2 for a usage error."""
    try:
        status = console.run(list(sys.argv[1:] if argv is None else argv))
        console.stdout.flush()
    except SystemExit as exc:  # argparse has said why, or shown its help
        return exc.code if isinstance(exc.code, int) else 0
    except BrokenPipeError:
        status = _BROKEN_PIPE
    if status == _BROKEN_PIPE:
        # What is still buffered would fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status
