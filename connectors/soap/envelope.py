"""A SOAP request → action, message and how its sender wants to be answered; an answer → an envelope of the same kind.

SOAP 1.1 (https://www.w3.org/TR/2000/NOTE-SOAP-20000508) and 1.2 (https://www.w3.org/TR/soap12-part1). Tolerated, for vendors do
it: parameters by any name in any namespace or none, a message as CDATA, as escaped text (once or twice) or as elements, a byte
order mark, GBK under a declaration of UTF-8, and a message without any envelope. A message's own XML declaration falls away: it
speaks of bytes that were the envelope's long before.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from connectors.soap.actions import known_action
from connectors.xml import Element, NotXml, child, local, read_xml, text_of_bytes, without_declaration

SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"
TYPES = {SOAP_11: "text/xml; charset=utf-8", SOAP_12: "application/soap+xml; charset=utf-8"}
OPERATION, NAMESPACE = "HIPMessageServer", "urn:hl7-org:v3"
ACTION_NAMES = frozenset({"action", "arg0", "input1", "in0", "param1", "servicename", "method", "methodname"})
MESSAGE_NAMES = frozenset({"message", "arg1", "input2", "in1", "param2", "msg", "payload", "pinput", "data"})


@dataclass(frozen=True)
class Call:
    """One request. `message` is the XML of the payload as text, as it stood in the envelope."""

    action: str  # as it was written
    message: str
    soap: str = SOAP_11  # the namespace of its envelope; "" for none
    operation: str = OPERATION
    namespace: str = NAMESPACE  # of the operation
    header: Element | None = field(default=None, compare=False)


class NotSoap(Exception):
    """A request that cannot be read. Says what is wrong, never what was sent."""


def read_call(content: bytes, soap_action: str = "") -> Call:
    """`soap_action`: of the HTTP header, for calls that state their action nowhere else. Raise NotSoap."""
    try:
        text = text_of_bytes(content)
        root = read_xml(text)
    except NotXml as error:
        raise NotSoap(str(error)) from None
    if local(root) != "Envelope":
        return Call(soap_action.strip('" ').rpartition("/")[2], without_declaration(text), soap="")
    soap = root.tag[1:].partition("}")[0] if isinstance(root.tag, str) and root.tag.startswith("{") else SOAP_11
    body = child(root, "Body")
    operation = next((each for each in body if local(each)), None) if body is not None else None
    if operation is None:
        raise NotSoap("the envelope has no body")
    action, message = _parameters(operation)
    namespace = operation.tag[1:].partition("}")[0] if str(operation.tag).startswith("{") else ""
    action = action or soap_action.strip('" ').rpartition("/")[2]
    if not message:
        raise NotSoap("the call has no message")
    return Call(action, message, soap if soap in TYPES else SOAP_11, local(operation), namespace, child(root, "Header"))


def _parameters(operation: Element) -> tuple[str, str]:
    """By their names, else by what they hold: the message is XML."""
    stated = [(local(each).casefold(), _content(each)) for each in operation]
    action = next((value for name, value in stated if name in ACTION_NAMES and not _is_xml(value)), "")
    message = next((value for name, value in stated if name in MESSAGE_NAMES and value), "")
    if not message or not _is_xml(message):
        message = next((value for _, value in stated if _is_xml(value)), message)
    if not action:
        action = next((value for _, value in stated if value != message and known_action(value)), "")
    if not message and len(operation) and not stated[0][1]:
        message = etree.tostring(operation, encoding="unicode")
    return action.strip(), message


def _content(element: Element) -> str:
    """Text, unescaped once more where it was escaped twice; or the elements within."""
    inner = [each for each in element if local(each)]
    if inner:
        return etree.tostring(inner[0], encoding="unicode", with_tail=False)
    text = (element.text or "").strip()
    return without_declaration(html.unescape(text) if text.startswith("&lt;") else text)


def _is_xml(text: str) -> bool:
    return text.lstrip("\ufeff \t\r\n").startswith("<")


def answered(call: Call, result: str) -> bytes:
    """`result` as the operation's one result, in the caller's version of SOAP and namespace; bare where the call was bare."""
    if not call.soap:
        return result.encode()
    operation = f"{call.operation}Response"
    stated = f" xmlns={quoteattr(call.namespace)}" if call.namespace else ""
    body = f"<{operation}{stated}><{call.operation}Result>{escape(result)}</{call.operation}Result></{operation}>"
    return _enveloped(call.soap, body)


def fault(soap: str, text: str, *, senders: bool) -> bytes:
    """`senders`: the request is wrong, and sending it again changes nothing."""
    if soap == SOAP_12:
        code = f"<soap:Code><soap:Value>soap:{'Sender' if senders else 'Receiver'}</soap:Value></soap:Code>"
        body = f'<soap:Fault>{code}<soap:Reason><soap:Text xml:lang="en">{escape(text)}</soap:Text></soap:Reason></soap:Fault>'
        return _enveloped(soap, body)
    code = f"<faultcode>soap:{'Client' if senders else 'Server'}</faultcode>"
    return _enveloped(SOAP_11, f"<soap:Fault>{code}<faultstring>{escape(text)}</faultstring></soap:Fault>")


def _enveloped(soap: str, body: str) -> bytes:
    declared = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{declared}<soap:Envelope xmlns:soap="{soap}"><soap:Body>{body}</soap:Body></soap:Envelope>'.encode()


def requested(action: str, message: str, *, soap: str = SOAP_11, namespace: str = NAMESPACE, header: str = "") -> bytes:
    """A call, as a client makes it; `header` is XML."""
    stated = f"<action>{escape(action)}</action><message>{escape(message)}</message>"
    head = f"<soap:Header>{header}</soap:Header>" if header else ""
    body = f"<{OPERATION} xmlns={quoteattr(namespace)}>{stated}</{OPERATION}>"
    declared = '<?xml version="1.0" encoding="UTF-8"?>'
    return f'{declared}<soap:Envelope xmlns:soap="{soap}">{head}<soap:Body>{body}</soap:Body></soap:Envelope>'.encode()


def read_result(content: bytes) -> str:
    """What a server answered. Raise NotSoap for a fault, saying its code, and for what is no answer."""
    try:
        text = text_of_bytes(content)
        root = read_xml(text)
    except NotXml as error:
        raise NotSoap(str(error)) from None
    if local(root) != "Envelope":
        return text
    body = child(root, "Body")
    first: Element | None = next((each for each in body if local(each)), None) if body is not None else None
    if first is None:
        raise NotSoap("the answer has no body")
    if local(first) == "Fault":
        code = child(first, "faultcode")
        value = code if code is not None else child(first, "Code", "Value")
        said = (value.text or "").strip()[:40] if value is not None else ""
        raise NotSoap(f"a fault: {said}")
    return next((found for each in (*first, first) if _is_xml(found := _content(each))), "")
