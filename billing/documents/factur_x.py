"""Mark a PDF as Factur-X: its metadata says that the attached XML is the invoice.

Typst attaches the XML and writes PDF/A-3, but it can't write metadata of others. So the metadata is replaced, in an
update that is appended to the file, as the PDF standard provides; nothing else of the file changes.
"""

from io import BytesIO
from typing import Any

from lxml import etree
from pypdf import PdfReader

FILE_NAME = "factur-x.xml"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SCHEMA = "http://www.aiim.org/pdfa/ns/schema#"
NAMES = {"rdf": RDF, "extension": "http://www.aiim.org/pdfa/ns/extension/"}
# PDF/A requires that a file describes the properties that aren't part of the standard.
DESCRIPTION = f"""
<rdf:li xmlns:rdf="{RDF}" xmlns:s="{SCHEMA}" xmlns:p="http://www.aiim.org/pdfa/ns/property#" rdf:parseType="Resource">
<s:schema>Factur-X PDFA Extension Schema</s:schema>
<s:namespaceURI>urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#</s:namespaceURI><s:prefix>fx</s:prefix>
<s:property><rdf:Seq>{{properties}}</rdf:Seq></s:property></rdf:li>"""
PROPERTY = """
<rdf:li rdf:parseType="Resource"><p:name>{name}</p:name><p:valueType>Text</p:valueType>
<p:category>external</p:category><p:description>{description}</p:description></rdf:li>"""
PROPERTIES = {
    "DocumentFileName": (FILE_NAME, "The name of the embedded XML document"),
    "DocumentType": ("INVOICE", "The type of the hybrid document in capital letters"),
    "Version": ("1.0", "The version of the standard of the embedded XML document"),
    "ConformanceLevel": ("EN 16931", "The conformance level of the embedded XML document"),
}
VALUES = """
<rdf:Description xmlns:rdf="{rdf}" xmlns:fx="urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#" rdf:about="">
{values}</rdf:Description>"""
PACKET = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{metadata}<?xpacket end="r"?>'


def mark_as_factur_x(pdf: bytes) -> bytes:
    """Return the PDF with metadata of Factur-X. The same PDF gives the same bytes."""
    reader = PdfReader(BytesIO(pdf))
    root: Any = reader.trailer["/Root"]
    metadata = _extend(root["/Metadata"].get_data())
    return _append_update(pdf, reader, root.raw_get("/Metadata").idnum, metadata)


def _extend(packet: bytes) -> bytes:
    """Add the properties of Factur-X, and their description, to the file's metadata."""
    metadata = etree.fromstring(packet)
    described = "".join(PROPERTY.format(name=name, description=text) for name, (_, text) in PROPERTIES.items())
    bag = metadata.find(".//extension:schemas/rdf:Bag", NAMES)
    bag.append(etree.fromstring(DESCRIPTION.format(properties=described)))
    values = "".join(f"<fx:{name}>{value}</fx:{name}>" for name, (value, _) in PROPERTIES.items())
    metadata.find("rdf:RDF", NAMES).append(etree.fromstring(VALUES.format(rdf=RDF, values=values)))
    return PACKET.format(metadata=etree.tostring(metadata, encoding="unicode")).encode()


def _append_update(pdf: bytes, reader: PdfReader, number: int, metadata: bytes) -> bytes:
    """Append another version of the metadata's object, with a table that says where it is."""
    trailer = reader.trailer
    root, info, ids = trailer.raw_get("/Root").idnum, trailer.raw_get("/Info").idnum, trailer["/ID"]
    head = f"\n{number} 0 obj\n<</Type/Metadata/Subtype/XML/Length {len(metadata)}>>\nstream\n".encode()
    at = len(pdf) + 1
    updated = pdf + head + metadata + b"\nendstream\nendobj\n"
    identifiers = "".join(f"<{identifier.original_bytes.hex()}>" for identifier in ids)  # type: ignore[attr-defined]
    previous = int(pdf[pdf.rindex(b"startxref") :].split()[1])
    table = (
        f"xref\n0 1\n0000000000 65535 f\r\n{number} 1\n{at:010} 00000 n\r\n"
        f"trailer\n<</Size {trailer['/Size']}/Root {root} 0 R/Info {info} 0 R/ID[{identifiers}]/Prev {previous}>>\n"
        f"startxref\n{len(updated)}\n%%EOF"
    )
    return updated + table.encode()
