"""The service's description, for tools that make a client from it. https://www.w3.org/TR/wsdl.html"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from connectors.soap.envelope import NAMESPACE, OPERATION

_TEMPLATE = """<?xml version="1.0" encoding="UTF-8"?>
<wsdl:definitions name="HIPMessageService" targetNamespace="{ns}" xmlns:tns="{ns}" xmlns:xsd="http://www.w3.org/2001/XMLSchema"
    xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
    xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/">
  <wsdl:types>
    <xsd:schema targetNamespace="{ns}" elementFormDefault="qualified">
      <xsd:element name="{op}"><xsd:complexType><xsd:sequence>
        <xsd:element name="action" type="xsd:string"/><xsd:element name="message" type="xsd:string"/>
      </xsd:sequence></xsd:complexType></xsd:element>
      <xsd:element name="{op}Response"><xsd:complexType><xsd:sequence>
        <xsd:element name="{op}Result" type="xsd:string"/>
      </xsd:sequence></xsd:complexType></xsd:element>
    </xsd:schema>
  </wsdl:types>
  <wsdl:message name="{op}Request"><wsdl:part name="parameters" element="tns:{op}"/></wsdl:message>
  <wsdl:message name="{op}Response"><wsdl:part name="parameters" element="tns:{op}Response"/></wsdl:message>
  <wsdl:portType name="HIPMessageServicePort"><wsdl:operation name="{op}">
    <wsdl:input message="tns:{op}Request"/><wsdl:output message="tns:{op}Response"/>
  </wsdl:operation></wsdl:portType>
{bindings}
  <wsdl:service name="HIPMessageService">
    <wsdl:port name="HIPMessageServiceSoap" binding="tns:HIPMessageServiceSoap"><soap:address location={location}/></wsdl:port>
    <wsdl:port name="HIPMessageServiceSoap12" binding="tns:HIPMessageServiceSoap12">
      <soap12:address location={location}/>
    </wsdl:port>
  </wsdl:service>
</wsdl:definitions>
"""
_BINDING = """  <wsdl:binding name="HIPMessageService{name}" type="tns:HIPMessageServicePort">
    <{prefix}:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    <wsdl:operation name="{op}"><{prefix}:operation soapAction="{ns}:{op}" style="document"/>
      <wsdl:input><{prefix}:body use="literal"/></wsdl:input><wsdl:output><{prefix}:body use="literal"/></wsdl:output>
    </wsdl:operation>
  </wsdl:binding>"""


def wsdl(location: str) -> bytes:
    names = (("Soap", "soap"), ("Soap12", "soap12"))
    bindings = "\n".join(_BINDING.format(name=name, prefix=prefix, op=OPERATION, ns=NAMESPACE) for name, prefix in names)
    return _TEMPLATE.format(ns=NAMESPACE, op=OPERATION, bindings=bindings, location=quoteattr(location)).encode()
