"""No test looks at the home, the source or the products that a developer's own `make run` chose."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

CHOSEN = (
    "PLATFORM_SOURCE",
    "PLATFORM_PRODUCT",
    "PLATFORM_FEATURE_REPO",
    "PLATFORM_ENV",
    "PLATFORM_ONLINE_STORE",
)

for name in [name for name in os.environ if name.startswith(CHOSEN)]:
    del os.environ[name]
# before any import: the code location reads the home's choices when it is loaded
os.environ["PLATFORM_HOME"] = tempfile.mkdtemp(prefix="platform-tests-")
atexit.register(shutil.rmtree, os.environ["PLATFORM_HOME"], ignore_errors=True)
