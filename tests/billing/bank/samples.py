"""Bank files in the form of the standards' public examples, with the habits of banks of several countries.

Each has incoming and outgoing entries, and what is read of the incoming ones.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sample:
    """A file, and its incoming entries: day, amount, currency, payer, the payer's account, and a part of the text."""

    name: str
    content: bytes
    entries: list[tuple[str, str, str, str, str, str]]
    skipped: int = 0
    columns: dict[str, str] = field(default_factory=dict)


def camt(version, statement, account="DE02120300000000202051"):
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-10-02T20:00:00</CreDtTm></GrpHdr>"
        f"<Stmt><Id>S1</Id><Acct><Id><IBAN>{account}</IBAN></Id></Acct>{statement}</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def entry(amount, details, *, currency="EUR", mark="CRDT", status="<Sts>BOOK</Sts>", reference="R1", day="2026-10-02"):
    return (
        f'<Ntry><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{mark}</CdtDbtInd>{status}'
        f"<BookgDt><Dt>{day}</Dt></BookgDt><AcctSvcrRef>{reference}</AcctSvcrRef>"
        f"<NtryDtls>{details}</NtryDtls></Ntry>"
    )


def details(text, name, iban, extra="", amount=""):
    return (
        f"<TxDtls><Refs>{extra}<EndToEndId>NOTPROVIDED</EndToEndId></Refs>{amount}"
        f"<RltdPties><Dbtr><Nm>{name}</Nm></Dbtr><DbtrAcct><Id><IBAN>{iban}</IBAN></Id></DbtrAcct></RltdPties>"
        f"<RmtInf>{text}</RmtInf></TxDtls>"
    )


