"""`python -m induction.audit`: known vulnerabilities of the pinned packages, by pip-audit.

pip-audit takes a package that its database does not know, such as everything behind a mirror
without that database, for one without vulnerabilities. So what it skipped is said here.
"""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from induction.paths import find_study

_SECONDS = 300
_OPTIONS = ("--no-deps", "--disable-pip", "--progress-spinner=off", "--timeout=10", "--format=json")


def main() -> int:
    """Print what is known; status 1 when there are vulnerabilities, 0 also when nobody can tell."""
    report = _report(find_study().lock)
    if isinstance(report, str):
        print(f"note: vulnerabilities of the packages were not looked up: {report}")
        return 0
    found, skipped = judge(report)
    if skipped:
        print(f"note: no data on vulnerabilities of {len(skipped)} packages, such as {skipped[0]}")
    for line in found:
        print(line)
    return 1 if found else 0


def judge(report: dict[str, Any]) -> tuple[list[str], list[str]]:
    """A line for each vulnerability in pip-audit's report, and the packages without data."""
    found, skipped = [], []
    for package in report["dependencies"]:
        if "skip_reason" in package:
            skipped.append(package["name"])
        for vulnerability in package.get("vulns", []):
            mended = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            found.append(
                f"{package['name']} {package['version']}: {vulnerability['id']}, mended in "
                f"{mended}: raise it in pyproject.toml, then make lock"
            )
    return found, skipped


def _report(lock: Path) -> dict[str, Any] | str:
    """pip-audit's report on the lock, or the reason why there is none."""
    if importlib.util.find_spec("pip_audit") is None:
        return "pip-audit is not installed"
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), *_OPTIONS]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return f"its data took longer than {_SECONDS} s"
    try:
        return json.loads(run.stdout)
    except ValueError:
        lines = run.stderr.strip().splitlines() or ["pip-audit failed without a message"]
        return f"{lines[-1][:100]} …"


if __name__ == "__main__":
    sys.exit(main())
