# SPDX-License-Identifier: Apache-2.0
"""``sync.conf`` and the other files that it names."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import pathlib
import re

from oslo_config import cfg

from glance_sync_agent import errors
from glance_sync_agent.conf import options

Register = Callable[[cfg.ConfigOpts], None]


def parse(
    arguments: Sequence[str], *, prog: str, description: str, register: Sequence[Register] = ()
) -> cfg.ConfigOpts:
    """Read the files that the command line names, or else those in the usual directories.

    ``--config-file`` and ``--config-dir`` work as everywhere in OpenStack. The default is
    ``sync.conf`` in ``~/.glance``, ``~``, ``/etc/glance`` and ``/etc``.

    :param register: adds the options of libraries.
    :raises ConfigurationError: no file, one that cannot be read, or a bad value in one.
    """
    conf = cfg.ConfigOpts()
    for add in (options.register, *register):
        add(conf)
    try:
        conf(
            list(arguments),
            project="glance",
            prog=prog,
            description=description,
            default_config_files=cfg.find_config_files(project="glance", prog="sync"),
            default_config_dirs=cfg.find_config_dirs(project="glance", prog="sync"),
        )
    except (cfg.Error, OSError) as exc:
        raise errors.ConfigurationError(f"could not read the configuration: {exc}") from exc
    if not conf.config_file and not conf.config_dir:
        raise errors.ConfigurationError(
            "found no sync.conf in ~/.glance, ~, /etc/glance or /etc; name one with --config-file"
        )
    # oslo.config checks a value only when it is read, so read them all.
    if problems := list(_bad_values(conf)):
        raise errors.ConfigurationError("\n".join(f"{names(conf)}: {one}" for one in problems))
    return conf


def _bad_values(values: Mapping[str, object]) -> Iterator[str]:
    for name in values:
        try:
            value = values[name]
        except (cfg.Error, ValueError) as exc:
            yield sentence(exc)
        else:
            if isinstance(value, cfg.ConfigOpts.GroupAttr):
                yield from _bad_values(value)


def sentence(exc: Exception) -> str:
    """Return oslo.config's message with the file's name instead of an object's."""
    return re.sub(r"LocationInfo\(.*detail='(.*?)'\)", r"\1", str(exc))


def find(
    conf: cfg.ConfigOpts, group: str | None, option: str, *, optional: str
) -> pathlib.Path | None:
    """Find a file that an option names, beside sync.conf unless it is a whole path.

    :param optional: the name under which it may be absent, the default.
    :raises ValueError: there is no such file.
    """
    name = conf[group][option] if group else conf[option]
    path = pathlib.Path(name)
    if not path.is_absolute():
        directories = [pathlib.Path(file).parent for file in conf.config_file or ()]
        directories += [pathlib.Path(directory).parent for directory in conf.config_dir or ()]
        found = [directory / name for directory in directories if (directory / name).exists()]
        path = found[-1] if found else path
    if path.exists():
        return path
    if name == optional:
        return None
    section = f"[{group}] " if group else ""
    raise ValueError(f"{section}{option} = {name}: there is no such file")


def names(conf: cfg.ConfigOpts) -> str:
    """Return the names of the files that were read."""
    return ", ".join(map(str, conf.config_file or conf.config_dir or ["sync.conf"]))
