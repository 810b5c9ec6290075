#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# usage: tools/test.sh [STEP...]
#
# Installs what the checks need (Debian packages, the virtualenvs .venv and
# .cloud/venv), runs the steps, and ends with a table of their results. The exit
# status is 0 only if all of them passed. Without a STEP it runs these:
#
#   pep8         ruff, hacking, import-linter, codespell, doc8, bash -n
#   mypy         types, strict
#   cover        tests/unit and tests/contract; every branch of domain and engine
#   checkconfig  the samples in etc/glance are what options and policies generate
#   docs         doc/ and the release notes; warnings are errors
#   functional   tests/integration and tests/functional, on real clouds
#   total        branch coverage of cover and functional together
#   mutation     a test catches every mutant of the domain
#
# On request only:
#
#   py3          the tests of cover, without coverage
#   genconfig    generate the samples in etc/glance
#
# If a service is missing, its tests are skipped; with CI=true they fail.
# PYTEST_ADDOPTS reaches pytest as usual.

set -u -o pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

DEFAULT_STEPS=(pep8 mypy cover checkconfig docs functional total mutation)
OTHER_STEPS=(py3 genconfig)

# Per cent of branches and lines.
MIN_CORE_COVERAGE=100
MIN_TOTAL_COVERAGE=95
# Each worker has a cloud of its own, test-gw0 and so on, which takes 2 GiB of memory.
IN_PARALLEL=(--numprocesses auto --maxprocesses 4 --dist loadfile)
CORE='*/glance_sync_agent/domain/*,*/glance_sync_agent/engine/*'

