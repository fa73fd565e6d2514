"""A report as JUnit XML, which CI systems show."""

import re
from typing import Final
from xml.etree import ElementTree as ET

from hsu_worker.conformance.check import Level
from hsu_worker.conformance.report import Outcome, Report, Result

#: What XML can't hold.
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report, bar: Level = Level.MUST) -> str:
    """The report as a document with one suite.

    Args:
        report: What was found.

        bar: The lowest level at which a failure is one for the CI system; others are shown as
            skipped, with what was seen.
    """
    cases = [_case(result, bar) for result in report.results]
    suite = ET.Element(
        "testsuite",
        name=f"hsu-worker check: {report.target}",
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors="0",
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
        time=f"{report.seconds:.3f}",
    )
    suite.extend(cases)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(result: Result, bar: Level) -> ET.Element:
    check = result.check
    case = ET.Element(
        "testcase",
        classname=f"{check.group}.{check.level}",
        name=check.id,
        time=f"{result.seconds:.3f}",
    )
    if result.outcome is Outcome.SKIPPED:
        ET.SubElement(case, "skipped", message=_held(result.reason))
    elif result.outcome is Outcome.FAILED:
        text = "\n".join((check.claim, f"{check.why} ({check.where})", result.text, *result.output))
        if check.level.counts_at(bar):
            found = ET.SubElement(case, "failure", type=check.level, message=_held(result.text))
            found.text = _held(text)
        else:
            message = f"{check.level}, and not met: {result.text}"
            ET.SubElement(case, "skipped", message=_held(message))
            ET.SubElement(case, "system-out").text = _held(text)
    return case


def _held(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
