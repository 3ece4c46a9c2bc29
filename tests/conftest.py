"""For all tests: on CI a skipped test fails, unless what it tests lacks the capability."""

import os
from collections.abc import Generator

import pytest

ALLOWED_REASON = "capability:"


class NoSilentSkips:
    """Turns skips into failures, of single tests and of whole files, in every folder of the run."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        refuse(report)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        refuse(report)
        return report


def refuse(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Fails a skipped report, but for an expected failure and a skip by capability."""
    if report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(ALLOWED_REASON):
        report.outcome = "failed"
        report.longrepr = f"skipped on CI, where everything must run: {reason}"


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("CI"):
        config.pluginmanager.register(NoSilentSkips(), "no-silent-skips")