usage() { sed -n '4,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

# check COMMAND...: runs it; a failure fails the step but does not end it.
check() {
    printf '$ %s\n' "$*"
    "$@" || step_status=1
}

step_pep8() {
    check ruff check --output-format concise
    check flake8
    check lint-imports --no-logo
    check codespell
    check doc8 --quiet ./*.rst doc/source releasenotes
    local script
    while read -r script; do
        check bash -n "$script"
    done < <(shell_scripts)
}

# The files with a shell in their first line, and those of devstack.
shell_scripts() {
    find .ci devstack tools -type f ! -name '*.py' ! -name '*.pyc' \
        -exec awk 'FNR == 1 && (/^#!.*sh$/ || FILENAME ~ "^devstack/|[.]sh$") { print FILENAME } { nextfile }' {} +
}

step_mypy() {
    check mypy
}

step_py3() {
    check pytest "${IN_PARALLEL[@]}" tests/unit tests/contract
}

# pytest_covered NAME TEST...: writes the coverage of the tests and of their
# processes to coverage/NAME.
pytest_covered() {
    local name=$1
    shift
    export COVERAGE_FILE=$PWD/coverage/$name
    mkdir -p coverage
    rm -f "$COVERAGE_FILE" "$COVERAGE_FILE".*
    check coverage run -m pytest "${IN_PARALLEL[@]}" "$@"
    check coverage combine --quiet
}

step_cover() {
    pytest_covered unit tests/unit tests/contract
    check coverage report --include="$CORE" --fail-under="$MIN_CORE_COVERAGE"
}

step_functional() {
    pytest_covered functional tests/integration tests/functional
}

step_total() {
    export COVERAGE_FILE=$PWD/coverage/total
    check coverage combine --quiet --keep coverage/unit coverage/functional
    check coverage report --fail-under="$MIN_TOTAL_COVERAGE"
}

generate_config() {
    PYTHONWARNINGS=ignore oslo-config-generator --config-file tools/config-generator/sync.conf --output-file "$1"
}

step_genconfig() {
    check generate_config etc/glance/sync.conf
    check generate_policy etc/glance/sync_policy.yaml.sample
}

generate_policy() {
    oslopolicy-sample-generator --namespace glance_sync_agent --output-file "$1" 2>/dev/null
}

step_checkconfig() {
    local generated
    generated=$(mktemp) || return
    check generate_config "$generated"
    check diff -u etc/glance/sync.conf "$generated"
    check generate_policy "$generated"
    check diff -u etc/glance/sync_policy.yaml.sample "$generated"
    rm -f "$generated"
    [ "$step_status" -eq 0 ] || echo "A sample in etc/glance is out of date: run tools/test.sh genconfig and commit it."
}

# Theme and reno read git. Without it, a missing commit is a warning.
step_docs() {
    if ! git rev-parse --git-dir >/dev/null 2>&1; then
        echo "There is no git here: warnings are no errors, and the release notes are not built."
        check sphinx-build -q -b html doc/source doc/build/html
        return
    fi
    check sphinx-build -q -W --keep-going -b html doc/source doc/build/html
    check reno --quiet lint
    check sphinx-build -q -W --keep-going -b html releasenotes/source doc/build/releasenotes
}

# mutmut's exit status does not show whether a mutant survived.
step_mutation() {
    local log=mutants/run.log survivors name
    rm -rf mutants
    mkdir mutants
    echo '$ mutmut run'
    if ! mutmut run >"$log" 2>&1; then
        tail -n 40 "$log"
        step_status=1
        return
    fi
    check mutmut export-cicd-stats
    python - <<'PYTHON'
import json
stats = json.load(open("mutants/mutmut-cicd-stats.json"))
print(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in stats.items() if count))
PYTHON
    survivors=$(mutmut results | grep -v ': timeout$')
    [ -n "$survivors" ] || return
    step_status=1
    printf '%s\n' "$survivors"
    while IFS=: read -r name _; do
        mutmut show "${name// /}"
    done < <(head -n 10 <<<"$survivors")
    echo "No test catches these mutants of the domain: delete the code that they change, or test it."
}

known_step() {
    local step
    for step in "${DEFAULT_STEPS[@]}" "${OTHER_STEPS[@]}"; do
        [ "$step" = "$1" ] && return
    done
    return 1
}

prepare() {
    source tools/lib/bootstrap.sh
    ensure_agent_venv
    case " $* " in
    *" py3 "* | *" cover "* | *" functional "*)
        ensure_cloud_packages
        ensure_database_packages
        ensure_monitoring_packages
        ensure_browser_packages
        ensure_cloud_venv
        # Other steps start no clouds, and other runs may use theirs at the same time.
        trap stop_clouds EXIT
        ;;
    esac
    export VIRTUAL_ENV=$PWD/.venv PATH=$PWD/.venv/bin:$PATH
    # The last one would make each of the many processes compile the package again.
    unset PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE
}

# An interrupted worker does not stop its cloud.
stop_clouds() {
    local directory
    for directory in .cloud/test-gw*/; do
        [ ! -d "$directory" ] || tools/cloud/down --name "$(basename "$directory")" >/dev/null
    done
}

report=()
failed=0

run_step() {
    local started=$SECONDS result=passed
    printf '\n===== %s\n' "$1"
    if ! (step_status=0 && "step_$1"; exit "$step_status"); then
        result=FAILED
        failed=$((failed + 1))
    fi
    report+=("$(printf '%-12s %-6s %5d s' "$1" "$result" $((SECONDS - started)))")
}

case "${1:-}" in
-h | --help)
    usage
    exit 0
    ;;
esac
steps=("$@")
[ "$#" -gt 0 ] || steps=("${DEFAULT_STEPS[@]}")
for step in "${steps[@]}"; do
    known_step "$step" || {
        echo "error: there is no step '$step'; see tools/test.sh --help" >&2
        exit 2
    }
done

started=$SECONDS
prepare "${steps[@]}"
report+=("$(printf '%-12s %-6s %5d s' preparation done $((SECONDS - started)))")
for step in "${steps[@]}"; do
    run_step "$step"
done
printf '\n===== result\n'
printf '%s\n' "${report[@]}"
[ "$failed" -eq 0 ]
