# SPDX-License-Identifier: Apache-2.0
#
# Installs what the demo and the tests need: Debian packages, the agent's
# virtualenv, the test cloud's virtualenv. Source it from bash. Every function is
# idempotent, and fast if there is nothing to do. If it fails, it ends the calling
# script with status 1 and one sentence.
#
#   ensure_debian_packages PACKAGE...   install those that are missing
#   ensure_cloud_packages               the Debian packages of the test cloud
#   ensure_database_packages            the Debian packages of the tests' databases
#   ensure_monitoring_packages          promtool, for the rules of Prometheus
#   ensure_browser_packages             Chromium, which looks at the page
#   ensure_agent_venv                   .venv: this checkout, editable, extra "test"
#   ensure_cloud_venv                   .cloud/venv: Glance, Keystone, uWSGI

BOOTSTRAP_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BOOTSTRAP_LOG_DIR=$BOOTSTRAP_ROOT/.cloud/log
# The root of systemd's links and Debian's policy. Empty: this machine.
SYSTEM_ROOT=
CLOUD_DEBIAN_PACKAGES=(
    rabbitmq-server openssh-server openssh-client curl
    python3-venv python3-dev gcc libc6-dev
)
# mariadb-server would make a user, a database and a service.
DATABASE_DEBIAN_PACKAGES=(postgresql mariadb-server-core mariadb-client-core galera-4)
MONITORING_DEBIAN_PACKAGES=(prometheus)
# Its fonts are in it, so that screenshots are alike everywhere.
BROWSER_DEBIAN_PACKAGES=(chromium fonts-dejavu-core)

_say() { printf '==> %s\n' "$*"; }

_fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

_show_tail() {
    if [ -f "$1" ]; then tail -n 15 "$1" | sed 's/^/    /' >&2; fi
}

# Returns whether _as_root works. sudo asks for a password if there is a terminal.
_may_become_root() {
    [ "$(id -u)" -eq 0 ] && return
    command -v sudo >/dev/null || return
    sudo -n true 2>/dev/null && return
    [ -t 0 ] || return
    _say "Debian packages are missing, and only root can install them: sudo asks for your password"
    sudo -v
}

_as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

_missing_packages() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            printf '%s\n' "$package"
    done
}

_apt_get() {
    _as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get -q -y -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \
        "$@" </dev/null >>"$BOOTSTRAP_LOG_DIR/apt.log" 2>&1
}

# The package lists of a long-running machine may be stale, and those of a container
# are empty. So refresh them if the first try fails. Never remove a package of the
# operator.
_apt_install() {
    _apt_get install --no-install-recommends --no-remove "$@" && return
    _apt_get update && _apt_get install --no-install-recommends --no-remove "$@"
}

# _put FILE MODE TEXT: makes a file of root and adds it to "made". A file of the
# operator stays.
_put() {
    local file=$SYSTEM_ROOT$1
    [ -e "$file" ] && return
    made+=("$file")
    _as_root mkdir -p "${file%/*}" && printf '%b' "$3" | _as_root tee "$file" >/dev/null &&
        _as_root chmod "$2" "$file"
}

_take_away() {
    local file
    for file in "${made[@]}"; do
        _as_root rm -f "$file"
        _as_root rmdir -p --ignore-fail-on-non-empty "${file%/*}"
    done
}

# Installs packages, but lets their scripts start no daemon and make no database. The
# files for that are removed afterwards, also after an interruption.
_install_quietly() (
    made=()
    trap _take_away EXIT
    _put /usr/sbin/policy-rc.d 0755 '#!/bin/sh\nexit 101\n' &&
        _put /etc/postgresql-common/createcluster.d/glance-sync.conf 0644 'create_main_cluster = false\n' &&
        _apt_install "$@"
)

# The units that are enabled: systemd's links to them, aliases aside.
_enabled_units() {
    local links=$SYSTEM_ROOT/etc/systemd/system
    [ ! -d "$links" ] || find "$links" -mindepth 2 -type l -printf '%f\n' | sort -u
}

# A newly installed daemon must not start at the next boot, nor its dependencies.
# $1: the units that the operator enabled before.
_disable_units_enabled_since() {
    local units
    command -v systemctl >/dev/null || return 0
    mapfile -t units < <(comm -13 <(printf '%s\n' "$1") <(_enabled_units))
    [ "${#units[@]}" -eq 0 ] ||
        _as_root systemctl ${SYSTEM_ROOT:+"--root=$SYSTEM_ROOT"} disable "${units[@]}" >>"$BOOTSTRAP_LOG_DIR/apt.log" 2>&1 ||
        _fail "could not disable new services; run as root: systemctl disable ${units[*]}"
}

ensure_debian_packages() {
    command -v dpkg-query >/dev/null ||
        _fail "this script needs Debian or Ubuntu, because dpkg-query is missing; install the equivalents of these packages yourself: $*"
    local missing enabled status=0
    mapfile -t missing < <(_missing_packages "$@")
    [ "${#missing[@]}" -eq 0 ] && return 0
    if ! _may_become_root; then
        _fail "Debian packages are missing, and this user may not install them; run as root: apt-get install ${missing[*]}"
    fi
    _say "Installing Debian packages: ${missing[*]}"
    mkdir -p "$BOOTSTRAP_LOG_DIR"
    : >"$BOOTSTRAP_LOG_DIR/apt.log"
    enabled=$(_enabled_units)
    _install_quietly "${missing[@]}" || status=$?
    _disable_units_enabled_since "$enabled"
    if [ "$status" -ne 0 ]; then
        _show_tail "$BOOTSTRAP_LOG_DIR/apt.log"
        _fail "apt-get could not install ${missing[*]}; check the network; the full output is in $BOOTSTRAP_LOG_DIR/apt.log"
    fi
}

