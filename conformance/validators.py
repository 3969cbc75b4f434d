"""Validators that nobody here wrote: dicom3tools for every IOD, PixelMed's for SR templates.

PixelMed's SR validator takes a file a run and spends most of it on compiling its style sheets.
Xalan, which it brings, lets a style sheet of ours call it for file after file in one Java.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from conformance import peers
from conformance.dcmtk import run_tool

_JAVA_S = 600.0
_SHEET = """\
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:sr="xalan://com.pixelmed.validate.DicomSRValidator"
    xmlns:iod="xalan://com.pixelmed.validate.DicomInstanceValidator"
    xmlns:list="xalan://com.pixelmed.dicom.AttributeList"
    exclude-result-prefixes="sr iod list">
  <xsl:template match="/files">
    <reports>
      <xsl:variable name="templates" select="sr:new()"/>
      <xsl:variable name="iods" select="iod:new()"/>
      <xsl:for-each select="sr">
        <report path="{@path}">
          <xsl:value-of select="sr:validate($templates, string(@path))"/>
        </report>
      </xsl:for-each>
      <xsl:for-each select="other">
        <xsl:variable name="attributes" select="list:new()"/>
        <report bytes="{list:read($attributes, string(@path))}" path="{@path}">
          <xsl:value-of select="iod:validate($iods, $attributes)"/>
        </report>
      </xsl:for-each>
    </reports>
  </xsl:template>
</xsl:stylesheet>
"""


def dciodvfy(path: Path) -> list[str]:
    """What dciodvfy says of one file, a line an item; the first line names the IOD."""
    done = run_tool(peers.DCIODVFY, str(path))
    return (done.stdout + done.stderr).splitlines()


def dcentvfy(paths: Sequence[Path]) -> list[str]:
    """What dcentvfy says of files that belong together; nothing if all entities agree."""
    done = run_tool(peers.DCENTVFY, *map(str, paths))
    return (done.stdout + done.stderr).splitlines()


def dsrdump(path: Path) -> str:
    """The content tree as dsrdump prints it: long values whole, only valid documents."""
    options = ("--print-long-values", "--print-all-codes", "--convert-to-utf8")
    done = run_tool(peers.DSRDUMP, *options, str(path))
    assert done.returncode == 0, done.stderr
    return done.stdout


def pixelmed(
    folder: Path, *, sr: Sequence[Path] = (), other: Sequence[Path] = ()
) -> dict[Path, list[str]]:
    """What PixelMed says of each file, SRs down to their templates, others of their IOD."""
    files = ET.Element("files")
    for tag, paths in (("sr", sr), ("other", other)):
        for path in paths:
            ET.SubElement(files, tag, path=str(path))
    listed, sheet, reports = (folder / name for name in ("files.xml", "all.xsl", "reports.xml"))
    ET.ElementTree(files).write(listed)
    sheet.write_text(_SHEET)
    jars = os.pathsep.join(str(jar.find()) for jar in peers.PIXELMED_JARS)
    command = [str(peers.JAVA.find()), "-cp", jars, "org.apache.xalan.xslt.Process"]
    done = subprocess.run(
        [*command, "-IN", str(listed), "-XSL", str(sheet), "-OUT", str(reports)],
        capture_output=True,
        text=True,
        timeout=_JAVA_S,
        check=False,
    )
    assert reports.exists(), done.stderr
    found = {
        Path(report.get("path", "")): (report.text or "").strip().splitlines()
        for report in ET.parse(reports).iter("report")
    }
    assert set(found) == {*sr, *other}, done.stderr
    return found