MUELLER, BAKKER, DUPONT, KELLER = (
    "DE89370400440532013000",
    "NL91ABNA0417164300",
    "FR1420041010050500013M02606",
    "CH9300762011623852957",
)
GERMAN_CAMT = Sample(
    "German CAMT.053.001.02 with an outgoing, a returned and a pending entry",
    camt(
        "02",
        entry("119.00", details("<Ustrd>Rechnung INV-000001</Ustrd><Ustrd> vom 01.10.</Ustrd>", "Müller GmbH", MUELLER))
        + entry("19.00", details("<Ustrd>Miete</Ustrd>", "Vermieter", MUELLER), mark="DBIT", reference="R2")
        + entry("5.00", details("<Ustrd>x</Ustrd>", "A", MUELLER), status="<RvslInd>true</RvslInd><Sts>BOOK</Sts>")
        + entry("7.00", details("<Ustrd>x</Ustrd>", "A", MUELLER), status="<Sts>PDNG</Sts>", reference="R4"),
    ),
    [("2026-10-02", "119.00", "EUR", "Müller GmbH", MUELLER, "Rechnung INV-000001 vom 01.10.")],
    skipped=3,
)
GERMAN_BATCH = Sample(
    "German CAMT.053.001.08 with a batch of direct debits",
    camt(
        "08",
        entry(
            "150.00",
            "".join(
                details(
                    f"<Ustrd>INV-00000{number}</Ustrd>",
                    "Unused",
                    MUELLER,
                    amount=f'<Amt Ccy="EUR">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd>',
                ).replace("<Dbtr><Nm>Unused</Nm></Dbtr>", f"<Dbtr><Pty><Nm>Payer {number}</Nm></Pty></Dbtr>")
                for number, amount in ((1, "100.00"), (2, "50.00"))
            ),
            status="<Sts><Cd>BOOK</Cd></Sts>",
        ),
    ),
    [
        ("2026-10-02", "100.00", "EUR", "Payer 1", MUELLER, "INV-000001"),
        ("2026-10-02", "50.00", "EUR", "Payer 2", MUELLER, "INV-000002"),
    ],
)
SWISS_CAMT = Sample(
    "Swiss CAMT.053.001.04 with a structured QR reference",
    camt(
        "04",
        entry(
            "1949.75",
            details(
                "<Strd><CdtrRefInf><Tp><CdOrPrtry><Prtry>QRR</Prtry></CdOrPrtry></Tp>"
                "<Ref>210000000003139471430009017</Ref></CdtrRefInf><AddtlRmtInf>INV-000003</AddtlRmtInf></Strd>",
                "Keller AG",
                KELLER,
            ),
            currency="CHF",
        ),
        account=KELLER,
    ),
    [("2026-10-02", "1949.75", "CHF", "Keller AG", KELLER, "210000000003139471430009017 INV-000003")],
)
DUTCH_CAMT = Sample(
    "Dutch CAMT.053.001.02 with a time of booking and an end-to-end reference",
    camt(
        "02",
        entry("242.00", details("<Ustrd>Factuur 1</Ustrd>", "Bakker B.V.", BAKKER))
        .replace("<BookgDt><Dt>2026-10-02</Dt></BookgDt>", "<BookgDt><DtTm>2026-10-02T09:30:00+02:00</DtTm></BookgDt>")
        .replace("NOTPROVIDED", "INV-000004"),
        account=BAKKER,
    ),
    [("2026-10-02", "242.00", "EUR", "Bakker B.V.", BAKKER, "Factuur 1 INV-000004")],
)
GERMAN_MT940 = Sample(
    "German MT940 with the fields of DFÜ agreement, in Windows-1252",
    """:20:STARTUMSE
:25:10020030/1234567
:28C:00012/001
:60F:C261001EUR1000,00
:61:2610021002C119,00NMSCNONREF//POS 12
:86:166?00GUTSCHR. UEBERWEISUNG?109310?20EREF+NOTPROVIDED?21SVWZ+Rechnung INV-000001 v
?22om 01.10.2026?30BYLADEM1001?31DE89370400440532013000?32Müller Logistik?33 GmbH
:61:2610021002D19,00NMSCNONREF
:86:177?00SEPA?20Miete?32Vermieter
:62F:C261002EUR1100,00
-
""".encode("cp1252"),
    [("2026-10-02", "119.00", "EUR", "Müller Logistik GmbH", MUELLER, "Rechnung INV-000001 vom 01.10.2026")],
    skipped=1,
)
DUTCH_MT940 = Sample(
    "Dutch MT940 in a SWIFT envelope, with words between slashes",
    b"""{1:F01RABONL2UXXXX0000000000}{2:I940RABONL2UXXXXN}{4:
:20:940S261002
:25:NL91ABNA0417164300 EUR
:28C:0
:60F:C261001EUR000000001000,00
:61:261002C000000000242,00N541EREF//2610021234
/IBAN/NL20INGB0001234567
:86:/EREF/NOTPROVIDED/BENM//NAME/Bakker BV/REMI/Factuur INV-000004/ISDT
/2026-10-02
:62F:C261002EUR000000001242,00
-}
""",
    [("2026-10-02", "242.00", "EUR", "Bakker BV", "NL20INGB0001234567", "Factuur INV-000004")],
)
FRENCH_MT940 = Sample(
    "French MT940 with a motif",
    b""":20:0000001
:25:FR7630006000011234567890189
:28C:00276/001
:60F:C261001EUR1000,00
:61:2610021002C360,00NTRFVIR SEPA RECU//0001234
:86:VIR SEPA RECU /DE SOCIETE DUPONT SARL /MOTIF FACTURE INV-000005 /REF 4711
:61:2610021002D36,00NTRFFRAIS//0001235
:86:FRAIS BANCAIRES
:62F:C261002EUR1324,00
""",
    [("2026-10-02", "360.00", "EUR", "SOCIETE DUPONT SARL", "", "FACTURE INV-000005")],
    skipped=1,
)
SWISS_MT940 = Sample(
    "Swiss MT940 of two accounts in one file",
    b""":20:A1
:25:CH9300762011623852957
:28C:1/1
:60F:C261001CHF0,00
:61:2610021002C100,50NTRFNONREF//A
:86:Keller AG, Zuerich INV-000006
:62F:C261002CHF100,50
-
:20:A2
:25:CH5604835012345678009
:28C:1/1
:60F:C261001EUR0,00
:61:2610021002C80,00NTRFNONREF//B
:86:Weber AG INV-000007
:62F:C261002EUR80,00
-
""",
    [
        ("2026-10-02", "100.50", "CHF", "", "", "Keller AG, Zuerich INV-000006"),
        ("2026-10-02", "80.00", "EUR", "", "", "Weber AG INV-000007"),
    ],
)
US_OFX_1 = Sample(
    "US OFX 1 (SGML) without end tags",
    b"""OFXHEADER:100
DATA:OFXSGML
VERSION:102
SECURITY:NONE
ENCODING:USASCII
CHARSET:1252

<OFX><SIGNONMSGSRSV1><SONRS><STATUS><CODE>0<SEVERITY>INFO</STATUS></SONRS></SIGNONMSGSRSV1>
<BANKMSGSRSV1><STMTTRNRS><STMTRS><CURDEF>USD<BANKACCTFROM><BANKID>121000358<ACCTID>000123456789</BANKACCTFROM>
<BANKTRANLIST><DTSTART>20261001<DTEND>20261031
<STMTTRN><TRNTYPE>CREDIT<DTPOSTED>20261002120000[-5:EST]<TRNAMT>1250.00<FITID>2026100201<NAME>ACME &amp; SONS INC
<MEMO>WIRE INV-000008
</STMTTRN>
<STMTTRN><TRNTYPE>DEBIT<DTPOSTED>20261003<TRNAMT>-15.00<FITID>2026100301<NAME>WIRE FEE</STMTTRN>
</BANKTRANLIST></STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>
""",
    [("2026-10-02", "1250.00", "USD", "ACME & SONS INC", "", "WIRE INV-000008")],
    skipped=1,
)
US_OFX_2 = Sample(
    "US OFX 2 (XML) with a check",
    b"""<?xml version="1.0" encoding="UTF-8"?><?OFX OFXHEADER="200" VERSION="211" SECURITY="NONE"?>
<OFX><BANKMSGSRSV1><STMTTRNRS><STMTRS><CURDEF>USD</CURDEF>
<BANKACCTFROM><BANKID>121000358</BANKID><ACCTID>000123456789</ACCTID></BANKACCTFROM>
<BANKTRANLIST><STMTTRN><TRNTYPE>CHECK</TRNTYPE><DTPOSTED>20261005</DTPOSTED><TRNAMT>310.25</TRNAMT>
<FITID>2026100501</FITID><CHECKNUM>1042</CHECKNUM><NAME>Larkspur LLC</NAME><MEMO>INV-000009</MEMO></STMTTRN>
</BANKTRANLIST></STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>
""",
    [("2026-10-05", "310.25", "USD", "Larkspur LLC", "", "INV-000009 1042")],
)
GERMAN_CSV = Sample(
    "German CSV with lines above the headings, semicolons and decimal commas",
    """Kontonummer:;1234567
Von:;01.10.2026

Buchungstag;Empfänger/Auftraggeber;IBAN;Verwendungszweck;Betrag
02.10.2026;Müller GmbH;DE89 3704 0044 0532 0130 00;Rechnung INV-000001;1.119,00
02.10.2026;Vermieter;;Miete;-900,00
""".encode("cp1252"),
    [("2026-10-02", "1119.00", "EUR", "Müller GmbH", MUELLER, "Rechnung INV-000001")],
    skipped=1,
    columns={
        "date": "Buchungstag",
        "amount": "Betrag",
        "payer_name": "Empfänger/Auftraggeber",
        "payer_iban": "IBAN",
        "text": "Verwendungszweck",
        "decimal_mark": ",",
        "date_format": "%d.%m.%Y",
        "default_currency": "EUR",
    },
)
US_CSV = Sample(
    "US CSV with month first, dollar signs and parentheses",
    b"""Date,Description,Amount,Reference
10/02/2026,"ACME INC, INV-000008","$1,250.00",A1
10/03/2026,"WIRE FEE",($15.00),A2
""",
    [("2026-10-02", "1250.00", "USD", "", "", "ACME INC, INV-000008")],
    skipped=1,
    columns={
        "date": "Date",
        "amount": "Amount",
        "text": "Description",
        "entry_id": "Reference",
        "date_format": "%m/%d/%Y",
        "default_currency": "USD",
    },
)
FRENCH_CSV = Sample(
    "French CSV in UTF-8 with its mark, and spaces between thousands",
    "\ufeffDate;Libellé;Montant;Devise\n02/10/2026;VIR DUPONT INV-000005;1 360,00;EUR\n".encode(),
    [("2026-10-02", "1360.00", "EUR", "", "", "VIR DUPONT INV-000005")],
    columns={
        "date": "Date",
        "amount": "Montant",
        "text": "Libellé",
        "currency": "Devise",
        "decimal_mark": ",",
        "date_format": "%d/%m/%Y",
    },
)
SWISS_CSV = Sample(
    "Swiss CSV with apostrophes, tabs and UTF-16",
    "Datum\tText\tGutschrift\n02.10.2026\tKeller AG INV-000003\t1'949.75\n".encode("utf-16"),
    [("2026-10-02", "1949.75", "CHF", "", "", "Keller AG INV-000003")],
    columns={"date": "Datum", "amount": "Gutschrift", "text": "Text", "default_currency": "CHF"},
)
SAMPLES = [
    *(GERMAN_CAMT, GERMAN_BATCH, SWISS_CAMT, DUTCH_CAMT, GERMAN_MT940, DUTCH_MT940, FRENCH_MT940, SWISS_MT940),
    *(US_OFX_1, US_OFX_2, GERMAN_CSV, US_CSV, FRENCH_CSV, SWISS_CSV),
]