ensure_cloud_packages() {
    ensure_debian_packages "${CLOUD_DEBIAN_PACKAGES[@]}"
}

ensure_database_packages() {
    ensure_debian_packages "${DATABASE_DEBIAN_PACKAGES[@]}"
}

# promtool checks and tries the rules of etc/monitoring.
ensure_monitoring_packages() {
    ensure_debian_packages "${MONITORING_DEBIAN_PACKAGES[@]}"
}

ensure_browser_packages() {
    ensure_debian_packages "${BROWSER_DEBIAN_PACKAGES[@]}"
}

# Prints a digest of the inputs of a virtualenv. If it changes, install again.
_stamp_of() {
    local file
    {
        /usr/bin/python3 --version
        printf '%s\n' "$BOOTSTRAP_ROOT"
        for file in "$@"; do
            if [ -f "$file" ]; then sha256sum "$file"; fi
        done
    } | sha256sum | cut -d ' ' -f 1
}

# uv does not read pip's settings for the index and its certificate.
_export_uv_settings() {
    local index=${PIP_INDEX_URL:-}
    [ -n "$index" ] || index=$("$1/bin/python" -m pip config get global.index-url 2>/dev/null || true)
    [ -n "$index" ] && export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$index}
    [ -n "${PIP_CERT:-}" ] && export SSL_CERT_FILE=${SSL_CERT_FILE:-$PIP_CERT}
    export UV_NO_PROGRESS=1
}

# _install VENV [--fresh] REQUIREMENT...: with uv, which takes a fifth of pip's
# time, or with pip if uv is missing. --fresh ignores cached wheels.
_install() {
    local venv=$1 fresh=()
    shift
    if [ "$1" = --fresh ]; then
        shift
        fresh=(--no-cache)
    fi
    if [ -x "$venv/bin/uv" ]; then
        # Like pip: otherwise each process may have to compile its imports again.
        "$venv/bin/uv" pip install --python "$venv/bin/python" --compile-bytecode "${fresh[@]}" "$@" && return
        echo "uv failed, trying pip"
    fi
    [ "${#fresh[@]}" -eq 0 ] || fresh=(--no-cache-dir)
    "$venv/bin/python" -m pip install --progress-bar off "${fresh[@]}" "$@"
}

# Makes the virtualenv unless it exists. It may be in use, so it is not replaced.
_create_venv() {
    local origin
    origin="$(/usr/bin/python3 --version) $1"
    if [ "$(cat "$1/.origin" 2>/dev/null)" != "$origin" ]; then
        rm -rf "$1"
        # Debian's interpreter: services of other users cannot reach one in a home
        # directory, and its wheels fit no other interpreter.
        /usr/bin/python3 -m venv "$1" || return
        "$1/bin/python" -m pip install --progress-bar off uv || echo "uv cannot be installed, using pip"
        printf '%s\n' "$origin" >"$1/.origin"
    fi
    _export_uv_settings "$1"
}

_fill_agent_venv() {
    cd "$BOOTSTRAP_ROOT" || return
    _create_venv "$BOOTSTRAP_ROOT/.venv" && _install .venv -e '.[test]' -e client
}

_fill_cloud_venv() {
    local requirements=$BOOTSTRAP_ROOT/tools/cloud/requirements.txt
    _create_venv "$BOOTSTRAP_ROOT/.cloud/venv" || return
    # A cached uWSGI may be linked against another interpreter.
    _install "$BOOTSTRAP_ROOT/.cloud/venv" --fresh "$(grep -i '^uwsgi' "$requirements")" &&
        _install "$BOOTSTRAP_ROOT/.cloud/venv" -r "$requirements"
}

# _ensure_venv VENV FILLER FILE...: FILLER makes VENV, and again if a FILE changed.
_ensure_venv() {
    local venv=$1 filler=$2 name=${2#_fill_} stamp log
    log=$BOOTSTRAP_LOG_DIR/$name.log
    shift 2
    stamp=$(_stamp_of "$@")
    if [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$stamp" ]; then return 0; fi
    mkdir -p "$BOOTSTRAP_LOG_DIR"
    (
        flock 9
        # Another process may have made it in the meantime.
        [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$stamp" ] && exit 0
        _say "Installing Python packages into ${venv#"$BOOTSTRAP_ROOT"/} (a minute or two)"
        "$filler" </dev/null >"$log" 2>&1 || exit 1
        printf '%s\n' "$stamp" >"$venv/.stamp"
    ) 9>"$BOOTSTRAP_LOG_DIR/$name.lock" || {
        _show_tail "$log"
        _fail "could not install the Python packages of $venv; check the network; the full output is in $log"
    }
}

ensure_agent_venv() {
    [ -f "$BOOTSTRAP_ROOT/setup.cfg" ] || _fail "$BOOTSTRAP_ROOT has no setup.cfg, so the agent cannot be installed from it"
    ensure_debian_packages python3-venv
    _ensure_venv "$BOOTSTRAP_ROOT/.venv" _fill_agent_venv \
        "$BOOTSTRAP_ROOT"/{setup.cfg,setup.py,pyproject.toml,requirements.txt,test-requirements.txt}
}

ensure_cloud_venv() {
    ensure_debian_packages python3-venv python3-dev gcc libc6-dev
    _ensure_venv "$BOOTSTRAP_ROOT/.cloud/venv" _fill_cloud_venv \
        "$BOOTSTRAP_ROOT/tools/cloud/requirements.txt"
}
