"""
mitmproxy's package of addons without the forty modules that it loads for mitmproxy's own programs.

They bring LDAP, a web application and players of flows along: a quarter of what a proxy takes to
start. What is needed of them is imported by its own name.
"""

import importlib.util
import sys

_PACKAGE = "mitmproxy.addons"


def spare_unused_addons() -> None:
    """To be called before anything of mitmproxy is imported; once it is, this does nothing."""
    if _PACKAGE in sys.modules:
        return
    spec = importlib.util.find_spec(_PACKAGE)
    assert spec
    # Found, and not run: its modules can be imported, and are when somebody does.
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
