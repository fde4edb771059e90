#!/bin/sh
# Runs uv with an interpreter that is really there: `./bootstrap.sh run wirescribe up`.
#
# A fresh machine needs Python 3.12 or newer, pip and make. uv is taken from the PATH; where there is
# none, pip puts one into .uv/ of this checkout and nowhere else. Nothing is downloaded but packages.
set -eu
cd "$(dirname "$0")"

works() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; }

# The version that .python-version names first, then any other; a shim that names a Python that is
# not there answers with an error, so each is tried.
find_python() {
    wanted=$(cat .python-version)
    for name in ${WIRESCRIBE_PYTHON:-} "python$wanted" python3.13 python3.12 python3.14 python3 python \
        "$HOME"/.pyenv/versions/"$wanted"*/bin/python3 "$HOME"/.pyenv/versions/3.1[2-9]*/bin/python3; do
        if works "$name"; then
            "$name" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    echo "Wirescribe needs Python 3.12 or newer, and none was found on the PATH." >&2
    echo "Install one (Debian, Ubuntu: apt install python3; macOS: brew install python@3.13;" >&2
    echo "or https://www.python.org/downloads/) and run this again." >&2
    echo "A Python that is not on the PATH can be named: WIRESCRIBE_PYTHON=/path/to/python3 make run" >&2
    exit 1
}

find_uv() {
    if [ -x .uv/bin/uv ]; then
        echo .uv/bin/uv
        return
    fi
    if uv --version >/dev/null 2>&1; then
        echo uv
        return
    fi
    for pip in "$1 -m pip" "python3 -m pip" pip3 pip; do
        if $pip --version >/dev/null 2>&1; then
            echo "uv is not installed: putting one into .uv/ of this checkout" >&2
            PIP_ROOT_USER_ACTION=ignore \
                $pip install --quiet --disable-pip-version-check --target .uv uv >&2
            echo .uv/bin/uv
            return
        fi
    done
    echo "Wirescribe is set up by uv, and there is neither uv nor pip to install it with." >&2
    echo "Install pip (Debian, Ubuntu: apt install python3-pip) or uv and run this again." >&2
    exit 1
}

# uv by itself follows .python-version, and would download that one.
tell_of_other_python() {
    version=$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ "$version" != "$(cat .python-version)" ]; then
        echo "setting up with Python $version; for uv by hand: export UV_PYTHON=$version" >&2
    fi
}

python=$(find_python)
uv=$(find_uv "$python")
[ -d .venv ] || tell_of_other_python "$python"
export UV_PYTHON_DOWNLOADS=never
export UV_PYTHON="$python"
exec "$uv" "$@"
