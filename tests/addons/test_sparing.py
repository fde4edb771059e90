import subprocess
import sys

PROGRAM = """
import sys
from addons.sparing import spare_unused_addons
spare_unused_addons()
from addons import launch
spare_unused_addons()
from mitmproxy.addons import block
print(*(name for name in sys.modules if name.startswith("mitmproxy.addons.")))
"""


def test_a_proxy_loads_the_addons_that_it_uses_and_no_others():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    used = {"block", "core", "next_layer", "proxyserver", "termlog", "tlsconfig"}
    assert {name.rpartition(".")[2] for name in done.stdout.split()} == used
